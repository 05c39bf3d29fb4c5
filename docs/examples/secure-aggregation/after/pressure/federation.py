"""Who takes part, and the ranges of what is summed: every party has its own copy."""

from fedvalue.strategies import SecureTerms, unsafe_simulated_roster

TERMS = SecureTerms(
    run="pressure-1",
    roster=unsafe_simulated_roster(5),  # in a deployment: load_roster(Path("roster.toml"))
    train_metrics=("train-loss",),
    evaluate_metrics=("loss",),
    most_examples=10_000,
    largest=100.0,
)
