"""A payer states its own books: exact, signed, closed to the fen; its home knows patients by pseudonyms."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fedvalue.client.cli import app
from fedvalue.client.governance.policy import Policy
from fedvalue.client.held import Terms, state
from fedvalue.client.home import SiteHome
from fedvalue.client.loading import known_as, load_records
from fedvalue.client.records.layouts import layout
from fedvalue.client.records.load import has_pseudonyms
from fedvalue.client.records.store import MODEST, reading
from fedvalue.errors import PaymentError, PolicyForbids
from fedvalue.payment.held import read
from fedvalue.payment.held_signature import read_signed
from fedvalue.synthetic.settlement import Books, write_region


def home(folder: Path, kind: str) -> SiteHome:
    policy = {
        "site": "bureau", "entity": "Insurance bureau", "operator": "Insurance bureau", "simulation": True,
        "budget": {"epsilon": 10.0, "delta": 1e-6}, "kind": kind,
    }  # fmt: skip
    return SiteHome.create(folder, Policy.model_validate(policy))


def terms(books: Books, more: Decimal = Decimal(0)) -> Terms:
    cases, total = books.claims["inpatient"], books.total["inpatient"]
    return Terms("region 2025", ("example",), 2025, "CHS-DRG 2.0", "2025", cases, total + more)


def test_the_payers_books_become_a_signed_statement_that_a_decision_reads(tmp_path: Path) -> None:
    region = write_region(tmp_path / "region", np.random.default_rng(3), people=25)
    folder, books = region.payer
    payer = home(tmp_path / "payer", "payer")
    load_records(payer, folder, layout("settlement-list"))
    made = state(payer, terms(books), tmp_path / "held.yaml")
    held = read(tmp_path / "held.yaml")
    assert made.digest == held.digest == hashlib.sha256((tmp_path / "held.yaml").read_bytes()).hexdigest()
    costs = {group.group: (group.cases, group.total, group.squares) for group in held.costs().groups}
    # groups, their costs and squared costs are those of the books, which no loader kept
    assert costs == books.groups
    assert held.statement.channels is not None
    assert Decimal(held.statement.channels.dual_channel) == books.total["dual channel"]
    # the decision reads it under the payer's own key
    key = payer.card().public_key
    assert read_signed(tmp_path / "held.yaml", public_key=key).digest == made.digest
    with pytest.raises(PaymentError, match=r"0 cases and 0\.01 CNY are open"):
        state(payer, terms(books, Decimal("0.01")), tmp_path / "other.yaml")
    assert not (tmp_path / "other.yaml").exists()
    # the records know nobody by the insurance number
    assert has_pseudonyms(payer.records_file)
    with reading(payer.records_file, limits=MODEST) as store:
        ids = {who for (who,) in store.execute("SELECT patient_id FROM patient").fetchall()}
    assert known_as(payer, "P0000000") in ids
    assert not any(who.startswith("P0000") for who in ids)


def test_a_hospital_states_nothing(tmp_path: Path) -> None:
    with pytest.raises(PolicyForbids, match="only a payer"):
        state(home(tmp_path / "hospital", "hospital"), terms_of_nothing(), tmp_path / "held.yaml")


def terms_of_nothing() -> Terms:
    return Terms("nothing", ("example",), 2025, "CHS-DRG 2.0", "2025", 0, Decimal(0))


def test_layouts_are_printed_loaded_and_the_store_goes_back_and_on(tmp_path: Path) -> None:
    region = write_region(
        tmp_path / "region", np.random.default_rng(4), people=8, hospitals=1, encoding="gb18030"
    )
    folder, _ = region.payer
    hospital = home(tmp_path / "hospital", "hospital")
    run = CliRunner()

    def said(*words: str) -> str:
        result = run.invoke(app, list(words), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    assert "psn_no" in said("layout", "settlement-list")
    loaded = said(
        "load",
        str(hospital.folder),
        "--from",
        str(folder),
        "--layout",
        "settlement-list",
        "--encoding",
        "gb18030",
    )
    assert "claim[0]" in loaded
    again = said(
        "load", str(hospital.folder), "--from", str(folder), "--layout", "settlement-list", "--encoding",
        "gb18030", "--language", "zh",
    )  # fmt: skip
    assert "编码不属于该编码体系" in again
    assert "，未变" in again
    assert "have layout 1 now" in said("migrate", str(hospital.folder), "--to", "1")
    assert "have layout 3 now" in said("migrate", str(hospital.folder))
    assert "already" in said("migrate", str(hospital.folder))
