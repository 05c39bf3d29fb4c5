"""The registry of architectures: what a study may name, and how large it is before anybody sees a patient."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from fedvalue.errors import StudyInvalid
from fedvalue.study.architectures import (
    ARCHITECTURES,
    MOST_PARAMETERS,
    Architecture,
    Coded,
    Gene,
    Hazard,
    Inputs,
    Linear,
    Logistic,
    Numeric,
    Poisson,
    Survival,
    Tabular,
    layers,
    size,
)

ANY: TypeAdapter[Architecture] = TypeAdapter(Architecture)
INPUTS = Inputs((Numeric("age", (0, 100), flagged=True),), (Coded("sex", 2),), (Gene("EGFR", 3),))


def test_a_study_names_an_architecture_by_its_kind() -> None:
    assert ANY.validate_python({"kind": "tabular", "layers": [8, 4]}) == Tabular(layers=(8, 4))
    assert {ANY.validate_python({"kind": kind}).kind for kind in ARCHITECTURES} == set(ARCHITECTURES)


@pytest.mark.parametrize(
    "asked",
    [
        {"kind": "transformer"},
        {"kind": "tabular", "layers": []},
        {"kind": "tabular", "layers": [8] * 5},
        {"kind": "tabular", "layers": [257]},
        {"kind": "tabular", "batch_norm": True},
        {"kind": "tabular", "activation": "batch_norm"},
        {"kind": "tabular", "embedding": 33},
        {"kind": "survival", "start_rate": 0.9},
        {"kind": "logistic", "start_rate": 0.0},
        {"kind": "logistic", "layers": [4]},
    ],
)
def test_nothing_outside_the_public_bounds_is_an_architecture(asked: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ANY.validate_python(asked)


def test_sizes_by_hand() -> None:
    # columns: age, its flag, the flag of EGFR, sex as 2 levels and unknown, 3 variants: 1 + 1 + 1 + 3 + 3 = 9
    assert size(Logistic(), INPUTS) == 9 + 1
    timed = Inputs(INPUTS.numeric, INPUTS.coded, INPUTS.genes, intervals=7)
    assert size(Hazard(), timed) == 9 + 7
    # embedding 3 x 2, gene map 2 x 3; into the first layer flow 3 + 2 + 2 = 7; hidden 7 x 4 + 4; output 4 + 1
    plain = Tabular(layers=(4,), embedding=2, gene_width=2, skip=False)
    assert size(plain, INPUTS) == 6 + 6 + 32 + 5
    assert size(plain.model_copy(update={"skip": True}), INPUTS) == 6 + 6 + 32 + 5 + 7
    # without proportional hazards each of 7 intervals has a row of 4 weights and a bias: 7 x 5
    every = Survival(layers=(4,), embedding=2, gene_width=2, skip=False, proportional=False)
    assert size(every, timed) == 6 + 6 + 32 + 35


def test_only_the_output_is_the_head() -> None:
    heads = {layer.name for layer in layers(Tabular(), INPUTS) if layer.head}
    assert heads == {"output.weight", "output.bias"}


@pytest.mark.parametrize(
    ("architecture", "inputs", "words"),
    [
        (Logistic(), Inputs(INPUTS.numeric, intervals=3), "without a time grid"),
        (Hazard(), INPUTS, "time-to-event"),
        (Survival(), Inputs(INPUTS.numeric, intervals=500), "coarser grid"),
        (Linear(), INPUTS, "numeric outcome with a clip"),
        (Logistic(), Inputs(INPUTS.numeric, outcome_clip=(0, 1)), "no numeric outcome"),
        (Poisson(), Inputs(outcome_clip=(0, 9)), "at least one variable"),
        (Tabular(layers=(256,) * 4), Inputs(coded=(Coded("code", 40_000),)), "parameters"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(architecture: Architecture, inputs: Inputs, words: str) -> None:
    if words == "parameters":
        inputs = Inputs(coded=(Coded("code", MOST_PARAMETERS),))
    with pytest.raises(StudyInvalid, match=words):
        layers(architecture, inputs)


def test_released_moments_scale_the_columns_but_never_to_nothing() -> None:
    column = Numeric("age", (0, 100))
    assert column.scale == (50.0, 50.0)
    scaled = Inputs((column,)).scaled((61.5,), (9.0,)).numeric[0]
    assert scaled.scale == (61.5, 9.0)
    # a released spread can come out negative under noise: a thousandth of the clip is the least
    assert Inputs((column,)).scaled((-7.0,), (-3.0,)).numeric[0].scale == (0.0, 0.1)
    with pytest.raises(StudyInvalid, match="as many"):
        Inputs((column,)).scaled((1.0, 2.0), (1.0, 2.0))
    with pytest.raises(StudyInvalid, match="not a number"):
        Inputs((column,)).scaled((float("nan"),), (1.0,))
