"""Secured runs over a Flower grid: what the server hears, who may vanish, and what each side refuses."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, MessageType, RecordDict
from flwr.serverapp.strategy import (
    DifferentialPrivacyClientSideFixedClipping,
    FedAdam,
    FedAvg,
    FedMedian,
    FedTrimmedAvg,
    FedXgbBagging,
    FedXgbCyclic,
    Krum,
    QFedAvg,
    Strategy,
)

from fedvalue.errors import FederationError, PolicyForbids, SurvivorsChanged, TooFewSites, UnsafeWarning
from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.secure_sum.suite import Intl1
from fedvalue.strategies import SecureAggregation, UnsafeSimulatedSites
from fedvalue.strategies.secure_aggregation.private_sum import wire
from tests.flower_federation import (
    EXAMPLES,
    Arrays,
    FlowerRun,
    allowed,
    model,
    moved,
    numpy_of,
    secured,
    secured_run,
    terms,
)

STEPS = (wire.KEYS, wire.SHARES, wire.MEMBERS, wire.MASKED, wire.CONSISTENCY, wire.UNMASK)


def _ours(message: Message) -> dict[str, Any]:
    return dict(message.content.config_records["fedvalue"])


def mean(sites: tuple[int, ...], number: int, start: Arrays) -> Arrays:
    """The weighted mean of some sites' updates, worked out in the open."""
    answers = [moved(site, number, start)[0] for site in sites]
    weights = [EXAMPLES[site] for site in sites]
    return {key: np.average([a[key] for a in answers], axis=0, weights=weights) for key in start}


# ---- what the server hears -------------------------------------------------------------------------------


def test_no_message_to_the_server_holds_an_array_a_metric_or_a_number_of_examples() -> None:
    run, agreed = secured_run()
    run.start(secured(FedAvg(), agreed))
    # two rounds, train and evaluate: each is asked of 5 sites, and takes 3 steps; 3 more begin the epoch
    assert len(run.heard) == 5 * (4 * (1 + 3) + 3)
    for heard in run.heard:
        content = heard.message.content
        assert list(content) == ["fedvalue"]
        assert not content.array_records
        assert not content.metric_records
        fields = dict(content["fedvalue"])
        wanted = {"kind", "site"} if heard.step in {"train", "evaluate"} else {"kind", "payload"}
        assert set(fields) == wanted
        if "site" in fields:
            assert fields == {"kind": "ready", "site": f"site-{heard.site:03d}"}


def test_no_message_holds_a_planted_value_in_any_usual_form() -> None:
    planted = 0.7218281828459045
    examples = 40_507

    def answers(site: int, number: int, arrays: Arrays) -> tuple[Arrays, dict[str, Any]]:
        new = {key: np.full_like(a, planted) if a.dtype.kind == "f" else a for key, a in arrays.items()}
        return new, {"num-examples": examples, "loss": planted}

    run, agreed = secured_run(answers=answers)
    run.start(secured(FedAvg(), agreed), rounds=1)
    units = round(examples * planted * 2**24)
    forms = {
        struct.pack("<q", examples), struct.pack("<q", units), struct.pack("<d", planted),
        struct.pack("<f", planted), struct.pack(">d", planted), str(examples).encode(), str(planted).encode(),
    }  # fmt: skip
    assert not [(h.site, h.step) for h in run.heard if any(form in h.packed for form in forms)]


def test_what_a_site_sends_is_uniform_and_no_two_sites_send_the_same() -> None:
    # every site answers the same; keys come from the operating system: each bit of 18 words is a fair coin.
    # 5 x 18 x 64 = 5,760 bits, standard deviation 38: 220 away from half is 5.8 of them, errs below 1e-8
    run, agreed = secured_run(answers=lambda site, number, model: (model, {"num-examples": 1, "loss": 0.0}))
    run.start(secured(FedAvg(), agreed), rounds=1)
    sent = [
        pb.MaskedInput.FromString(_ours(heard.message)["payload"]).vector
        for heard in run.heard
        if heard.step == wire.MASKED
    ][:5]
    assert len(set(sent)) == 5
    ones = int(np.unpackbits(np.frombuffer(b"".join(sent), dtype=np.uint8)).sum())
    bits = 5 * 64 * (2 + 1 + 3 * 4 + 2 + 1)
    assert abs(ones - bits / 2) < 220


def test_the_rounds_are_kept_with_their_transcripts() -> None:
    run, agreed = secured_run()
    strategy = secured(FedAvg(), agreed)
    run.start(strategy)
    assert [r.label for r in strategy.rounds] == ["train-1", "evaluate-1", "train-2", "evaluate-2"]
    assert all(r.examples == sum(EXAMPLES) and r.clipped == 0 and r.attempt == 1 for r in strategy.rounds)
    for opened in strategy.rounds:
        signed = wire.transcript_of(opened.transcript)
        assert signed.survivors() == opened.survivors
        assert signed.specification.release.exact
        suite = Intl1()
        assert all(
            suite.digest(entry.vector_hash) and entry.site in opened.survivors for entry in signed.inputs
        )


def test_values_past_their_range_are_clipped_and_counted_for_all_sites_together() -> None:
    def answers(site: int, number: int, arrays: Arrays) -> tuple[Arrays, dict[str, Any]]:
        new, metrics = moved(site, number, arrays)
        if site == 3:
            new["b"] = np.array([1e9, -1e9])
        return new, metrics

    run, agreed = secured_run(answers=answers)
    strategy = secured(FedAvg(), agreed)
    run.start(strategy, rounds=1)
    assert strategy.rounds[0].clipped == 2


def test_without_metrics_to_average_nobody_is_asked_to_evaluate() -> None:
    agreed = terms(evaluate_metrics=(), train_metrics=())
    run = FlowerRun(agreed, allowed())
    result = run.start(secured(FedAvg(), agreed), rounds=1)
    assert not [heard for heard in run.heard if heard.step == "evaluate"]
    assert dict(result.train_metrics_clientapp[1]) == {}


# ---- sites that vanish -----------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["train", *STEPS])
def test_a_site_that_vanishes_at_any_step_does_not_change_the_mean_of_the_others(step: str) -> None:
    gone: set[str] = set()

    def lost(at: str, site: int) -> bool:
        if site == 2 and at == step:
            gone.add(at)
        return site == 2 and bool(gone)

    run, agreed = secured_run(lost=lost)
    strategy = secured(FedAvg(fraction_evaluate=0.0), agreed)
    result = run.start(strategy, rounds=1)
    delivered = step in (wire.CONSISTENCY, wire.UNMASK)
    sites = (0, 1, 2, 3, 4) if delivered else (0, 1, 3, 4)
    assert strategy.rounds[0].survivors == tuple(f"site-{site:03d}" for site in sites)
    for key, wanted in mean(sites, 1, model()).items():
        np.testing.assert_allclose(numpy_of(result.arrays)[key], wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("step", ["train", *STEPS])
def test_two_sites_that_vanish_at_any_step_end_the_run_with_their_names(step: str) -> None:
    run, agreed = secured_run(lost=lambda at, site: site in (1, 2) and at == step)
    with pytest.raises(TooFewSites, match="3 of 5 sites") as caught:
        run.start(secured(FedAvg(), agreed, attempts=1), rounds=1)
    assert "site-001: no_answer" in str(caught.value)
    assert "site-002: no_answer" in str(caught.value)


def test_a_site_that_comes_back_for_the_next_attempt_is_in_the_mean() -> None:
    missed: list[int] = []

    def lost(at: str, site: int) -> bool:
        if at == wire.MASKED and site in (1, 2) and site not in missed:
            missed.append(site)
            return True
        return False

    run, agreed = secured_run(lost=lost)
    strategy = secured(FedAvg(), agreed)
    run.start(strategy, rounds=1)
    assert strategy.rounds[0].attempt == 2
    assert len(strategy.rounds[0].survivors) == 5
    assert sorted(run.trained) == [(site, 1) for site in range(5)]  # the second attempt trains nobody again


# ---- sums without noise are of the same sites for ever ---------------------------------------------------


@pytest.mark.parametrize("step", [wire.MASKED, wire.MEMBERS])
def test_other_survivors_than_those_of_the_first_sum_are_refused(step: str) -> None:
    runs: list[FlowerRun] = []
    run, agreed = secured_run(lost=lambda at, site: site == 4 and at == step and runs[0].number == 2)
    runs.append(run)
    strategy = secured(FedAvg(fraction_evaluate=0.0), agreed, epoch_rounds=1)
    with pytest.raises(SurvivorsChanged, match="begin a run of another name"):
        run.start(strategy, rounds=3)
    assert [opened.label for opened in strategy.rounds] == ["train-1"]


def test_a_site_that_was_not_in_the_first_sum_stays_out() -> None:
    runs: list[FlowerRun] = []
    run, agreed = secured_run(lost=lambda at, site: site == 4 and runs[0].number == 1)
    runs.append(run)
    strategy = secured(FedAvg(fraction_evaluate=0.0), agreed, epoch_rounds=1)
    with pytest.raises(SurvivorsChanged):
        run.start(strategy, rounds=2)
    assert [len(opened.survivors) for opened in strategy.rounds] == [4]


# ---- refusals --------------------------------------------------------------------------------------------


def test_sums_without_noise_are_refused_by_default_on_the_servers_side() -> None:
    with pytest.raises(PolicyForbids, match="not allowed by name"):
        SecureAggregation(FedAvg(), terms())


def test_sums_without_noise_are_refused_by_default_at_the_sites_before_they_train() -> None:
    agreed = terms()
    run = FlowerRun(agreed, None)
    with pytest.raises(TooFewSites, match="policy_forbids"):
        run.start(secured(FedAvg(), agreed))
    assert run.trained == []


def test_one_site_that_does_not_allow_it_is_left_out_of_the_mean() -> None:
    agreed = terms()
    strict, run = FlowerRun(agreed, None), FlowerRun(agreed, allowed())
    lenient = run.app
    run.app = lambda message, context: (strict.app if context.node_config["partition-id"] == 0 else lenient)(  # type: ignore[assignment]  # an app is called
        message, context
    )
    strategy = secured(FedAvg(), agreed)
    run.start(strategy, rounds=1)
    assert strategy.rounds[0].survivors == ("site-001", "site-002", "site-003", "site-004")
    assert (0, 1) not in strict.trained


@pytest.mark.parametrize(
    "changed", [{"largest": 99.0}, {"run": "run-2"}, {"train_metrics": ()}, {"dropouts": 0}]
)
def test_parties_with_other_terms_do_not_understand_each_other(changed: dict[str, Any]) -> None:
    run = FlowerRun(terms(str(changed.pop("run", "run-1")), **changed), allowed())
    with pytest.raises(TooFewSites, match="not_approved"):
        run.start(secured(FedAvg(), terms(), attempts=1), rounds=1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_site_whose_training_diverged_is_left_out_and_says_so_by_name(value: float) -> None:
    def answers(site: int, number: int, arrays: Arrays) -> tuple[Arrays, dict[str, Any]]:
        new, metrics = moved(site, number, arrays)
        if site == 1:
            new["b"] = np.array([0.0, value])
        return new, metrics

    run, agreed = secured_run(answers=answers)
    strategy = secured(FedAvg(fraction_evaluate=0.0), agreed)
    result = run.start(strategy, rounds=1)
    assert "vector_invalid" in strategy.rounds[0].refusals.values()
    assert "site-001" not in strategy.rounds[0].survivors
    assert not [h for h in run.heard if h.site == 1 and h.step == wire.MASKED]
    assert np.isfinite(numpy_of(result.arrays)["b"]).all()


def test_what_an_apps_function_raises_does_not_leave_the_site() -> None:
    def answers(site: int, number: int, arrays: Arrays) -> tuple[Arrays, dict[str, Any]]:
        if site == 1:
            raise ValueError("patient 4711 has no blood pressure")
        return moved(site, number, arrays)

    run, agreed = secured_run(answers=answers)
    strategy = secured(FedAvg(fraction_evaluate=0.0), agreed)
    run.start(strategy, rounds=1)
    (said,) = [h.message.content for h in run.heard if h.site == 1 and h.step == "train"]
    assert dict(said["fedvalue"]) == {"kind": "refused", "code": "site_fault"}


def test_a_site_without_the_mod_is_left_out_and_its_clear_answer_is_not_used() -> None:
    run, agreed = secured_run()
    plain, safe = FlowerRun(), run.app
    run.app = lambda message, context: (plain.app if context.node_config["partition-id"] == 0 else safe)(  # type: ignore[assignment]  # an app is called
        _plain(message) if context.node_config["partition-id"] == 0 else message, context
    )
    strategy = secured(FedAvg(fraction_evaluate=0.0), agreed)
    run.start(strategy, rounds=1)
    assert strategy.rounds[0].survivors == ("site-001", "site-002", "site-003", "site-004")
    assert "reply_invalid" in strategy.rounds[0].refusals.values()


def _plain(message: Message) -> Message:
    message.content.pop("fedvalue", None)
    return message


def test_two_nodes_that_call_themselves_one_site_are_both_left_out() -> None:
    run, agreed = secured_run()
    honest = run.app

    def lying(message, context):  # type: ignore[no-untyped-def]  # Flower's callable
        if context.node_config["partition-id"] == 0 and message.metadata.message_type == MessageType.TRAIN:
            reply = honest(message, context)
            if "site" in _ours(reply):
                reply.content.config_records["fedvalue"]["site"] = "site-001"
            return reply
        return honest(message, context)

    run.app = lying  # type: ignore[assignment]  # an app is called
    with pytest.raises(TooFewSites, match="site-001: site_repeated"):
        run.start(secured(FedAvg(), agreed, attempts=1), rounds=1)


def test_a_plain_strategy_gets_nothing_from_secured_sites() -> None:
    run, _ = secured_run()
    with pytest.raises(Exception, match="ArrayRecord"):
        run.start(FedAvg(), rounds=1)
    assert run.trained == []
    assert {str(h.message.content["fedvalue"]["code"]) for h in run.heard} == {"message_invalid"}


class MedianOfMine(FedAvg):
    """An app's own strategy."""

    def aggregate_train(self, server_round, replies):  # type: ignore[no-untyped-def]  # as apps write it
        return super().aggregate_train(server_round, list(replies))


@pytest.mark.parametrize(
    "strategy",
    [
        FedMedian(),
        FedTrimmedAvg(),
        Krum(),
        QFedAvg(client_learning_rate=0.1),
        FedXgbBagging(),
        FedXgbCyclic(),
        MedianOfMine(),
        DifferentialPrivacyClientSideFixedClipping(FedAvg(), 1.0, 1.0, 5),
        FedAvg(fraction_train=0.5),
        FedAvg(fraction_evaluate=0.5),
        FedAvg(weighted_by_key="weight"),
        FedAvg(train_metrics_aggr_fn=lambda records, key: records[0]["metrics"]),  # type: ignore[arg-type, return-value]  # as apps write it
    ],
    ids=lambda strategy: type(strategy).__name__,
)
def test_strategies_that_need_more_than_the_mean_of_all_sites_are_refused(strategy: Strategy) -> None:
    with pytest.raises(FederationError):
        secured(strategy, terms())


def test_an_apps_own_strategy_works_if_its_author_says_that_it_needs_only_means() -> None:
    run, agreed = secured_run()
    result = run.start(secured(MedianOfMine(), agreed, mean_only=True), rounds=1)
    assert np.isfinite(numpy_of(result.arrays)["b"]).all()


@pytest.mark.parametrize("other", [{"attempts": 0}, {"epoch_rounds": 0}, {"epoch_rounds": 65}])
def test_numbers_that_make_no_run_are_refused(other: dict[str, int]) -> None:
    with pytest.raises(FederationError):
        secured(FedAvg(), terms(), **other)


def test_sites_that_would_be_asked_different_things_are_refused_before_anything_is_sent() -> None:
    class Personal(FedAdam):
        def configure_train(self, server_round, arrays, config, grid):  # type: ignore[no-untyped-def]  # as apps write it
            messages = list(super().configure_train(server_round, arrays, config, grid))
            for number, message in enumerate(messages):
                own = ConfigRecord({**config, "lr": 0.1 * number})
                message.content = RecordDict({"arrays": arrays, "config": own})
            return messages

    run, agreed = secured_run()
    with pytest.raises(FederationError, match="different models or configurations"):
        run.start(secured(Personal(), agreed), rounds=1)
    assert run.heard == []


def test_simulated_sites_warn_and_take_only_their_own_roster() -> None:
    with pytest.warns(UnsafeWarning, match="every site's key in one process"):
        UnsafeSimulatedSites(terms(), allowed())
