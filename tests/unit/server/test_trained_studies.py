"""A training from the study file to the evidence: who paid for what, and what is left when a site leaves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from flwr.app import RecordDict

from fedvalue.analyses.training import Training
from fedvalue.client.governance.approvals import approve
from fedvalue.client.governance.entries import Entry
from fedvalue.client.home import SiteHome
from fedvalue.errors import DictionariesDiffer, EvidenceError, PolicyForbids, StudyClosed, UnsafeWarning
from fedvalue.evidence.chain import verify_chain
from fedvalue.planning.plan import make_plan
from fedvalue.privacy import accounting
from fedvalue.simulation.sources import SiteFolders
from fedvalue.strategies.secure_aggregation.messages import Refused, StepReply, Wire
from fedvalue.strategies.secure_aggregation.private_sum.wire import MASKED, UNMASK
from fedvalue.study.architectures import layers
from fedvalue.study.file import digest
from fedvalue.study.roster import Roster
from tests.trained_federation import (
    TrainedFederation,
    after,
    noon,
    parameters,
    trained_study,
    write_hospitals,
)

ROUNDS = 4


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> SiteFolders:
    return write_hospitals(tmp_path_factory.mktemp("training"))


@pytest.fixture
def federation(hospitals: SiteFolders, tmp_path: Path) -> TrainedFederation:
    return TrainedFederation.made(trained_study(rounds=ROUNDS), hospitals, tmp_path)


def debits(federation: TrainedFederation) -> Iterator[tuple[str, list[Entry]]]:
    for home in federation.federation.homes:
        with home.ledger() as ledger:
            yield home.policy.site, [entry for entry in ledger.entries() if entry.kind == "debit"]


def refusing(answer: Callable[[], RecordDict]) -> RecordDict:
    del answer
    return Wire.pack(Refused("budget_spent"))


def garbage(answer: Callable[[], RecordDict]) -> RecordDict:
    found = Wire.reply(answer())
    return Wire.pack(StepReply(b"\xff" * 40) if isinstance(found, StepReply) else found)


def vanished(answer: Callable[[], RecordDict]) -> RecordDict:
    del answer
    raise ConnectionError("nobody is there any more")


def test_each_round_is_charged_its_curve_and_the_evidence_holds(federation: TrainedFederation) -> None:
    evidence = federation.train()
    plan = make_plan(federation.study, federation.federation.roster)
    verify_chain(evidence)
    for _, charged in debits(federation):
        assert [entry.price for entry in charged] == [release.price() for release in plan.releases]
        assert [entry.body.get("rate") for entry in charged] == [None, *["1/2"] * ROUNDS]
    # the whole promise is used, and no more: z is found on a grid of 1/4096
    promised = evidence.privacy.epsilon_promised
    assert promised is not None
    assert 7.9 < promised <= 8.0
    assert promised == pytest.approx(accounting.epsilon_of(plan.price(), 1e-6))
    assert np.isfinite(parameters(evidence)).all()
    assert "4 of 4 rounds were released and paid for." in evidence.conclusions[0].notes


def test_without_noise_the_rounds_are_gradient_descent_on_the_pooled_patients(
    hospitals: SiteFolders, tmp_path: Path
) -> None:
    more = 'scaling = "ranges"\npatients = 320\nclip_norm = 1000.0\naverage = 0.0'
    study = trained_study(rounds=3, rate=1.0, optimiser="plain", more=more)
    federation = TrainedFederation.made(study, hospitals, tmp_path, exact=True)
    with pytest.warns(UnsafeWarning):
        found = parameters(federation.train())
    rows, back = [], []
    for table in sorted(hospitals.folder.glob("*/patients.csv")):
        for line in table.read_text().splitlines()[1:]:
            _, age, lab, sex, readmitted = line.split(",")
            # columns of a logistic model: scaled numbers, one a level, the unknown level, the intercept
            scaled = (min(max((float(age) - 60) / 40, -1), 1), float(lab) / 4)
            rows.append([*scaled, sex == "f", sex == "m", 0, 1])
            back.append(float(readmitted))
    x, y, by_hand = np.array(rows, dtype=float), np.array(back), np.zeros(6)
    for _ in range(3):
        by_hand -= 0.2 * x.T @ (1 / (1 + np.exp(-x @ by_hand)) - y) / 320
    np.testing.assert_allclose(found, by_hand, atol=1e-6)


def test_a_site_that_sends_garbage_is_left_out_and_each_round_names_its_sites(
    federation: TrainedFederation,
) -> None:
    evidence = federation.train({"site-2": after(2, garbage)})
    verify_chain(evidence)
    everybody = ("site-1", "site-2", "site-3", "site-4")
    assert [record.answered for record in evidence.releases[:2]] == [everybody] * 2
    assert all("site-2" not in record.answered for record in evidence.releases[2:])
    assert len(evidence.releases) == 1 + ROUNDS


def test_a_hospital_that_may_not_draw_patients_or_has_nothing_that_trains_cannot_approve_a_training(
    federation: TrainedFederation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = federation.federation.homes
    plain = first.policy.budget.model_copy(update={"admits_sampled": False})
    home = SiteHome.create(tmp_path / "plain", first.policy.model_copy(update={"budget": plain}), noon)
    roster = Roster(site=(home.card(), *(other.card() for other in others)))
    with pytest.raises(PolicyForbids, match="draws patients by chance"):
        approve(home, federation.study, roster, unsafe=())
    with home.ledger() as ledger:
        assert [entry.kind for entry in ledger.entries()] == ["opened"]
    monkeypatch.setitem(sys.modules, "torch", None)  # as where it is not installed
    plan = make_plan(federation.study, roster)
    found = [finding.en for finding in first.policy.findings(federation.study, plan, clear_sum=False)]
    assert found == ["this site cannot train: fedvalue[train] is not installed here"]


@pytest.mark.parametrize("step", [MASKED, UNMASK])
def test_a_site_that_vanishes_in_the_middle_of_a_round_is_left_out_from_then_on(
    federation: TrainedFederation, step: str
) -> None:
    evidence = federation.train({"site-3": after(2, vanished, step)})
    verify_chain(evidence)
    answered = [record.answered for record in evidence.releases]
    assert len(answered) == 1 + ROUNDS
    assert answered[:2] == [("site-1", "site-2", "site-3", "site-4")] * 2
    # a vector that was masked and sent counts; who then is gone enters no later round
    assert ("site-3" in answered[2]) == (step == UNMASK)
    assert all("site-3" not in names for names in answered[3:])
    charged = {site: len(entries) for site, entries in debits(federation)}
    assert charged["site-1"] == 1 + ROUNDS
    assert charged["site-3"] == (3 if step == UNMASK else 2)


def test_two_hospitals_that_close_the_study_in_round_7_end_it_with_six_rounds_paid_for(
    hospitals: SiteFolders, tmp_path: Path
) -> None:
    federation = TrainedFederation.made(trained_study(rounds=8), hospitals, tmp_path)
    study_hash = digest(federation.study)

    def closing(site: str) -> Callable[[Callable[[], RecordDict]], RecordDict]:
        home = next(home for home in federation.federation.homes if home.policy.site == site)

        def first(answer: Callable[[], RecordDict]) -> RecordDict:
            with home.ledger() as ledger, suppress(StudyClosed):
                ledger.close_study(study_hash, "our budget is for another study")
            return answer()  # its own node refuses from now on

        return first

    evidence = federation.train({site: after(7, closing(site)) for site in ("site-1", "site-4")})
    verify_chain(evidence)
    notes = evidence.conclusions[0].notes
    assert notes[0] == "6 of 8 rounds were released and paid for."
    assert "The training ended early: too few hospitals answered the next round." in notes
    everybody = ("site-1", "site-2", "site-3", "site-4")
    assert [record.answered for record in evidence.releases] == [everybody] * 7  # the moments, and six rounds
    # a refusal debits nothing; who would have gone on may have paid for the attempts that nobody could open
    charged = {site: len(entries) for site, entries in debits(federation)}
    assert charged["site-1"] == charged["site-4"] == 7
    assert all(spent.releases >= charged[spent.site] for spent in evidence.privacy.spent)
    assert np.isfinite(parameters(evidence)).all()


@pytest.mark.parametrize("said", [refusing, garbage, vanished])
def test_with_too_few_sites_left_the_training_ends_with_what_was_paid_for(
    federation: TrainedFederation, said: Callable[[Callable[[], RecordDict]], RecordDict]
) -> None:
    evidence = federation.train({site: after(3, said) for site in ("site-2", "site-3")})
    verify_chain(evidence)
    notes = evidence.conclusions[0].notes
    assert notes[0] == "2 of 4 rounds were released and paid for."
    assert "The training ended early: too few hospitals answered the next round." in notes
    assert [record.label for record in evidence.releases] == ["release-1", "release-2", "release-3"]
    charged = {site: len(entries) for site, entries in debits(federation)}
    spent = {entry.site: entry.releases for entry in evidence.privacy.spent}
    assert all(spent[site] >= paid for site, paid in charged.items())
    assert np.isfinite(parameters(evidence)).all()


class Killed(BaseException):
    """Stands for a coordinator that is gone."""


def test_a_killed_training_goes_on_without_paying_twice(federation: TrainedFederation) -> None:
    def die(text: str, done: int, total: int) -> None:
        if done == 3:
            raise Killed

    with pytest.raises(Killed):
        federation.train(checkpoint=True, progress=die)
    assert {len(entries) for _, entries in debits(federation)} == {3}
    evidence = federation.train(checkpoint=True)
    verify_chain(evidence)
    assert {len(entries) for _, entries in debits(federation)} == {1 + ROUNDS}


def test_a_checkpoint_that_another_coordinator_signed_is_not_taken(federation: TrainedFederation) -> None:
    federation.train(checkpoint=True)
    (federation.folder / "coordinator.pem").unlink()
    with pytest.raises(EvidenceError, match="not signed by this coordinator"):
        federation.train(checkpoint=True)


def test_hospitals_with_another_dictionary_are_named_before_anything_is_charged(
    hospitals: SiteFolders, tmp_path: Path
) -> None:
    tables = tmp_path / "tables"
    for folder in sorted(hospitals.folder.iterdir()):
        (tables / folder.name).mkdir(parents=True)
        (tables / folder.name / "patients.csv").write_bytes((folder / "patients.csv").read_bytes())
        mapping = (hospitals.mapping or Path()).read_text()
        if folder.name == "site-3":
            mapping = mapping.replace('lab = { column = "lab", type = "number" }', 'lab = { column = "lab" }')
        (tables / folder.name / "map.toml").write_text(mapping)
    federation = TrainedFederation.made(trained_study(rounds=2), SiteFolders(tables), tmp_path)
    with pytest.raises(DictionariesDiffer) as refused:
        federation.train()
    assert refused.value.where == "site-3"
    assert all(not charged for _, charged in debits(federation))


def test_local_steps_with_a_personal_head_keep_the_head_at_the_hospital(
    hospitals: SiteFolders, tmp_path: Path
) -> None:
    local = "steps = 2\npatients = 80\nmu = 0.1\npersonal_head = true\n"
    more = f'method = "fedavg_local"\n[analyses.local]\n{local}'
    network = '{ kind = "tabular", layers = [4] }'
    study = trained_study(rounds=2, architecture=network, optimiser="plain", step=1.0, more=more)
    federation = TrainedFederation.made(study, hospitals, tmp_path)
    evidence = federation.train()
    verify_chain(evidence)
    plan = make_plan(federation.study, federation.federation.roster)
    training = plan.analyses[0]
    assert isinstance(training, Training)
    head = sum(layer.size for layer in layers(training.architecture, training.inputs) if layer.head)
    trained = plan.releases[1]
    assert trained.local
    assert evidence.releases[1].blocks[0].noise_variance == 0.0
    np.testing.assert_array_equal(parameters(evidence)[-head:], 0.0)
    kept = [np.load(next(home.folder.rglob("head-*.npy"))) for home in federation.federation.homes]
    assert all(one.shape == (head,) for one in kept)
    assert not np.array_equal(kept[0], kept[1])
