"""What a reader must not forget: the banner on top of the page, and the limits in plain words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fedvalue.evidence import display
from fedvalue.evidence.package import EvidencePackage
from fedvalue.payment.decision import Decision, Finding
from fedvalue.server.reports.budget import in_clear
from fedvalue.server.reports.formats import number, spread, whole
from fedvalue.server.reports.naming import Names
from fedvalue.server.reports.wording import Phrase, Voice


@dataclass(frozen=True, slots=True)
class Banner:
    """A warning that nobody may overlook.

    Attributes:
      head: A word or two.
      text: What it means.
    """

    head: Phrase
    text: Phrase


def banners(package: EvidencePackage, decisions: tuple[Decision, ...], voice: Voice) -> tuple[Banner, ...]:
    """Return a banner for a simulation and one for everything that lowered the protection."""
    found = []
    if package.simulation or any(decision.simulation for decision in decisions):
        found.append(Banner(voice("banner.simulation"), voice("banner.simulation_text")))
    switches = dict.fromkeys((*package.unsafe, *(word for decision in decisions for word in decision.unsafe)))
    for switch in switches:
        meaning = voice.either(f"unsafe.{switch}", voice("unsafe.unknown", switch=switch))
        found.append(Banner(voice("banner.unsafe", switch=switch), meaning))
    examples = [d.standard for d in decisions if d.standard_status != "official"]
    if examples and not package.simulation:
        found.append(Banner(voice("banner.example"), voice("banner.example_text", names=", ".join(examples))))
    return tuple(found)


def one_patient(finding: Finding, sites_per_patient: int) -> float:
    """Return how far one patient more or less can move a share, before noise; between 0 and 1.

    With k rows of one patient, ``|(r + j)/(n + k) - r/n|`` and ``|(r - j)/(n - k) - r/n|``, 0 <= j <= k, are
    at most ``k/(n - k)``. n is known up to its noise, so three standard deviations less than released stand
    for it.

    Args:
      finding: Its released total is n.
      sites_per_patient: k, at how many sites one person may appear.
    """
    least = finding.total.value - 3 * math.sqrt(finding.total.noise_variance)
    if least <= 2 * sites_per_patient:
        return 1.0
    return sites_per_patient / (least - sites_per_patient)


def limits(package: EvidencePackage, decisions: tuple[Decision, ...], names: Names) -> tuple[Phrase, ...]:
    """Return the limits, those of the decisions first."""
    voice = names.voice
    privacy, exact = package.privacy, package.privacy.epsilon_promised is None
    found = []
    for decision in decisions:
        if decision.finding is None:
            continue
        moved = one_patient(decision.finding, privacy.sites_per_patient)
        error = math.sqrt(decision.finding.privacy_variance)
        found.append(
            voice(
                "limits.one_patient_exact" if exact else "limits.one_patient",
                group=names.group(decision.question.stratum),
                x=spread(moved, "probability", voice),
                y=spread(error, "probability", voice),
            )
        )
    found.append(voice("limits.one_count", k=whole(privacy.sites_per_patient)))
    basis = voice.either(
        f"basis.{privacy.sites_per_patient_basis.replace(' ', '_')}", privacy.sites_per_patient_basis
    )
    found.append(voice("limits.sites_per_patient", k=whole(privacy.sites_per_patient), basis=basis))
    if exact:
        found.append(voice("limits.exact"))
    else:
        found += [
            voice("limits.final"),
            voice("limits.honest_noise"),
            voice("limits.minimum", n=whole(names.study.federation.min_released_patients)),
        ]
    found += _travel(package, voice)
    missing = dict.fromkeys(decision.question.missing for decision in decisions)
    found += [voice(f"limits.missing_{policy}") for policy in missing]
    found += [voice("limits.heterogeneity"), voice("limits.patient"), voice("limits.people")]
    return tuple(found)


def _travel(package: EvidencePackage, voice: Voice) -> list[Phrase]:
    """Return what was seen of a site's numbers on their way, by whom."""
    privacy, numbers = package.privacy, package.federation
    own, promised = number(privacy.epsilon_own_share or 0.0, 3), number(privacy.epsilon_promised or 0.0, 3)
    finite, found = privacy.epsilon_own_share is not None, []
    if in_clear(package):
        if finite:
            found.append(voice("limits.clear_sum", own=own, promised=promised))
    else:
        found.append(voice("limits.private_sum", t=whole(numbers.t)))
        if finite:
            c, n = whole(numbers.c), whole(numbers.n)
            small = display.promises(package)[0].against == "own_share"
            key = "limits.collusion_small" if small else "limits.collusion"
            found.append(voice(key, promised=promised, own=own, c=c, n=n))
    return [*found, voice("limits.coordinator")]
