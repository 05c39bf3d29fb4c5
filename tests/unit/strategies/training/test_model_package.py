"""From a study that evaluates a model to its signed package, its card, and a hospital's own scores."""

from __future__ import annotations

import csv
import json
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.cli import main
from fedvalue.errors import EvidenceError, SignatureInvalid
from fedvalue.evidence import documents, sealing
from fedvalue.evidence.package import EvidencePackage
from fedvalue.simulation import PooledTable, run
from fedvalue.strategies.training.package import document, making
from fedvalue.strategies.training.package.about import load_about
from fedvalue.strategies.training.package.audit import (
    AuditRun,
    Membership,
    TrainingAudit,
    audited,
    load_audit,
)
from fedvalue.study.keys import load_key, make_key
from fedvalue.study.scoring import Column, ScoringModel, packed
from tests.study_head import head

PATIENTS = 2400
MAPPING = """
mapping = 1
[files.t]
path = "table.csv"
[patient]
file = "t"
patient_id = "id"
origin = { date = "start" }
[patient.attributes]
sex = "sex"
grade = "grade"
stroke = "stroke"
age = { column = "age", type = "number" }
"""
STUDY = (
    head("stroke-risk-evaluated", title="Risk of stroke, evaluated", epsilon=16.0)
    + """
[diagnostics]
share = 0
[variables]
age = { person = "age", clip = [18, 95], unit = "years" }
sex = { person = "sex", levels = ["female", "male"] }
grade = { person = "grade", levels = ["mild", "severe"] }
day = { calendar = "index", between = [2024-01-01, 2024-12-31] }
[endpoints]
stroke = { kind = "binary", source = "person", column = "stroke", missing = "exclude" }
"""
)
ABOUT = """
name = "stroke-risk"
title = { en = "Risk of stroke", zh = "卒中风险" }
purpose = { en = "To plan follow-up visits.", zh = "用于安排随访。" }
limits = [{ en = "Not for children.", zh = "不适用于儿童。" }]
[reasons]
age = { en = "Strokes become more frequent with age.", zh = "卒中随年龄增多。" }
grade = { en = "Severe hypertension damages vessels.", zh = "重度高血压损害血管。" }
"""
COLUMNS = (
    Column(variable="age", center=60.0, scale=10.0), Column(variable="grade", level="severe"),
    Column(variable="grade", unknown=True),
)  # fmt: skip
MODEL = ScoringModel(columns=COLUMNS, numbers=packed([(np.array([[0.8, 1.1, 0.2]]), np.array([-1.2]))]))


def predicted(age: np.ndarray, severe: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-(0.8 * (age - 60) / 10 + 1.1 * severe - 1.2))))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated evaluation, and beside it what people say and a key."""
    rng, where = np.random.default_rng(3), tmp_path_factory.mktemp("model")
    age, severe = rng.integers(40, 80, PATIENTS), rng.random(PATIENTS) < 0.3
    pd.DataFrame(
        {
            "id": [f"p{i}" for i in range(PATIENTS)], "site": np.arange(PATIENTS) % 3,
            "start": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 366, PATIENTS), "D"),
            "sex": rng.choice(["female", "male"], PATIENTS), "grade": np.where(severe, "severe", "mild"),
            "age": age, "stroke": (rng.random(PATIENTS) < predicted(age, severe)).astype(int),
        }
    ).to_csv(where / "table.csv", index=False)  # fmt: skip
    (where / "mapping.toml").write_text(MAPPING)
    asked = making.stanza(MODEL, outcome="stroke", by=("sex",)).replace(
        "budget = 0.5",
        'budget = 1.0\ncalendar = "day"\ncells = ["grade"]\nbins = 8\n'
        'tiers = { names = ["low", "high"], cuts = [0.5] }\nsites = true',
    )
    (where / "study.toml").write_text(STUDY + asked)
    (where / "about.toml").write_text(ABOUT)
    make_key(where / "key.pem")
    pooled = PooledTable(where / "table.csv", where / "mapping.toml", site_column="site")
    run(where / "study.toml", pooled, out=where / "out")
    assert main(["model", "make", str(where / "out" / "evidence.json"), "--about", str(where / "about.toml"),
                 "--key", str(where / "key.pem"), "--out", str(where / "package")]) == 0  # fmt: skip
    return where


@pytest.fixture(scope="module")
def evidence(folder: Path) -> EvidencePackage:
    return sealing.load(folder / "out" / "evidence.json")


@pytest.fixture(scope="module")
def package(folder: Path) -> document.ModelPackage:
    return document.checked(folder / "package")


def test_the_package_says_what_the_evidence_says(
    package: document.ModelPackage, evidence: EvidencePackage, folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert package.model == MODEL
    assert package.simulation
    assert package.evaluations == tuple(c for c in evidence.conclusions if c.kind == "model_evaluation")
    assert [spent.evidence_id for spent in package.spent] == [evidence.evidence_id]
    assert package.spent[0].sites == ("site-0", "site-1", "site-2") or len(package.spent[0].sites) == 3
    area = package.evaluations[0].stratum("all").estimates["area under the ROC curve"]
    assert area.value == pytest.approx(0.77, abs=0.05)
    assert area.privacy_variance > 0
    assert (
        main(
            ["model", "verify", str(folder / "package"), "--evidence", str(folder / "out" / "evidence.json")]
        )
        == 0
    )
    told = capsys.readouterr().out
    assert "says what the package says" in told
    assert main(["model", "show", str(folder / "package")]) == 0
    shown = capsys.readouterr().out
    assert "all: area under the ROC curve" in shown
    assert "canary        not audited" in shown


def test_a_changed_package_a_changed_file_and_another_signer_are_refused(
    package: document.ModelPackage, folder: Path, tmp_path: Path
) -> None:
    good = documents.content(package)
    for change in ({"purpose": {"en": "To refuse care.", "zh": "拒绝诊疗。"}}, {"cuts": [0.4]}):
        bad = tmp_path / "model.json"
        bad.write_bytes(rfc8785.dumps({**good, **change}))
        with pytest.raises(EvidenceError, match="model_id is not that of the content"):
            document.checked(bad)
    with pytest.raises(EvidenceError, match="ONNX file is not the one"):
        document.check(package, onnx=b"something else")
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    with pytest.raises(EvidenceError, match="another key"):
        document.checked(folder / "package", public_key=other)
    forged = {
        **good,
        "signatures": [{**good["signatures"][0], "value": good["signatures"][0]["value"][::-1]}],
    }
    (tmp_path / "model.json").write_bytes(rfc8785.dumps(forged))
    with pytest.raises((SignatureInvalid, EvidenceError)):
        document.checked(tmp_path / "model.json")


def test_a_package_that_claims_more_than_was_measured_is_found_out(
    package: document.ModelPackage, evidence: EvidencePackage
) -> None:
    conclusion = package.evaluations[0]
    whole = conclusion.stratum("all")
    area = whole.estimates["area under the ROC curve"].model_copy(update={"value": 0.95})
    better = whole.model_copy(update={"estimates": {**whole.estimates, "area under the ROC curve": area}})
    claimed = conclusion.model_copy(update={"strata": (better, *conclusion.strata[1:])})
    with pytest.raises(EvidenceError, match="another evaluation"):
        making.require_measured(package.model_copy(update={"evaluations": (claimed,)}), evidence)
    cheap = package.spent[0].model_copy(update={"epsilon": 0.1})
    with pytest.raises(EvidenceError, match="another cost in privacy"):
        making.require_measured(package.model_copy(update={"spent": (cheap,)}), evidence)
    gated = package.gates[0].model_copy(
        update={"judged": dict.fromkeys(package.gates[0].judged, "met"), "missing": ()}
    )
    if gated != package.gates[0]:
        with pytest.raises(EvidenceError, match="other gates"):
            making.require_measured(package.model_copy(update={"gates": (gated,)}), evidence)


def test_a_recalibrated_model_is_the_old_one_moved_along_its_line(
    evidence: EvidencePackage,
    package: document.ModelPackage,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = package.evaluations[0].stratum("all").estimates
    slope, intercept = (found[f"calibration {name}"].value for name in ("slope", "intercept"))
    better = making.recalibrated(evidence)
    # 1.1 was the log odds of severe, -1.2 the intercept
    assert better.coefficients["grade=severe"] == pytest.approx(1.1 * slope)
    assert better.coefficients["intercept"] == pytest.approx(-1.2 * slope + intercept)
    assert better.digest != MODEL.digest
    assert main(["model", "question", str(folder / "out" / "evidence.json"), "--outcome", "stroke",
                 "--recalibrated"]) == 0  # fmt: skip
    assert better.numbers in capsys.readouterr().out


def test_what_was_trained_is_what_is_packed_and_anything_else_is_refused(
    folder: Path, evidence: EvidencePackage, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="the extra train is not installed")
    trained = folder / "training.toml"
    trained.write_text(
        STUDY.replace("stroke-risk-evaluated", "stroke-risk-trained")
        + '[[analyses]]\nkind = "training"\nname = "stroke"\noutcome = "stroke"\n'
        'features = ["age", "grade"]\narchitecture = { kind = "logistic" }\nrounds = 2\nbudget = 1.0\n'
    )
    run(trained, PooledTable(folder / "table.csv", folder / "mapping.toml", site_column="site"),
        out=folder / "trained")  # fmt: skip
    training = sealing.load(folder / "trained" / "evidence.json")
    model = making.trained_models(training)["stroke"]
    assert model.variables == ("age", "grade")
    assert main(["model", "question", str(folder / "trained" / "evidence.json"), "--outcome", "stroke"]) == 0
    assert model.numbers in capsys.readouterr().out
    with pytest.raises(EvidenceError, match="led to other numbers"):
        making.make(evidence, load_about(folder / "about.toml"), evidence.created, training=training)
    about = load_about(folder / "about.toml")
    with pytest.raises(EvidenceError, match="no training is given"):
        making.make(evidence, about, evidence.created, audit=audit())
    # the study promised epsilon 16: an audit at 1 and 8 says nothing of it
    with pytest.raises(EvidenceError, match="no run of the audit fits"):
        audited(audit(), training)
    membership, canary = audited(audit(epsilon=20.0), training)
    assert membership.value == pytest.approx(2 * 0.52 - 1)
    assert canary.value == pytest.approx(0.5)
    assert (canary.epsilon_at_least, canary.of) == (0.65, "method")
    with pytest.raises(EvidenceError, match="no run of the audit fits"):
        audited(audit(epsilon=20.0, sampled=True), training)
    with pytest.raises(EvidenceError, match="no run of the audit fits"):
        audited(audit(epsilon=20.0).model_copy(update={"method": "fedavg_local"}), training)
    with pytest.raises(EvidenceError, match="trained no model"):
        making.trained_models(evidence)


def audit(epsilon: float = 8.0, *, sampled: bool = False) -> TrainingAudit:
    """An audit at epsilon 1 and another one."""
    runs = tuple(
        AuditRun(epsilon=e, delta=1e-6, sampled=sampled, canaries=600, guesses=80, right=60,
                 epsilon_at_least=0.65, membership=Membership(area=0.52, upper=0.53))
        for e in (1.0, epsilon)
    )  # fmt: skip
    return TrainingAudit(
        method="dp_fedsgd", command="make prove KEY=canary", commit="abc", page="docs/evidence/canary.md",
        caught=("noise left out",), runs=runs,
    )  # fmt: skip


def test_a_card_says_what_an_audit_found_and_that_it_was_of_the_way_of_training(
    package: document.ModelPackage, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "canary.json"
    written.write_text(audit().model_dump_json(indent=1))
    assert load_audit(written) == audit()
    check = document.Check(
        attack="canary", status="run", value=0.5, upper=0.7, bound=0.999, command="make prove KEY=canary",
        of="method", epsilon=8.0, epsilon_at_least=0.65, source="docs/evidence/canary.md at abc",
    )  # fmt: skip
    body = document.ModelBody(
        **{name: getattr(package, name) for name in document.ModelBody.model_fields if name != "checks"},
        checks=(check,),
    )
    sealed = document.seal(body, load_key(folder / "key.pem"))
    place = tmp_path / "model.json"
    documents.write(sealed, place)
    assert main(["model", "show", str(place)]) == 0
    told = capsys.readouterr().out
    assert "canary        the way it was trained: 0.500 beyond guessing, epsilon at least 0.65 of a" in told
    assert "membership in not audited" in told
    out = tmp_path / "card.html"
    assert main(["model", "card", str(place), "--out", str(out), "--language", "both"]) == 0
    page = out.read_text("utf-8")
    for words in ("the way it was trained", "其训练方法", "not the model itself", "not audited", "0.65"):
        assert words in page, words


def test_a_check_without_the_newer_fields_is_the_document_that_it_was() -> None:
    old = document.Check(attack="canary", status="run", value=0.1, command="by hand")
    assert set(old.model_dump(mode="json")) == {"attack", "status", "value", "upper", "bound", "command"}


def test_a_variable_without_a_reason_keeps_the_package_from_being_made(
    evidence: EvidencePackage, folder: Path, tmp_path: Path
) -> None:
    silent = tmp_path / "about.toml"
    silent.write_text(ABOUT.replace("grade = ", "sex = "))
    with pytest.raises(EvidenceError, match="no reason is given for grade"):
        making.make(evidence, load_about(silent), evidence.created)
    (tmp_path / "english.toml").write_text(ABOUT.replace(', zh = "不适用于儿童。"', ""))
    with pytest.raises(EvidenceError, match="zh"):
        load_about(tmp_path / "english.toml")


def test_a_hospital_scores_its_own_rows_into_a_private_file(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("id,age\na,80\nb,\nc,nonsense\nd,60\n", encoding="utf-8")
    out = tmp_path / "scores.csv"
    words = ["model", "score", str(folder / "package"), "--rows", str(rows), "--out", str(out)]
    assert main(words) == 0
    assert "unknown at this site, for everybody: grade" in capsys.readouterr().out
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    with out.open() as file:
        found = {row["id"]: row for row in csv.DictReader(file)}
    # grade is unknown: .2 - 1.2 = -1; at 80 years .8 x 2 more
    wanted = {"a": 1 / (1 + np.exp(-0.6)), "b": 1 / (1 + np.e), "c": 1 / (1 + np.e), "d": 1 / (1 + np.e)}
    assert {key: float(row["prediction"]) for key, row in found.items()} == pytest.approx(wanted, rel=1e-5)
    assert [found[key]["tier"] for key in "ad"] == ["high", "low"]
    assert main(words) == 10  # a file of scores is never written over
    assert main(["model", "score", str(folder / "package"), "--out", str(tmp_path / "x.csv")]) == 3


def test_a_site_scores_its_own_records_and_says_so_in_its_audit_log_without_a_patient(
    folder: Path, tmp_path: Path
) -> None:
    home = next(path.parent for path in sorted((folder / "out").rglob("records.duckdb")))
    out = tmp_path / "scores.csv"
    assert main(["model", "score", str(folder / "package"), "--home", str(home), "--out", str(out),
                 "--ids", str(folder / "table.csv")]) == 0  # fmt: skip
    table = pd.read_csv(folder / "table.csv").set_index("id")
    with out.open() as file:
        for row in csv.DictReader(file):
            patient = table.loc[row["id"]]
            expected = predicted(np.array(patient["age"]), np.array(patient["grade"] == "severe"))
            assert float(row["prediction"]) == pytest.approx(float(expected), rel=1e-5)
    last = json.loads((home / "audit.jsonl").read_text().splitlines()[-1])
    assert last["event"] == "model_scored"
    assert set(last) == {"time", "event", "before", "model", "signature"}


def test_the_card_has_every_section_in_both_languages_and_never_calls_a_small_group_fair(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "card.html"
    assert main(["model", "card", str(folder / "package"), "--out", str(out), "--language", "both"]) == 0
    page = out.read_text("utf-8")
    for part in ("purpose", "gates", "metrics-0", "fairness-0", "use-0", "reasons", "dictionary", "privacy",
                 "attacks", "limits", "provenance"):  # fmt: skip
        assert f'<section id="{part}"' in page, part
    shown = (
        "Strokes become more frequent with age.",
        "卒中随年龄增多。",
        "not audited",
        "未审计",
        "Brier 评分",
    )
    for words in (*shown, "Not for use"):
        assert words in page, words
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in page


def test_a_group_that_was_too_small_reads_not_assessed(package: document.ModelPackage) -> None:
    from fedvalue.analyses.estimate import Stratum
    from fedvalue.server.reports.model_card import card_sheet
    from fedvalue.server.reports.wording import Voice, phrase

    conclusion = package.evaluations[0]
    small = Stratum(name="sex=male", status="below_minimum", reason="sampling")
    changed = conclusion.model_copy(
        update={"strata": tuple(small if s.name == "sex=male" else s for s in conclusion.strata)}
    )
    sheet = card_sheet(package.model_copy(update={"evaluations": (changed,)}), Voice.of("en"))
    rows = next(part for part in sheet.parts if part.name == "fairness-0").tables[0].rows
    row = next(row for row in rows if phrase(row[0]).en == "sex: male")
    assert phrase(row[2]).en == "not assessed"
    assert "fair" not in " ".join(phrase(cell).en for cell in row)


def test_coefficients_of_the_cells_are_printed_behind_the_gates_only(
    folder: Path, package: document.ModelPackage, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["model", "coefficients", str(folder / "out" / "evidence.json"), "--between-sd", "0.4", "--json"]
    status = main(words)
    told = capsys.readouterr()
    if package.gates[0].outcome == "met":
        cells = {cell["cell"]: cell for cell in json.loads(told.out)["cells"]}
        assert cells["grade=severe"]["coefficient"] > 1 > cells["grade=mild"]["coefficient"]
    else:
        assert status == 9
        assert "it sets no coefficient" in told.err
