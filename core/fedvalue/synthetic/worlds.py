"""The two worlds that ship: six hospitals for the demonstration, three for a deployment test."""

from __future__ import annotations

from fedvalue.synthetic.world import Group, Hospital, World

# Medians without progression of about 11, 4 and 6 months: ln 2 / (progression + death) days.
MUTATED = Group(
    response=0.67,
    complete=0.06,
    progression=0.00188,
    death=0.00020,
    death_after_progression=0.0023,
    monthly_cost=9200,
)
WILD_TYPE = Group(
    response=0.14,
    complete=0.02,
    progression=0.00500,
    death=0.00080,
    death_after_progression=0.0035,
    monthly_cost=13800,
)
NOT_TESTED = Group(
    response=0.42,
    complete=0.04,
    progression=0.00340,
    death=0.00040,
    death_after_progression=0.0028,
    monthly_cost=11900,
)


def demo_world() -> World:
    """Return the demonstration: six hospitals of 60 to 640 cohort patients, modest shifts between them."""
    return World(
        hospitals=(
            Hospital("north-teaching", 640, response_shift=0.010, hazard_ratio=0.95),
            Hospital("river-cancer", 500, response_shift=0.020, hazard_ratio=0.97),
            Hospital("east-general", 400, response_shift=-0.010, hazard_ratio=1.03),
            Hospital("lake-university", 320, response_shift=-0.020, hazard_ratio=1.05),
            Hospital("south-county", 180, response_shift=-0.030, hazard_ratio=1.08),
            Hospital("hill-district", 60, response_shift=-0.030, hazard_ratio=1.10),
        ),
        mutated=MUTATED, wild_type=WILD_TYPE, not_tested=NOT_TESTED,
        share_mutated=0.60,
    )  # fmt: skip


def three_sites_world() -> World:
    """Return a small federation of three hospitals with 110 to 240 cohort patients."""
    return World(
        hospitals=(
            Hospital("north-teaching", 240),
            Hospital("river-cancer", 170, response_shift=0.01, hazard_ratio=0.97),
            Hospital("east-general", 110, response_shift=-0.02, hazard_ratio=1.05),
        ),
        mutated=MUTATED, wild_type=WILD_TYPE, not_tested=NOT_TESTED,
        share_mutated=0.60,
    )  # fmt: skip
