"""Trained parameters, public numbers and the ONNX file say the same of every patient, hostile rows too."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.scoring import Network
from fedvalue.errors import StudyInvalid
from fedvalue.strategies.training.package.converted import GeneColumns, Read, scoring_model
from fedvalue.study.architectures import (
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
)
from fedvalue.study.cohort import Variable
from fedvalue.study.scoring import Column, ScoringModel

STAGES, EGFR = ("I", "II", "III"), ("L858R", "ex19del", "other", "not tested")
TP53 = ("mutated", "wild type", "not tested")
VARIABLES = {
    "age": Variable(person="age", clip=(18.0, 95.0), unit="years"),
    "creatinine": Variable(person="creatinine", clip=(0.0, 900.0), unit="umol/l"),
    "stage": Variable(person="stage", levels=STAGES),
    "egfr": Variable(person="egfr", levels=EGFR),
    "tp53": Variable(person="tp53", levels=TP53),
}
INPUTS = Inputs(
    (Numeric("age", (18.0, 95.0), center=60.0, spread=11.0),
     Numeric("creatinine", (0.0, 900.0), flagged=True, center=80.0, spread=12.0)),
    (Coded("stage", 3),), (Gene("EGFR", 2), Gene("TP53", 1)),
)  # fmt: skip


def gene(variable: str, *variants: str) -> GeneColumns:
    unseen = (Column(variable=variable, level="not tested"), Column(variable=variable, unknown=True))
    return GeneColumns(tuple(Column(variable=variable, level=level) for level in variants), unseen)


READ = Read(
    ("age", "creatinine"), (("stage", STAGES),), (gene("egfr", *EGFR[:2]), gene("tp53", "mutated"))
)  # fmt: skip
ARCHITECTURES: Mapping[str, tuple[Architecture, Inputs]] = {
    "logistic": (Logistic(), INPUTS),
    "linear": (Linear(), replace(INPUTS, outcome_clip=(0.0, 5000.0))),
    "poisson": (Poisson(start_rate=2.0), replace(INPUTS, outcome_clip=(0.0, 50.0))),
    "hazard": (Hazard(), replace(INPUTS, intervals=6)),
    "tabular tanh": (Tabular(layers=(7, 5)), INPUTS),
    "tabular silu": (Tabular(layers=(6,), activation="silu", embedding=2, gene_width=1), INPUTS),
    "tabular without skip": (Tabular(layers=(7, 5), skip=False), INPUTS),
    "tabular relu": (Tabular(layers=(8, 4, 3), activation="relu"), INPUTS),
    "survival proportional": (Survival(layers=(6,)), replace(INPUTS, intervals=5)),
    "survival free": (Survival(layers=(6,), proportional=False), replace(INPUTS, intervals=5)),
}


def patients(rng: np.random.Generator, n: int = 300) -> Cohort:
    strange = np.array([np.nan, np.inf, -np.inf, 1e300, -5.0, 0.0, 200.0])
    bad = rng.random(n) < 0.3
    return Cohort(
        n,
        {name: np.where(bad, rng.integers(-3, 9, n), rng.integers(0, len(levels), n))
         for name, levels in (("stage", STAGES), ("egfr", EGFR), ("tp53", TP53))},
        {name: np.where(bad, rng.choice(strange, n), rng.normal(middle, middle / 4, n))
         for name, middle in (("age", 60.0), ("creatinine", 80.0))},
    )  # fmt: skip


def parameters(architecture: Architecture, inputs: Inputs, rng: np.random.Generator) -> np.ndarray:
    from fedvalue.study.architectures import size

    return rng.normal(0.0, 0.4, size(architecture, inputs))


def exported(kind: str, rng: np.random.Generator) -> ScoringModel:
    architecture, inputs = ARCHITECTURES[kind]
    return scoring_model(architecture, inputs, READ, parameters(architecture, inputs, rng))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_public_numbers_predict_what_torch_does(kind: str, rng: np.random.Generator) -> None:
    pytest.importorskip("torch", reason="the extra train is not installed")
    from fedvalue.strategies.training.models.network import Rows, predict, score

    architecture, inputs = ARCHITECTURES[kind]
    numbers = parameters(architecture, inputs, rng)
    cohort = patients(rng)
    c = cohort.categories

    def known(name: str, levels: int) -> np.ndarray:
        return np.where((c[name] >= 0) & (c[name] < levels), c[name], -1)

    egfr, tp53 = known("egfr", 4), known("tp53", 3)
    multihot = np.column_stack([egfr == 0, egfr == 1, tp53 == 0]).astype(np.int64)
    multihot[(egfr < 0) | (egfr == 3), :2] = -1
    multihot[(tp53 < 0) | (tp53 == 2), 2] = -1
    rows = Rows(
        np.column_stack([cohort.numbers["age"], cohort.numbers["creatinine"]]), c["stage"][:, None], multihot
    )
    model = scoring_model(architecture, inputs, READ, numbers)
    found = Network.of(model, VARIABLES).values(cohort)
    expected = score(predict(architecture, inputs, numbers, rows))
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_the_onnx_file_predicts_what_the_public_numbers_do(kind: str, rng: np.random.Generator) -> None:
    pytest.importorskip("onnx", reason="the extra train is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="an ONNX runtime is not installed")
    from fedvalue.strategies.training.package.onnx_file import onnx_bytes

    model = exported(kind, rng)
    raw = onnx_bytes(model, VARIABLES, name="risk")
    assert hashlib.sha256(raw).digest() == hashlib.sha256(onnx_bytes(model, VARIABLES, name="risk")).digest()
    session = runtime.InferenceSession(raw, providers=["CPUExecutionProvider"])
    cohort = patients(rng)
    names = [v for v in model.variables if VARIABLES[v].clip is not None]
    coded = [v for v in model.variables if VARIABLES[v].clip is None]
    given = {
        "numbers": np.column_stack([cohort.numbers[v] for v in names]).astype(np.float64),
        "codes": np.column_stack([cohort.categories[v] for v in coded]).astype(np.int64),
    }
    (found,) = session.run(["prediction"], given)
    expected = Network.of(model, VARIABLES).values(cohort)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_a_linear_model_is_its_coefficients_worked_by_hand() -> None:
    architecture, inputs = Logistic(), Inputs((Numeric("age", (18.0, 95.0), center=60.0, spread=10.0),))
    model = scoring_model(architecture, inputs, Read(("age",), ()), np.array([0.5, -1.0]))
    assert model.coefficients == {"intercept": -1.0, "age": 0.5}
    # 80 years: .5 x 2 - 1 = 0, so one half
    people = Cohort(2, {}, {"age": np.array([80.0, np.nan])})
    found = Network.of(model, VARIABLES).values(people)
    assert found == pytest.approx([0.5, 1 / (1 + np.e)])


def test_one_patients_score_does_not_depend_on_who_stands_beside(rng: np.random.Generator) -> None:
    # to the last bit: else a patient who is removed could move the bins of others
    network = Network.of(exported("tabular silu", rng), VARIABLES)
    cohort = patients(rng, 257)
    whole = network.values(cohort)
    for keep in (np.array([0]), np.arange(3), np.arange(100, 257)):
        some = Cohort(
            len(keep), {k: v[keep] for k, v in cohort.categories.items()},
            {k: v[keep] for k, v in cohort.numbers.items()},
        )  # fmt: skip
        assert network.values(some).tobytes() == whole[keep].tobytes()


def test_what_does_not_fit_is_refused(rng: np.random.Generator) -> None:
    architecture, inputs = ARCHITECTURES["logistic"]
    numbers = parameters(architecture, inputs, rng)
    with pytest.raises(StudyInvalid, match="parameters of the shape"):
        scoring_model(architecture, inputs, READ, numbers[:-1])
    with pytest.raises(StudyInvalid, match="levels of the coded columns"):
        scoring_model(architecture, inputs, replace(READ, coded=(("stage", STAGES[:2]),)), numbers)
    with pytest.raises(StudyInvalid, match="not finite"):
        scoring_model(architecture, inputs, READ, np.where(np.arange(len(numbers)) == 3, np.nan, numbers))
    model = exported("logistic", rng)
    with pytest.raises(ValueError, match="numbers hold"):
        ScoringModel.model_validate({**model.model_dump(), "hidden": (3,)})
    with pytest.raises(ValueError, match="has no level"):
        model.require_reads({**VARIABLES, "stage": Variable(person="stage", levels=("I", "II"))})


def test_a_studys_training_becomes_the_public_numbers_of_its_model(rng: np.random.Generator) -> None:
    from base64 import b64encode

    from fedvalue.analyses.estimate import TrainedModel
    from fedvalue.strategies.training.package.converted import public_model
    from fedvalue.study.architectures import size
    from fedvalue.study.endpoints import Binary
    from fedvalue.study.questions.question import Measured
    from fedvalue.study.questions.training import Training

    genes = {
        name: Variable.model_validate({"variant": {"gene": "EGFR", "classes": [one]}, "levels": TP53})
        for name, one in (("l858r", "L858R"), ("ex19del", "ex19del"))
    }
    measured = Measured(
        {**VARIABLES, **genes}, {"response": Binary(kind="binary", source="person", column="response")}
    )
    architecture = Tabular(layers=(5,))
    question = Training(
        kind="training", name="risk", outcome="response", features=("age", "stage", "l858r", "ex19del"),
        flags=("age",), architecture=architecture, rounds=3, budget=0.5,
    )  # fmt: skip
    inputs = question.inputs(measured)
    numbers = rng.normal(size=size(architecture, inputs))
    trained = TrainedModel(
        name="risk", architecture=architecture.model_dump(mode="json"), centers=(61.0,), spreads=(9.0,),
        parameters=b64encode(numbers.astype("<f8").tobytes()).decode(), rounds=3, rounds_planned=3,
    )  # fmt: skip
    model = public_model(question, measured, trained)
    assert "l858r ex19del not looked at" in [column.name for column in model.columns]
    # looked at by one variable only, by none, by both: the flag is 1 only where nobody looked
    people = Cohort(
        4,
        {
            "stage": np.zeros(4, dtype=np.int64),
            "l858r": np.array([2, -1, 2, 0]),
            "ex19del": np.array([1, 2, 2, 1]),
        },
        {"age": np.full(4, 70.0)},
    )
    rows = Network.of(model, measured.variables).rows(people)
    flag = [column.name for column in model.columns].index("l858r ex19del not looked at")
    assert rows[:, flag].tolist() == [0.0, 1.0, 1.0, 0.0]
    pytest.importorskip("torch", reason="the extra train is not installed")
    from fedvalue.strategies.training.models.network import Rows, predict

    told = predict(
        architecture, inputs.scaled((61.0,), (9.0,)), numbers,
        Rows(np.full((4, 1), 70.0), np.zeros((4, 1), dtype=np.int64),
             np.array([[-1, 0], [-1, -1], [-1, -1], [1, 0]])),
    )  # fmt: skip
    found = Network.of(model, measured.variables).values(people)
    np.testing.assert_allclose(found, told, rtol=1e-12)
    pytest.importorskip("onnx", reason="the extra train is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="an ONNX runtime is not installed")
    from fedvalue.strategies.training.package.onnx_file import onnx_bytes

    session = runtime.InferenceSession(
        onnx_bytes(model, measured.variables, name="risk"), providers=["CPUExecutionProvider"]
    )
    codes = [name for name in model.variables if name != "age"]
    given = {
        "numbers": np.full((4, 1), 70.0),
        "codes": np.column_stack([people.categories[c] for c in codes]),
    }
    np.testing.assert_allclose(session.run(["prediction"], given)[0], told, rtol=1e-9)
