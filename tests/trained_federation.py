"""Small hospitals with a planted model, and a coordinator that trains over them in this process."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import Context, RecordDict
from flwr.serverapp import Grid, ServerApp
from numpy.typing import NDArray

from fedvalue.client.app import SITE_HOME, make_app
from fedvalue.client.node import SiteNode
from fedvalue.evidence import statements
from fedvalue.evidence.package import EvidencePackage
from fedvalue.planning.concluding import quiet
from fedvalue.server.checkpoint import Checkpoint
from fedvalue.server.coordinator import Coordinator
from fedvalue.server.enrolment import Progress
from fedvalue.server.grids.local import LocalGrid, LocalNode, run_server_app
from fedvalue.simulation.federation import SimulatedFederation, make_federation
from fedvalue.simulation.sources import SiteFolders
from fedvalue.strategies.secure_aggregation.messages import StepRequest, Wire
from fedvalue.strategies.secure_aggregation.private_sum.wire import MASKED
from fedvalue.study.file import digest, parse
from fedvalue.study.keys import load_key, make_key
from fedvalue.study.schema import Study
from fedvalue.study.signature import sign
from tests.study_head import head

Answer = Callable[[str, RecordDict], RecordDict]
"""A site node's answer to one message."""

SITES = 4
MAPPING = """
mapping = 1
[files.patients]
path = "patients.csv"
[patient]
file = "patients"
patient_id = "id"
[patient.attributes]
age = { column = "age", type = "number" }
lab = { column = "lab", type = "number" }
sex = { column = "sex" }
readmitted = { column = "readmitted", type = "number" }
"""

STUDY = (
    head("readmission-model", title="A model of readmission")
    + """
[variables]
age = { person = "age", clip = [20, 100], unit = "years" }
lab = { person = "lab", clip = [-4, 4], unit = "z" }
sex = { person = "sex", levels = ["f", "m"] }
[endpoints.readmitted]
kind = "binary"
source = "person"
column = "readmitted"
missing = "exclude"
[diagnostics]
share = 0
[[analyses]]
kind = "training"
name = "readmission"
outcome = "readmitted"
features = ["age", "lab", "sex"]
architecture = %(architecture)s
rounds = %(rounds)d
sampling_rate = %(rate)s
optimiser = { kind = "%(optimiser)s", rate = %(step)s }
budget = 1.0
%(more)s
"""
)


def noon() -> datetime:
    """The one moment at which these studies run."""
    return datetime(2026, 6, 1, 12, tzinfo=UTC)


def trained_study(
    *, rounds: int = 4, rate: float = 0.5, architecture: str = '{ kind = "logistic" }',
    optimiser: str = "fedadam", step: float = 0.2, more: str = "",
) -> Study:  # fmt: skip
    """Return a study that trains a model; ``more`` are further keys of its question."""
    filled = STUDY % {
        "rounds": rounds, "rate": rate, "architecture": architecture, "optimiser": optimiser, "step": step,
        "more": more,
    }  # fmt: skip
    return parse(filled.encode(), where="study")


def write_hospitals(folder: Path, *, sites: int = SITES, patients: int = 80, seed: int = 1) -> SiteFolders:
    """Write hospitals whose patients come back with log odds ``0.08 (age - 62) + lab + 0.8 male - 0.6``."""
    rng = np.random.default_rng(seed)
    for number in range(1, sites + 1):
        home = folder / "tables" / f"site-{number}"
        home.mkdir(parents=True)
        age, lab = rng.normal(60 + 2 * number, 10, patients), rng.normal(size=patients)
        male = rng.integers(0, 2, patients)
        chance = 1 / (1 + np.exp(-(0.08 * (age - 62) + lab + 0.8 * male - 0.6)))
        back = rng.random(patients) < chance
        lines = [
            f"{number}-{i},{age[i]:.3f},{lab[i]:.4f},{'fm'[male[i]]},{int(back[i])}" for i in range(patients)
        ]
        (home / "patients.csv").write_text("\n".join(["id,age,lab,sex,readmitted", *lines, ""]))
    (folder / "map.toml").write_text(MAPPING)
    return SiteFolders(folder / "tables", folder / "map.toml")


def _unchanged(answer: Answer) -> Answer:
    return answer


@dataclass(frozen=True, slots=True)
class TrainedFederation:
    """Sites that approved a training.

    Attributes:
      study: The study.
      federation: Their homes and roster.
      folder: Everything lies here.
      exact: Without noise.
    """

    study: Study
    federation: SimulatedFederation
    folder: Path
    exact: bool = False

    @classmethod
    def made(
        cls, study: Study, sources: SiteFolders, folder: Path, *, exact: bool = False
    ) -> TrainedFederation:
        """Load and approve everywhere."""
        made = make_federation(
            study, sources.sites(folder), folder / "sites", exact=exact, clock=noon, progress=quiet
        )
        return cls(study, made, folder, exact)

    @contextmanager
    def grid(self, wrap: Mapping[str, Callable[[Answer], Answer]] | None = None) -> Iterator[LocalGrid]:
        """Run every site's node behind an in-process grid; ``wrap`` changes what some of them say."""
        wrap = wrap or {}
        nodes = {home.policy.site: SiteNode(home.folder, noon) for home in self.federation.homes}
        try:
            answers = {site: wrap.get(site, _unchanged)(node.answer) for site, node in nodes.items()}
            app = make_app(lambda context: answers[str(context.node_config[SITE_HOME])])
            yield LocalGrid({n: LocalNode(app, {SITE_HOME: site}) for n, site in enumerate(nodes, start=2)})
        finally:
            for node in nodes.values():
                node.close()

    def train(
        self,
        wrap: Mapping[str, Callable[[Answer], Answer]] | None = None,
        *,
        checkpoint: bool = False,
        progress: Progress = quiet,
    ) -> EvidencePackage:
        """Run the study and return its evidence."""
        key, author = self.folder / "coordinator.pem", Ed25519PrivateKey.from_private_bytes(bytes(32))
        coordinator = Coordinator(
            study=self.study,
            roster=self.federation.roster,
            key=load_key(key) if key.exists() else make_key(key),
            study_signatures=(sign(statements.study_statement(digest(self.study)), author, "study"),),
            simulation=True,
            progress=progress,
            unsafe_exact=self.exact,
            clock=noon,
            checkpoint=Checkpoint(self.folder / "checkpoint") if checkpoint else None,
        )
        made: list[EvidencePackage] = []
        app = ServerApp()

        @app.main()
        def main(grid: Grid, context: Context) -> None:
            del context
            made.append(coordinator.run(grid))

        with self.grid(wrap) as grid:
            run_server_app(app, grid)
        return made[0]


def after(
    rounds: int, said: Callable[[Callable[[], RecordDict]], RecordDict], step: str = MASKED
) -> Callable[[Answer], Answer]:
    """Return what lets a site answer a step so often, by default masked vectors, and then speaks instead."""

    def wrap(answer: Answer) -> Answer:
        asked = 0

        def otherwise(kind: str, content: RecordDict) -> RecordDict:
            nonlocal asked
            request = Wire.request(kind, content)
            asked += isinstance(request, StepRequest) and request.step == step
            if asked > rounds and isinstance(request, StepRequest):
                return said(lambda: answer(kind, content))
            return answer(kind, content)

        return otherwise

    return wrap


def parameters(evidence: EvidencePackage) -> NDArray[np.float64]:
    """Return the parameters of the first model of a package."""
    model = evidence.conclusions[0].model
    assert model is not None
    return np.frombuffer(base64.b64decode(model.parameters), dtype="<f8")
