"""What an approved plan means to the private sum: who takes part, and the terms of each release.

Sites, the coordinator and whoever checks the evidence later compute the same values from the study and
the roster; nobody takes them from a message.
"""

from __future__ import annotations

from fedvalue.planning.plan import PUBLIC_WORD, Plan, PlannedRelease
from fedvalue.privacy.release import LOG2_SCALE
from fedvalue.secure_sum.membership import Member, Membership
from fedvalue.secure_sum.specification import BlockTerms, ReleaseTerms
from fedvalue.study.roster import Roster


def membership_of(roster: Roster, plan: Plan) -> Membership:
    """Return the members and thresholds of an approved plan.

    Raises:
      EntityRepeated: two sites of one legal entity.
    """
    members = tuple(Member(s.id, s.entity, bytes.fromhex(s.public_key)) for s in roster.site)
    return Membership(plan.roster_hash, members, plan.thresholds)


def terms_of(plan: Plan, release: PlannedRelease) -> ReleaseTerms:
    """Return the terms of one planned release; `ReleaseTerms.asked` adds its public numbers."""
    blocks = tuple(
        BlockTerms(b.name, b.dimension, str(b.bound_squared), str(b.rho_units), str(gamma))
        for b, gamma in zip(release.blocks, release.scales.gammas, strict=True)
    )
    analyses = tuple(part.analysis.label for part in release.parts)
    return ReleaseTerms(
        release.label,
        analyses,
        plan.specification(release),
        release.dimension,
        LOG2_SCALE,
        release.exact,
        blocks,
        PUBLIC_WORD * release.public_size,
    )
