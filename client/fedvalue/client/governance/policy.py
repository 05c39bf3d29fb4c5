"""A site's own policy: what it answers at all, and what stands against a study, line by line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

from fedvalue.client.records.store import Limits as Machine
from fedvalue.errors import OutsideValidity, PolicyForbids, StudyInvalid
from fedvalue.planning.plan import Plan
from fedvalue.privacy import accounting
from fedvalue.privacy.accounting import NOTHING, Price
from fedvalue.study.schema import Study
from fedvalue.study.site_policy import Population, SitePolicy
from fedvalue.study.site_rules import Budget, Caps, Limits, Opening, Person
from fedvalue.study.toml import load_toml
from fedvalue.study.toml_lines import Step

__all__ = [
    "Budget", "Caps", "Finding", "Limits", "Opening", "Person", "Policy", "Population", "load_policy",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that stands against a study.

    Attributes:
      en: What, in English.
      zh: The same in Chinese.
      policy: Key of the policy that stands against it; empty for none.
      study: Key of the study file that it stands against; empty for none.
      code: Stable word of the refusal.
    """

    en: str
    zh: str
    policy: str = ""
    study: tuple[Step, ...] = ()
    code: str = PolicyForbids.code


class Policy(SitePolicy):
    """What a site allows, as its node enforces it; the keys are those of `SitePolicy`."""

    @property
    def for_life(self) -> accounting.Budget:
        """The budget that the ledger is opened with."""
        return accounting.Budget(self.budget.epsilon, self.budget.delta, self.budget.admits_sampled)

    @property
    def machine(self) -> Machine:
        """What a connection to the records may use."""
        return Machine(self.caps.threads, self.caps.memory)

    def require(self, study: Study, plan: Plan, *, clear_sum: bool, inherited: Price = NOTHING) -> None:
        """Refuse a study that this policy does not allow.

        Args:
          study: The study.
          plan: What this site would answer.
          clear_sum: True if the sum would travel in clear.
          inherited: What the studies that it amends were charged.

        Raises:
          PolicyForbids: names the line of the policy that stands against it.
        """
        for found in self.findings(study, plan, clear_sum=clear_sum, inherited=inherited):
            raise PolicyForbids(
                found.en,
                where=f"policy.toml {found.policy}",
                do="the site's officer decides; nothing was sent",
            )

    def require_open(self, moment: datetime) -> None:
        """Refuse outside this site's hours.

        Raises:
          OutsideValidity: the policy opens the site at other hours.
        """
        if self.opening and not any(hours.includes(moment) for hours in self.opening):
            raise OutsideValidity(
                "the site answers at other hours", where="policy.toml opening", do="ask again within them"
            )

    def findings(
        self, study: Study, plan: Plan, *, clear_sum: bool, inherited: Price = NOTHING
    ) -> Iterator[Finding]:
        """Yield everything in a study that this policy does not allow; arguments as for `require`."""
        yield from self._kinds(study)
        if study.governance.profile not in self.profiles:
            profile = study.governance.profile
            yield Finding(
                f"the governance profile {profile!r} is not accepted", f"不接受治理规范 {profile!r}",
                "profiles", ("governance", "profile"),
            )  # fmt: skip
        if clear_sum and ("clear_sum" not in self.unsafe or not self.simulation):
            yield Finding(
                "the sum would travel in clear, so the coordinator sees this site's share",
                "求和结果以明文传输，协调方能看到本机构的份额", "unsafe, simulation",
            )  # fmt: skip
        if plan.exact and ("no_noise" not in self.unsafe or not self.simulation):
            yield Finding(
                "the study would be answered without noise", "研究结果将不加噪声", "unsafe, simulation"
            )
        if plan.sampled and not self.budget.admits_sampled:
            yield Finding(
                "the study draws patients by chance; this site's budget was opened for plain releases alone",
                "研究按概率抽取患者，而本机构的隐私预算只适用于不抽样的发布", "budget.admits_sampled",
            )  # fmt: skip
        price = inherited + (NOTHING if plan.exact else plan.price(1 if clear_sum else None))
        yield from self._limits(study, plan, price)

    def _kinds(self, study: Study) -> Iterator[Finding]:
        kinds = {spec.kind for spec in study.analyses}
        if refused := sorted(kinds - set(self.analyses)):
            first = next(i for i, spec in enumerate(study.analyses) if spec.kind in refused)
            yield Finding(
                f"the analyses {refused} are not allowed", f"不允许的分析类型：{refused}",
                "analyses", ("analyses", first, "kind"),
            )  # fmt: skip
        alone = self.simulation if self.release_site_values is None else self.release_site_values
        for position, question in enumerate(study.analyses):
            if question.tells_of_sites() and not alone:
                yield Finding(
                    "the study would publish noisy values of this site alone",
                    "研究将公布本机构单独的（加噪）数值", "release_site_values", ("analyses", position),
                )  # fmt: skip
            wanted = getattr(question, "architecture", None)
            name = wanted if isinstance(wanted, str) else getattr(wanted, "kind", None)
            if name is not None and self.architectures is not None and name not in self.architectures:
                yield Finding(
                    f"the architecture {name!r} is not allowed", f"不允许的模型结构：{name!r}",
                    "architectures", ("analyses", position, "architecture"),
                )  # fmt: skip
            if question.kind == "training" and find_spec("torch") is None:
                yield Finding(
                    "this site cannot train: fedvalue[train] is not installed here",
                    "本机构无法参与训练：未安装 fedvalue[train]", "", ("analyses", position, "kind"),
                )  # fmt: skip

    def _limits(self, study: Study, plan: Plan, price: Price) -> Iterator[Finding]:
        limits = self.limits
        if limits.epsilon is not None and not plan.exact:
            charged = accounting.epsilon_of(price, study.privacy.delta)
            if charged > limits.epsilon:
                yield Finding(
                    f"the study is charged epsilon {charged:.4g}, one study may have {limits.epsilon:g}",
                    f"研究消耗 epsilon {charged:.4g}，单项研究上限为 {limits.epsilon:g}",
                    "limits.epsilon", ("privacy", "epsilon"),
                )  # fmt: skip
        least, stated = limits.min_released_patients, study.federation.min_released_patients
        if least is not None and stated < least:
            yield Finding(
                f"groups of {stated} released patients would be reported, {least} is the least",
                f"研究报告的最小分组为 {stated} 人，本机构要求至少 {least} 人",
                "limits.min_released_patients", ("federation", "min_released_patients"),
            )  # fmt: skip
        if limits.releases is not None and len(plan.releases) > limits.releases:
            yield Finding(
                f"the study asks {len(plan.releases)} times, {limits.releases} is the most",
                f"研究需要 {len(plan.releases)} 次发布，上限为 {limits.releases} 次",
                "limits.releases", ("analyses",),
            )  # fmt: skip
        largest = max(release.dimension for release in plan.releases)
        if limits.numbers is not None and largest > limits.numbers:
            yield Finding(
                f"a release holds {largest} numbers, {limits.numbers} is the most",
                f"一次发布含 {largest} 个数值，上限为 {limits.numbers} 个", "limits.numbers", ("analyses",),
            )  # fmt: skip


def load_policy(path: Path) -> Policy:
    """Read a site's policy.

    Raises:
      StudyInvalid: unreadable, not TOML, an unknown key, or a value out of range; names line and key.
    """
    return load_toml(
        path, Policy, failure=StudyInvalid, what="the policy", do="run `fedvalue site init` first", lines=True
    )
