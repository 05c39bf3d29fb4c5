"""The architectures a site agrees to train, with public bounds on every choice: nothing else ever runs there.

A study names one of them; what it learns from, the public ranges, levels and genes, is `Inputs`. Together
they fix every layer and its shape before anybody looks at a patient, so the plan knows how many numbers a
release has and a hospital reads the whole model in the study file. No layer mixes patients: there is no
batch normalization and no attention between rows, so what one patient adds to a gradient depends on that
patient and on public numbers alone.

What is missing is part of a model. An unknown number counts as the middle of its scale, and a flag can say
so; an unknown level has an embedding of its own; genes that nobody looked at, at a patient or at a whole
hospital, are zeros with a flag.

The survival network is the discrete-time model of Gensheimer and Narasimhan, A scalable discrete-time
survival model for neural networks, PeerJ 7 (2019) e6257; the linear hazard is the grouped proportional
hazards model of Prentice and Gloeckler, Biometrics 34 (1978) 57-67.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import Field

from fedvalue.errors import StudyInvalid
from fedvalue.study.model import Part

MOST_PARAMETERS = 2**20
"""Most numbers of a model: past it no budget of a study leaves anything but noise."""

MOST_LAYERS = 4
MOST_WIDTH = 256
MOST_INTERVALS = 120

REACH = 5.0
"""A scaled number counts from -5 to 5: one strange laboratory value is no lever."""

Width = Annotated[int, Field(ge=1, le=MOST_WIDTH)]
Activation = Literal["tanh", "silu", "relu"]


class Logistic(Part):
    """A logistic regression.

    Attributes:
      start_rate: Public guess of how often the outcome happens, where training starts.
    """

    kind: Literal["logistic"] = "logistic"
    start_rate: float = Field(default=0.5, ge=0.001, le=0.999)


class Linear(Part):
    """A linear regression of a number, with the public clip as its scale."""

    kind: Literal["linear"] = "linear"


class Poisson(Part):
    """A Poisson regression of a count or an amount, with a log link.

    Attributes:
      start_rate: Public guess of the mean, where training starts, in the outcome's unit.
    """

    kind: Literal["poisson"] = "poisson"
    start_rate: float = Field(default=1.0, gt=0, le=1e9)


class Hazard(Part):
    """A linear proportional hazards model on the endpoint's public grid, with a complementary log-log link.

    Attributes:
      start_rate: Public guess of the share of patients at risk who have the event in an interval.
    """

    kind: Literal["hazard"] = "hazard"
    start_rate: float = Field(default=0.05, ge=0.0001, le=0.5)


class Tabular(Part):
    """A network over numbers, embeddings of coded columns, and one map for the variants of each gene.

    Attributes:
      layers: Widths of the hidden layers, first to last.
      activation: Behind each hidden layer.
      embedding: Numbers that stand for a level of a coded column, at most one more than its levels.
      gene_width: Numbers that stand for the variants of a gene, at most as many as its variants.
      skip: Whether what enters the first layer also enters the output: a linear model beside the network,
        which noisy gradients find first (Cheng and others, Wide and deep learning, DLRS 2016).
      start_rate: Public guess of how often the outcome happens, where training starts.
    """

    kind: Literal["tabular"] = "tabular"
    layers: tuple[Width, ...] = Field(default=(32,), strict=False, min_length=1, max_length=MOST_LAYERS)
    activation: Activation = "tanh"
    embedding: int = Field(default=4, ge=1, le=32)
    gene_width: int = Field(default=2, ge=1, le=32)
    skip: bool = True
    start_rate: float = Field(default=0.5, ge=0.001, le=0.999)


class Survival(Part):
    """A discrete-time survival network: the hazard of each interval of the endpoint's public grid.

    Attributes:
      layers: Widths of the hidden layers, first to last.
      activation: Behind each hidden layer.
      embedding: As in `Tabular`.
      gene_width: As in `Tabular`.
      skip: As in `Tabular`.
      proportional: One score a patient, added to a baseline in each interval; otherwise the network gives
        every interval a number of its own.
      start_rate: Public guess of the share of patients at risk who have the event in an interval.
    """

    kind: Literal["survival"] = "survival"
    layers: tuple[Width, ...] = Field(default=(32,), strict=False, min_length=1, max_length=MOST_LAYERS)
    activation: Activation = "tanh"
    embedding: int = Field(default=4, ge=1, le=32)
    gene_width: int = Field(default=2, ge=1, le=32)
    skip: bool = True
    proportional: bool = True
    start_rate: float = Field(default=0.05, ge=0.0001, le=0.5)


Network = Tabular | Survival
Architecture = Annotated[
    Logistic | Linear | Poisson | Hazard | Tabular | Survival, Field(discriminator="kind")
]

ARCHITECTURES: Final[Mapping[str, type[Part]]] = MappingProxyType(
    {
        "logistic": Logistic,
        "linear": Linear,
        "poisson": Poisson,
        "hazard": Hazard,
        "tabular": Tabular,
        "survival": Survival,
    }
)
"""Every architecture by its ``kind``: the one list that a site runs."""


@dataclass(frozen=True, slots=True)
class Numeric:
    """A numeric column.

    Attributes:
      name: Of the variable.
      clip: Public range, in the variable's unit; values outside are moved to its ends.
      flagged: True where a column beside it says that the value is unknown.
      center: What counts as 0, in the variable's unit: a released mean. None for the middle of the clip.
      spread: What counts as 1: a released standard deviation. None for half the clip.
    """

    name: str
    clip: tuple[float, float]
    flagged: bool = False
    center: float | None = None
    spread: float | None = None

    @property
    def scale(self) -> tuple[float, float]:
        """Center and spread that hold; a spread is at least a thousandth of the clip, a center inside it."""
        low, high = self.clip
        width = high - low
        center = (low + high) / 2 if self.center is None else min(max(self.center, low), high)
        return center, width / 2 if self.spread is None else min(max(self.spread, width / 1000), width)


@dataclass(frozen=True, slots=True)
class Coded:
    """A column of levels.

    Attributes:
      name: Of the variable.
      levels: How many public levels it has; any other code is the unknown level.
    """

    name: str
    levels: int


@dataclass(frozen=True, slots=True)
class Gene:
    """The variants of one gene, each 1 where a patient has it; a patient may have several.

    Attributes:
      name: Of the gene.
      variants: How many columns it has.
      flagged: True where a column beside them says that nobody looked.
    """

    name: str
    variants: int
    flagged: bool = True


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a model learns from, and from what: public facts only.

    Attributes:
      numeric: Numeric columns.
      coded: Columns of levels.
      genes: Blocks of variants.
      intervals: Intervals of the outcome's public time grid; 0 for an outcome without one.
      outcome_clip: Public range of a numeric outcome, in its unit.
    """

    numeric: tuple[Numeric, ...] = ()
    coded: tuple[Coded, ...] = ()
    genes: tuple[Gene, ...] = ()
    intervals: int = 0
    outcome_clip: tuple[float, float] | None = None

    @property
    def dense(self) -> int:
        """Columns that enter a model as they are: scaled numbers and the flags of all blocks."""
        flags = sum(column.flagged for column in self.numeric) + sum(gene.flagged for gene in self.genes)
        return len(self.numeric) + flags

    @property
    def variants(self) -> int:
        """Columns of all genes together."""
        return sum(gene.variants for gene in self.genes)

    def scaled(self, centers: tuple[float, ...], spreads: tuple[float, ...]) -> Inputs:
        """Return the same inputs with released means and standard deviations, one for each numeric column.

        Raises:
          StudyInvalid: another number of them, or one that is not finite.
        """
        if not (len(centers) == len(spreads) == len(self.numeric)):
            raise StudyInvalid(f"{len(self.numeric)} numeric columns take as many centers and spreads")
        if not all(map(math.isfinite, (*centers, *spreads))):
            raise StudyInvalid("a center or a spread is not a number")
        found = zip(self.numeric, centers, spreads, strict=True)
        return replace(self, numeric=tuple(replace(c, center=m, spread=s) for c, m, s in found))


@dataclass(frozen=True, slots=True)
class Layer:
    """A run of a model's parameters.

    Attributes:
      name: As the module calls it.
      shape: Of the array.
      fan_in: How many numbers flow into one of its outputs; 0 for what starts at ``start``.
      start: Value of every number of it before training, where ``fan_in`` is 0.
      head: True for the output layer: what a site keeps to itself where the head is personal.
    """

    name: str
    shape: tuple[int, ...]
    fan_in: int
    start: float = 0.0
    head: bool = False

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


def layers(architecture: Architecture, inputs: Inputs) -> tuple[Layer, ...]:
    """Return every run of parameters, in the order of the flat vector.

    Raises:
      StudyInvalid: the architecture does not fit the inputs, or the model is too large.
    """
    _require_fits(architecture, inputs)
    found = tuple(_layers(architecture, inputs))
    if (whole := sum(layer.size for layer in found)) > MOST_PARAMETERS:
        raise StudyInvalid(
            f"the model has {whole:,} parameters; at most {MOST_PARAMETERS:,} are allowed",
            do="choose narrower layers, smaller embeddings or fewer columns",
        )
    return found


def size(architecture: Architecture, inputs: Inputs) -> int:
    """Return d, how many numbers the model has and one gradient releases.

    Raises:
      StudyInvalid: the architecture does not fit the inputs, or the model is too large.
    """
    return sum(layer.size for layer in layers(architecture, inputs))


def outputs(architecture: Architecture, inputs: Inputs) -> int:
    """Return how many numbers the last layer gives a patient."""
    if isinstance(architecture, Survival):
        return 1 if architecture.proportional else inputs.intervals
    return 1


def start(architecture: Architecture) -> float:
    """Return where the output starts: the public guess of the rate on the scale of the link."""
    if isinstance(architecture, Linear):
        return 0.0
    rate = architecture.start_rate
    if isinstance(architecture, Poisson):
        return math.log(rate)
    if isinstance(architecture, Hazard):
        return math.log(-math.log1p(-rate))
    return math.log(rate / (1 - rate))


def embedding_width(architecture: Network, column: Coded) -> int:
    """Return how many numbers stand for a level of a column."""
    return min(architecture.embedding, column.levels + 1)


def gene_width(architecture: Network, gene: Gene) -> int:
    """Return how many numbers stand for the variants of a gene."""
    return min(architecture.gene_width, gene.variants)


def first_width(architecture: Architecture, inputs: Inputs) -> int:
    """Return how many numbers flow into the first layer."""
    if isinstance(architecture, Tabular | Survival):
        coded = sum(embedding_width(architecture, column) for column in inputs.coded)
        return inputs.dense + coded + sum(gene_width(architecture, gene) for gene in inputs.genes)
    return inputs.dense + sum(column.levels + 1 for column in inputs.coded) + inputs.variants


def _layers(architecture: Architecture, inputs: Inputs) -> list[Layer]:
    found: list[Layer] = []
    width = first_width(architecture, inputs)
    if isinstance(architecture, Tabular | Survival):
        for i, column in enumerate(inputs.coded):
            shape = (column.levels + 1, embedding_width(architecture, column))
            found.append(Layer(f"embeddings.{i}.weight", shape, shape[1]))
        for i, gene in enumerate(inputs.genes):
            shape = (gene_width(architecture, gene), gene.variants)
            found.append(Layer(f"genes.{i}.weight", shape, gene.variants))
        for i, wide in enumerate(architecture.layers):
            found.append(Layer(f"hidden.{i}.weight", (wide, width), width))
            found.append(Layer(f"hidden.{i}.bias", (wide,), 0))
            width = wide
        width += first_width(architecture, inputs) if architecture.skip else 0
    begin = start(architecture)
    out = outputs(architecture, inputs)
    based = inputs.intervals > 0 and out == 1
    found.append(Layer("output.weight", (out, width), 0, head=True))
    if based:
        found.append(Layer("baseline.weight", (inputs.intervals, 1), 0, begin, head=True))
    else:
        found.append(Layer("output.bias", (out,), 0, begin, head=True))
    return found


def _require_fits(architecture: Architecture, inputs: Inputs) -> None:
    timed = isinstance(architecture, Hazard | Survival)
    if timed != (inputs.intervals > 0):
        what = "a time-to-event outcome" if timed else "an outcome without a time grid"
        raise StudyInvalid(f"the architecture {architecture.kind!r} takes {what}")
    if inputs.intervals > MOST_INTERVALS:
        raise StudyInvalid(
            f"the time grid has {inputs.intervals} intervals; a model takes at most {MOST_INTERVALS}",
            do="choose a coarser grid",
        )
    if isinstance(architecture, Linear | Poisson) != (inputs.outcome_clip is not None):
        what = "a numeric outcome with a clip" if inputs.outcome_clip is None else "no numeric outcome"
        raise StudyInvalid(f"the architecture {architecture.kind!r} takes {what}")
    if not (inputs.numeric or inputs.coded or inputs.genes):
        raise StudyInvalid("a model needs at least one variable")
