"""What a decision says on the command line in Chinese is what the report says."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from fedvalue.payment import standard_file
from fedvalue.payment.parameters import load_yaml
from fedvalue.payment.said import named, said
from fedvalue.server.reports.wording import Voice
from tests.unit.payment.kinds.sources import curve, decided, increment
from tests.unit.payment.kinds.test_every_mechanism import SPLIT, subgroups

CHINESE = re.compile(r"[\u4e00-\u9fff]")


def test_the_command_line_and_the_report_hold_the_same_sentences() -> None:
    raw = resources.files("fedvalue.payment").joinpath("said.yaml").read_bytes()
    entries, voice = load_yaml(raw, where="said.yaml")["sentences"], Voice.of("both")
    for key, entry in entries.items():
        told = voice.catalogue.entries[f"recorded.{key}"]
        assert (told.en, told.zh) == (entry["en"], entry["zh"])


@pytest.mark.parametrize("case", ["poor", "unsure", "refused", "short"])
def test_every_sentence_of_a_decision_on_criteria_is_known_in_chinese(case: str) -> None:
    unsure = increment(115_000, 0.45, noise=1.6)
    made = {
        "poor": lambda: decided("blood/car_t_instalments", {"survival": curve((31.0, 0.8), (366.0, 0.4))}),
        "unsure": lambda: decided("lung/targeted_therapy_icer_gate", {"cost": unsure, "effect": unsure}),
        "refused": lambda: subgroups(SPLIT.replace(", field: {kind: drug, codes: [L01EB]}", "")),
        "short": lambda: decided("blood/car_t_instalments", {"survival": curve((30.0, 0.9), (200.0, 0.8))}),
    }[case]()
    sentences = [*made.warnings, *made.what_would_change]
    if made.insufficient is not None:
        lacking = made.insufficient
        sentences += [lacking.text, lacking.more_patients.text, lacking.more_privacy.text]
    assert sentences
    for sentence in sentences:
        assert CHINESE.search(said(sentence, "zh")), sentence
        assert said(sentence, "en") == sentence


def test_a_sentence_that_nobody_wrote_stays_as_it_is() -> None:
    assert said("Something else.", "zh") == "Something else."


def test_who_bears_what_is_told_in_chinese_for_every_standard_and_as_the_report_tells_it() -> None:
    entries = Voice.of("both").catalogue.entries
    folder = resources.files("fedvalue.payment").joinpath("standards")
    found = [f"{disease.name}/{file.name[:-5]}" for disease in folder.iterdir() for file in disease.iterdir()]
    assert len(found) > 25
    for name in found:
        standard = standard_file.read(name).standard
        for flow in standard.flows:
            units = {standard.history(factor).unit.partition(" per ")[2] for factor in flow.factors} - {""}
            for word in (flow.name, flow.bearer, flow.payee, *units):
                assert CHINESE.search(named(word, "zh")) or word == "QALY", f"{name}: {word}"
                assert named(word, "en") == word
            for section, word in (("money", flow.name), ("party", flow.bearer), ("party", flow.payee)):
                known = entries.get(f"{section}.{word.replace(' ', '_')}")
                # "standard" and "unchanged" are sentences of that section, no names of a flow.
                assert known is None or "{" in known.zh or known.zh == named(word, "zh"), f"{name}: {word}"
