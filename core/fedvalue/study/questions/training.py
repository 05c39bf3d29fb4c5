"""``kind = "training"``: a model that hospitals learn together, round by round."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fedvalue.errors import StudyInvalid
from fedvalue.study.architectures import (
    Architecture,
    Coded,
    Gene,
    Hazard,
    Inputs,
    Linear,
    Numeric,
    Poisson,
    Survival,
    layers,
)
from fedvalue.study.cohort import MUTATED, WILD_TYPE, Variable
from fedvalue.study.endpoints import Binary, TimeToEvent
from fedvalue.study.model import Name, Part
from fedvalue.study.questions.question import Measured, Question

MOST_FEATURES = 200
MOST_ROUNDS = 1000
MOST_WORDS = 2_500_000
"""Rounds times parameters: the sums of all rounds are in the evidence, whose file holds so many numbers."""

Rate = Annotated[float, Field(gt=0, le=100)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Optimiser(Part):
    """What the coordinator does with the private mean of a round; Flower's own strategies of these names.

    Attributes:
      kind: ``fedadam``, ``fedyogi``, ``fedadagrad`` (Reddi and others, Adaptive federated optimization, ICLR
        2021), ``fedavgm`` (Hsu, Qi, Brown 2019), ``momentum`` (a step of ``rate`` with heavy-ball momentum),
        ``plain`` (a step of ``rate``).
      rate: Server learning rate.
      beta_1: Of ``fedadam`` and ``fedyogi``; the momentum of ``fedavgm`` and ``momentum``.
      beta_2: Of ``fedadam`` and ``fedyogi``.
      tau: Keeps adaptive steps short where little is known; of the adaptive ones.
    """

    kind: Literal["fedadam", "fedyogi", "fedadagrad", "fedavgm", "momentum", "plain"] = "fedadam"
    rate: Rate = 0.1
    beta_1: Share = 0.9
    beta_2: Share = 0.99
    tau: float = Field(default=1e-3, gt=0, le=10)


class Local(Part):
    """The steps that a hospital takes by itself in a round, each with its own noise.

    Attributes:
      steps: How many.
      rate: Learning rate of a step.
      patients: Public number of patients that a step's gradient is divided by, times the sampling rate: about
        as many as a hospital has.
      mu: Strength of the pull back to the round's parameters (FedProx: Li and others, Federated optimization
        in heterogeneous networks, MLSys 2020); 0 for none.
      personal_head: True where the output layer of each hospital stays there and never leaves.
    """

    steps: int = Field(default=5, ge=1, le=1000)
    rate: Rate = 0.5
    patients: int = Field(ge=1, le=100_000_000)
    mu: float = Field(default=0.0, ge=0, le=100)
    personal_head: bool = False


class Training(Question):
    """A model of one outcome, trained over all hospitals.

    Attributes:
      name: Of the model, unique among the study's trainings.
      outcome: A binary endpoint, a time-to-event endpoint, or a numeric variable.
      features: Variables that the model reads. Variants of one gene each are grouped by gene.
      flags: Numeric features beside which a column says that the value is unknown.
      architecture: One of the registry, with its public choices.
      method: ``dp_fedsgd``: each round one clipped gradient over the private sum. ``fedavg_local``: each
        round the hospitals take steps by themselves, each with its own noise, and where they led is summed.
      rounds: At most so many; each is charged when it is asked.
      sampling_rate: Probability with which each patient enters a step, secretly drawn anew for each.
      clip_norm: Longest gradient of one patient.
      patients: Public number of patients of all hospitals that a sum is divided by, times the sampling rate.
        Left out, it is the released number of patients with an outcome.
      optimiser: What the coordinator does with a round.
      local: The steps of ``fedavg_local``.
      scaling: ``moments``: numeric features are scaled by securely summed means and variances, which are
        released first and charged. ``ranges``: by their public clips alone.
      scaling_share: Share of the training's budget for that release.
      average: The model is the mean of the parameters of this share of the rounds, the last ones.
      seed: Public; where the parameters start.
    """

    kind: Literal["training"]
    name: Name
    outcome: Name
    features: tuple[Name, ...] = Field(strict=False, min_length=1, max_length=MOST_FEATURES)
    flags: tuple[Name, ...] = Field(default=(), strict=False)
    architecture: Architecture
    method: Literal["dp_fedsgd", "fedavg_local"] = "dp_fedsgd"
    rounds: int = Field(ge=1, le=MOST_ROUNDS)
    sampling_rate: float = Field(default=1.0, gt=0, le=1)
    clip_norm: float = Field(default=1.0, gt=0, le=1000)
    patients: int | None = Field(default=None, ge=1, le=1_000_000_000)
    optimiser: Optimiser = Optimiser()
    local: Local | None = None
    scaling: Literal["moments", "ranges"] = "moments"
    scaling_share: float = Field(default=0.05, gt=0, lt=1)
    average: float = Field(default=0.25, ge=0, le=1)
    seed: int = Field(default=1, ge=0, le=2**31 - 1)

    @model_validator(mode="after")
    def _method_complete(self) -> Self:
        if (self.method == "fedavg_local") != (self.local is not None):
            raise ValueError("method = 'fedavg_local' takes a table local, and nothing else does")
        if self.scaling == "ranges" and self.patients is None and self.local is None:
            raise ValueError("scaling = 'ranges' releases no number of patients: give patients, a public one")
        if len(set(self.features)) != len(self.features):
            raise ValueError("features name a variable twice")
        if not set(self.flags) <= set(self.features):
            raise ValueError("flags are for features")
        return self

    @property
    def rate(self) -> Fraction:
        """q, exactly as written."""
        return Fraction(str(self.sampling_rate))

    @property
    def clip(self) -> Fraction:
        """C, exactly as written."""
        return Fraction(str(self.clip_norm))

    def require_fits(self, measured: Measured) -> None:
        """Check outcome, features, and that the architecture fits them and is not too large."""
        for name in self.features:
            if name not in measured.variables:
                raise ValueError(f"features: {name!r} is no variable; there are {sorted(measured.variables)}")
        for name in self.flags:
            measured.number(name, "flags")
        if self.outcome in self.features:
            raise ValueError(f"features hold the outcome {self.outcome!r}")
        timed = isinstance(measured.endpoints.get(self.outcome), TimeToEvent)
        if timed != isinstance(self.architecture, Hazard | Survival):
            raise ValueError(
                f"architecture = {self.architecture.kind!r} takes "
                + ("an outcome without times" if timed else "a time_to_event endpoint")
            )
        if isinstance(self.architecture, Linear | Poisson):
            low, _ = measured.number(self.outcome, "outcome")
            if isinstance(self.architecture, Poisson) and low < 0:
                raise ValueError("architecture = 'poisson' needs an outcome whose clip starts at 0 or above")
        elif not timed:
            measured.binary(self.outcome, "outcome")
        try:
            size = sum(layer.size for layer in layers(self.architecture, self.inputs(measured)))
        except StudyInvalid as error:
            raise ValueError(f"architecture: {error.what}") from error
        if size * self.rounds > MOST_WORDS:
            raise ValueError(
                f"rounds = {self.rounds} of {size:,} parameters are {size * self.rounds:,} released numbers; "
                f"at most {MOST_WORDS:,} are allowed"
            )

    def times(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the outcome with the features, where it is a time."""
        return ((self.outcome, self.features),) if isinstance(self.architecture, Hazard | Survival) else ()

    def inputs(self, measured: Measured) -> Inputs:
        """Return what the model reads, before anything is scaled."""
        variables, endpoint = measured.variables, measured.endpoints.get(self.outcome)
        numeric = tuple(
            Numeric(name, clip, flagged=name in self.flags)
            for name in self.features
            if (clip := variables[name].clip) is not None
        )
        by_gene = self.genes(measured)
        grouped = {name for names in by_gene.values() for name in names}
        coded = tuple(
            Coded(name, len(variables[name].levels))
            for name in self.features
            if variables[name].clip is None and name not in grouped
        )
        genes = tuple(Gene(gene, len(names)) for gene, names in by_gene.items())
        amount = isinstance(self.architecture, Linear | Poisson)
        return Inputs(
            numeric, coded, genes,
            intervals=endpoint.intervals if isinstance(endpoint, TimeToEvent) else 0,
            outcome_clip=measured.number(self.outcome, "outcome") if amount else None,
        )  # fmt: skip

    def genes(self, measured: Measured) -> dict[str, tuple[str, ...]]:
        """Return each gene with the features that are its variants, in the study's order."""
        found: dict[str, tuple[str, ...]] = {}
        for name in self.features:
            variant = measured.variables[name].variant
            if variant is not None and _yes_or_no(measured.variables[name]):
                found[variant.gene] = (*found.get(variant.gene, ()), name)
        return found

    def missing_fails(self, measured: Measured) -> bool:
        """Tell whether a missing outcome counts as failure."""
        endpoint = measured.endpoints.get(self.outcome)
        return isinstance(endpoint, Binary) and endpoint.missing == "non_response"

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        size = sum(layer.size for layer in layers(self.architecture, self.inputs(measured)))
        rate = (
            f"{float(self.rate) * 100:.3g}% of the patients, drawn secretly anew"
            if self.rate < 1
            else "all patients"
        )
        if self.local is None:
            how = (
                f"in up to {self.rounds} rounds the hospitals add up gradients of {rate}, each patient's at "
                f"most {self.clip_norm:g} long"
            )
        else:
            how = (
                f"in up to {self.rounds} rounds each hospital takes {self.local.steps} step(s) by itself on "
                f"{rate}, with its own noise, and where they led is added up"
            )
            if self.local.personal_head:
                how += "; the output layer stays at the hospital"
        moments = "; means and variances of the numeric features are released first" * (
            self.scaling == "moments"
        )
        return (
            f"A model ({self.architecture.kind}, {size} numbers) that predicts {self.outcome} from "
            f"{', '.join(self.features)}: {how}{moments}"
        )


def _yes_or_no(variable: Variable) -> bool:
    """Tell whether a variant's variable says found, not found or not looked at, and nothing finer."""
    return variable.levels[:2] == (MUTATED, WILD_TYPE) and len(variable.levels) <= 3
