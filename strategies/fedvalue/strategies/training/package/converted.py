"""From trained parameters to the public numbers that score: every architecture as dense layers over columns.

Everything before the first activation is linear in the flags and levels, so an embedding table and the first
hidden layer are one matrix: ``W [x, E(level), G v] = W_x x + (W_coded E^T) onehot + (W_genes G) v``.
A baseline by interval becomes the biases of as many equal outputs. Nothing is approximated; only the order of
some sums changes.
"""

from __future__ import annotations

import math
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.estimate import TrainedModel
from fedvalue.errors import StudyInvalid
from fedvalue.study import architectures as registry
from fedvalue.study.architectures import (
    REACH,
    Architecture,
    Hazard,
    Inputs,
    Linear,
    Poisson,
    Survival,
    Tabular,
)
from fedvalue.study.cohort import MUTATED
from fedvalue.study.questions.question import Measured
from fedvalue.study.questions.training import Training
from fedvalue.study.scoring import Column, Layer, Link, ScoringModel, packed

Array = NDArray[np.float64]

STEEPEST = 30.0
"""Predictors of log links count from -30 to 30, as in training."""


@dataclass(frozen=True, slots=True)
class GeneColumns:
    """Which columns of a cohort a gene's block is.

    Attributes:
      variants: One column a variant, in the order of the block.
      unseen: Columns of which one is 1 where nobody looked at the gene; empty where that is not flagged.
    """

    variants: tuple[Column, ...]
    unseen: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True)
class Read:
    """What the inputs are called in the study.

    Attributes:
      numeric: Variable of each numeric column.
      coded: Variable and levels of each coded column.
      genes: Columns of each gene.
    """

    numeric: tuple[str, ...]
    coded: tuple[tuple[str, tuple[str, ...]], ...]
    genes: tuple[GeneColumns, ...] = ()


def scoring_model(architecture: Architecture, inputs: Inputs, read: Read, parameters: Array) -> ScoringModel:
    """Return trained parameters as public numbers.

    Args:
      architecture: Of the registry.
      inputs: What the model learned from, with the released centers and spreads.
      read: What the inputs are called in the study.
      parameters: Shape ``(d,)``.

    Raises:
      StudyInvalid: parameters of another length, a number that is not finite, names that do not fit the
        inputs, or more numbers than a study file holds.
    """
    _require_names(inputs, read)
    parts = _parts(architecture, inputs, parameters)
    columns, lifted = _lifted(architecture, inputs, read, parts)
    stack: list[Layer] = []
    if isinstance(architecture, Tabular | Survival):
        for i in range(len(architecture.layers)):
            weights, biases = parts[f"hidden.{i}.weight"], parts[f"hidden.{i}.bias"]
            stack.append((weights @ lifted if not i else weights, biases))
    weights = parts["output.weight"]
    inner = len(stack[-1][1]) if stack else 0
    skip = 0 < inner < weights.shape[1]
    if skip or not stack:
        weights = np.hstack([weights[:, :inner], weights[:, inner:] @ lifted])
    if "baseline.weight" in parts:
        baseline = parts["baseline.weight"][:, 0]
        stack.append((np.repeat(weights, len(baseline), axis=0), baseline))
    else:
        stack.append((weights, parts["output.bias"]))
    link, amounts = _link(architecture, inputs)
    if amounts is not None and isinstance(architecture, Linear):
        # the output counts from -1 to 1 over the outcome's range
        (last, bias), (low, high) = stack.pop(), amounts
        stack.append((last * (high - low) / 2, (bias + 1) / 2 * (high - low) + low))
    try:
        return ScoringModel(
            columns=columns, hidden=tuple(len(biases) for _, biases in stack[:-1]),
            activation=architecture.activation if isinstance(architecture, Tabular | Survival) else "relu",
            reach=REACH, outputs=len(stack[-1][1]), link=link, amounts=amounts, skip=skip,
            numbers=packed(stack, skip=skip),
        )  # fmt: skip
    except ValueError as error:
        raise StudyInvalid(
            f"the trained model has no public form: {error}", where=architecture.kind
        ) from error


def public_model(question: Training, measured: Measured, trained: TrainedModel) -> ScoringModel:
    """Return what a study's training arrived at as public numbers.

    Args:
      question: The training.
      measured: What the study measures.
      trained: Its conclusion's model.

    Raises:
      StudyInvalid: as in `scoring_model`.
    """
    inputs = question.inputs(measured).scaled(trained.centers, trained.spreads)
    genes = tuple(
        GeneColumns(
            tuple(Column(variable=name, level=MUTATED) for name in names),
            (Column(variable=names[0], unseen=True, also=names[1:]),),
        )
        for names in question.genes(measured).values()
    )  # fmt: skip
    read = Read(
        tuple(column.name for column in inputs.numeric),
        tuple((column.name, tuple(measured.variables[column.name].levels)) for column in inputs.coded), genes,
    )  # fmt: skip
    parameters = np.frombuffer(b64decode(trained.parameters), "<f8").astype(np.float64)
    return scoring_model(question.architecture, inputs, read, parameters)


def _parts(architecture: Architecture, inputs: Inputs, parameters: Array) -> dict[str, Array]:
    runs = registry.layers(architecture, inputs)
    values = np.asarray(parameters, dtype=np.float64)
    if values.shape != (sum(run.size for run in runs),):
        raise StudyInvalid(f"parameters of the shape {values.shape} are not those of this model")
    found, at = {}, 0
    for run in runs:
        found[run.name] = values[at : at + run.size].reshape(run.shape)
        at += run.size
    return found


def _lifted(
    architecture: Architecture, inputs: Inputs, read: Read, parts: dict[str, Array]
) -> tuple[tuple[Column, ...], Array]:
    """Return the columns, and the map from them to what enters the first layer, ``(width, columns)``."""
    columns: list[Column] = []
    blocks: list[Array] = []

    def add(found: Sequence[Column], block: Array) -> None:
        columns.extend(found)
        blocks.append(block)

    for name, numeric in zip(read.numeric, inputs.numeric, strict=True):
        center, spread = numeric.scale
        add([Column(variable=name, center=center, scale=spread)], np.ones((1, 1)))
    for name, numeric in zip(read.numeric, inputs.numeric, strict=True):
        if numeric.flagged:
            add([Column(variable=name, unknown=True)], np.ones((1, 1)))
    for gene, named in zip(inputs.genes, read.genes, strict=True):
        if gene.flagged:
            add(named.unseen, np.ones((1, len(named.unseen))))
    network = isinstance(architecture, Tabular | Survival)
    for i, (name, levels) in enumerate(read.coded):
        found = [
            *(Column(variable=name, level=level) for level in levels),
            Column(variable=name, unknown=True),
        ]
        add(found, parts[f"embeddings.{i}.weight"].T if network else np.eye(len(found)))
    for i, (gene, named) in enumerate(zip(inputs.genes, read.genes, strict=True)):
        add(named.variants, parts[f"genes.{i}.weight"] if network else np.eye(gene.variants))
    lifted = np.zeros((sum(len(b) for b in blocks), sum(b.shape[1] for b in blocks)))
    row = at = 0
    for block in blocks:
        lifted[row : row + len(block), at : at + block.shape[1]] = block
        row, at = row + len(block), at + block.shape[1]
    return _without_repeats(columns, lifted)


def _without_repeats(columns: Sequence[Column], lifted: Array) -> tuple[tuple[Column, ...], Array]:
    """Add up what one column of the cohort does in several places: a flag of a gene may be a level too."""
    names = list(dict.fromkeys(column.name for column in columns))
    found = np.zeros((len(lifted), len(names)))
    for column, effect in zip(columns, lifted.T, strict=True):
        found[:, names.index(column.name)] += effect
    first = {column.name: column for column in reversed(columns)}
    return tuple(first[name] for name in names), found


def _link(architecture: Architecture, inputs: Inputs) -> tuple[Link, tuple[float, float] | None]:
    if isinstance(architecture, Hazard):
        return "hazard_cloglog", None
    if isinstance(architecture, Survival):
        return "hazard", None
    if isinstance(architecture, Linear):
        return "identity", inputs.outcome_clip
    if isinstance(architecture, Poisson):
        return "log", (math.exp(-STEEPEST), math.exp(STEEPEST))
    return "logistic", None


def _require_names(inputs: Inputs, read: Read) -> None:
    for wrong in _differences(inputs, read):
        raise StudyInvalid(f"the names of the inputs do not fit them: {wrong}")


def _differences(inputs: Inputs, read: Read) -> Iterator[str]:
    if len(read.numeric) != len(inputs.numeric):
        yield "numeric columns"
    if [len(levels) for _, levels in read.coded] != [column.levels for column in inputs.coded]:
        yield "levels of the coded columns"
    if [len(gene.variants) for gene in read.genes] != [gene.variants for gene in inputs.genes]:
        yield "variants of the genes"
    if any(g.flagged != bool(r.unseen) for g, r in zip(inputs.genes, read.genes, strict=False)):
        yield "flags of the genes"
