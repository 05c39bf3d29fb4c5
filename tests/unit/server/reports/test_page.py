"""The report as a whole: complete, in order, self-contained, escaped, and only on evidence that holds."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedvalue.analyses.estimate import Released
from fedvalue.errors import EvidenceError, OutputError, SignatureInvalid
from fedvalue.payment.decision import Decision
from fedvalue.server import reports
from fedvalue.server.reports import render, write
from fedvalue.server.reports.limits import one_patient
from fedvalue.server.reports.wording import Language
from tests.unit.server.reports import samples
from tests.unit.server.reports.conftest import Report
from tests.unit.server.reports.pages import SECTIONS, Page
from tests.unit.server.reports.sample_decisions import decision, finding

BADGES = {
    "met": ("Met", "达标"),
    "exact": ("Met", "达标"),
    "not_met": ("Not met", "未达标"),
    "insufficient": ("Insufficient evidence", "证据不足"),
    "below_minimum": ("Insufficient evidence", "证据不足"),
    "not_estimable": ("Insufficient evidence", "证据不足"),
}
HOSTILE = (
    '</title></style><script src="https://evil.example/x.js">aler'
    "t(1)</script>{{ 7 * 7 }}\u202e<img src=x onerror=y>"
)


@pytest.mark.parametrize("language", ["en", "zh", "both"])
@pytest.mark.parametrize("story", samples.STORIES)
def test_every_section_stands_in_its_order_and_holds_words(
    report: Report, story: samples.Story, language: str
) -> None:
    page = Page.read(report(story, language))  # type: ignore[arg-type] # a parametrised literal
    assert [name for name in page.ids if name in SECTIONS] == list(SECTIONS)
    for name in SECTIONS:
        assert len(page.within[name]) > 15, name
    assert len(set(page.ids)) == len(page.ids)


@pytest.mark.parametrize("story", samples.STORIES)
def test_the_answer_is_one_badge_in_words(report: Report, story: samples.Story) -> None:
    for language, badge in zip(("en", "zh"), BADGES[story], strict=True):
        page = report(story, language)  # type: ignore[arg-type] # a zipped literal
        badges = re.findall(r'<p class="badge">.*?</svg>(.*?)</p>', page)
        assert badges == [badge]


@pytest.mark.parametrize("story", samples.STORIES)
def test_the_page_asks_nothing_of_a_network_and_runs_nothing(report: Report, story: samples.Story) -> None:
    html = report(story, "both")
    assert not re.search(r"https?://", html.replace("http://www.w3.org/2000/svg", ""))
    assert "default-src 'none'" in html
    page = Page.read(html)
    for tag, given_ in page.elements:
        assert tag not in {
            "script",
            "link",
            "img",
            "iframe",
            "object",
            "embed",
            "base",
            "form",
            "use",
            "image",
            "a",
        }
        assert not {"src", "href", "xlink:href", "srcset", "action"} & set(given_)
        assert not [name for name in given_ if name.startswith("on")]
    assert "@import" not in html
    assert set(re.findall(r"url\(([^)]*)\)", html)) <= {f"#{name}" for name in page.ids}


@pytest.mark.parametrize("language", ["en", "zh", "both"])
@pytest.mark.parametrize("story", samples.STORIES)
def test_every_drawing_is_xml_with_text_as_text_and_a_name(
    report: Report, story: samples.Story, language: str
) -> None:
    html = report(story, language)  # type: ignore[arg-type] # a parametrised literal
    drawings = re.findall(r"<svg [^>]*class=\"drawing.*?</svg>", html, flags=re.DOTALL)
    assert len(drawings) >= 6
    ids: list[str] = []
    for text in drawings:
        root = ET.fromstring(text)
        tags = {node.tag.rpartition("}")[2] for node in root.iter()}
        assert "text" in tags
        assert tags <= {"svg", "title", "desc", "text", "line", "rect", "path", "circle", "pattern"}
        assert root.attrib["role"] == "img"
        named = root.attrib["aria-labelledby"].split()
        found = {node.attrib["id"]: "".join(node.itertext()) for node in root.iter() if "id" in node.attrib}
        assert all(len(found[name]) > 5 for name in named)
        ids += found
    assert len(ids) == len(set(ids))


def test_every_figure_has_a_caption_and_its_data(report: Report) -> None:
    html = report("met", "en")
    figures = re.findall(r"<figure>.*?</figure>", html, flags=re.DOTALL)
    assert len(figures) == 5  # probability, estimate, survival, variance, budget
    for figure in figures:
        assert figure.count("<svg") == 2
        assert "<figcaption>" in figure
        assert figure.count("<details") == 1
        assert len(re.findall(r'<th scope="row">', figure)) >= 3


def test_a_page_in_both_languages_shows_either_by_the_reader_s_choice_alone(report: Report) -> None:
    html = report("insufficient", "both")
    assert '<input type="radio" class="choice" name="language" id="read-en" checked' in html
    assert "#read-en:checked~main .zh,#read-zh:checked~main .en{display:none}" in html
    assert '<span class="en" lang="en">Insufficient evidence</span>' in html
    assert 'class="zh"' in html
    single = report("insufficient", "en")
    assert 'class="choice"' not in single
    assert 'class="zh"' not in single
    for section, words in Page.read(single).within.items():
        assert section == "provenance" or not re.search("[\u4e00-\u9fff]", words), section


@pytest.mark.parametrize("story", ["not_estimable", "below_minimum"])
def test_without_an_estimate_words_stand_in_its_place(report: Report, story: samples.Story) -> None:
    page = Page.read(report(story, "en"))
    told = "Not estimable at this budget." if story == "not_estimable" else "Fewer than 50 released patients"
    assert told in page.within["probability"]
    assert told in page.within["survival"]
    assert "could not be estimated" in page.within["answer"]
    if story == "not_estimable":
        for section in ("probability", "survival"):
            assert "epsilon of about 4.7" in page.within[section]
            assert "118 patients" in page.within[section]


def test_insufficient_evidence_states_both_remedies_and_both_dates(report: Report) -> None:
    told = Page.read(report("insufficient", "en")).within["change"]
    for part in (
        "680 patients",
        "378 patients more",
        "80.0%",
        "epsilon 4.7",
        "2027-05-23",
        "2028-11-20",
    ):
        assert part in told, part
    assert "cannot be bought" in told


def test_money_has_its_currency_and_its_bearer(report: Report) -> None:
    told = Page.read(report("met", "en")).within["money"]
    for part in (
        "CNY 10,000",
        "+CNY 1,000,000",
        "health insurance fund to hospital",
        "2027-01-20",
        "2026-12-21",
    ):
        assert part in told, part
    assert "no payment changes" in Page.read(report("insufficient", "en")).within["money"]


def test_no_estimate_stands_without_its_interval(report: Report) -> None:
    html = report("met", "en")
    results = html[html.index('id="results"') :]
    rows = re.findall(r"<tr><th scope=\"row\">.*?</tr>", results)
    assert len(rows) >= 10
    for row in rows:
        cells = [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]
        assert (cells[1] == cells[2] == "\u2013") or " to " in cells[2], row


def test_the_number_of_patients_is_a_band(report: Report) -> None:
    assert "200\u2013499 released patients" in Page.read(report("met", "en")).within["estimate"]


def test_simulation_and_every_unsafe_switch_stand_in_the_banner(report: Report) -> None:
    html = report("exact", "en")
    banner = html[html.index('<aside class="banner"') : html.index("</aside>")]
    assert html.index('<aside class="banner"') < html.index('id="question"')
    for part in ("SIMULATION", "UNSAFE: no_noise", "protect nobody"):
        assert part in banner, part
    assert 'role="alert"' in banner
    assert "clear_sum" not in html
    clear = samples.package("met", clear_sum=True)
    assert "UNSAFE: clear_sum" in render(clear, (decision(clear, "met"),))


def test_a_switch_that_the_catalogue_does_not_know_is_shown_all_the_same() -> None:
    package = samples.package("met", unsafe=("in_memory_keys",), simulation=False)
    html = render(package, (decision(package, "met"),))
    assert "UNSAFE: in_memory_keys" in html
    assert "EXAMPLE STANDARD" in html


def test_a_package_without_any_of_it_has_no_banner() -> None:
    package = samples.package("met", unsafe=(), simulation=False)
    html = render(package, (decision(package, "met", standard_status="official"),))
    assert '<aside class="banner"' not in html


def test_limits_say_what_one_patient_moves(report: Report) -> None:
    # n = 341.2, variance 3 x 42: least n = 341.2 - 3 x 11.22 = 307.5; k = 3: 3 / (307.5 - 3) = .0099
    told = Page.read(report("met", "en")).within["limits"]
    assert "If one patient more or less were in the data" in told
    assert "move by at most 1.0 points" in told
    assert "is inside the interval" in told
    assert "No noise was added" in Page.read(report("exact", "en")).within["limits"]


def test_limits_and_provenance_say_how_the_sum_traveled_and_who_should_not_coordinate(report: Report) -> None:
    private = Page.read(report("met", "en")).within
    told = private["limits"]
    assert "What left a site was a masked vector" in told
    assert "at least 5 sites were opened" in told
    assert "2 holds as long as at most 1 of the 6 sites work with the coordinator" in told
    assert "A legal entity that pays for the care should not run the coordinator" in told
    assert "masked (private sum, crypto suite intl-1)" in private["provenance"]
    assert "5e5e5e5e / 2" in private["provenance"]
    made = samples.package("met", clear_sum=True)
    clear = Page.read(render(made, (decision(made, "met"),))).within
    assert "Because the sum traveled in clear in this simulation" in clear["limits"]
    assert "masked" not in clear["limits"]
    assert "in clear (simulation)" in clear["provenance"]
    small = samples.package("met", sites=5)
    said = Page.read(render(small, (decision(small, "met"),))).within["limits"]
    assert "If all other sites worked with the coordinator" in said


@given(st.integers(0, 400), st.integers(0, 400), st.integers(1, 5))
def test_no_patient_moves_a_share_by_more_than_the_report_says(
    successes: int, failures: int, sites: int
) -> None:
    total = successes + failures
    known = finding("exact", 0.5, 0.0).model_copy(update={"total": Released(value=total, noise_variance=0.0)})
    most = one_patient(known, sites)
    if total <= 2 * sites:
        assert most == 1.0
        return
    share = successes / total
    for good in range(sites + 1):
        bad = sites - good
        assert abs((successes + good) / (total + sites) - share) <= most + 1e-12
        if successes >= good and failures >= bad:
            assert abs((successes - good) / (total - sites) - share) <= most + 1e-12


def test_provenance_names_everything_that_can_be_checked(report: Report) -> None:
    package = samples.package("met")
    told = Page.read(report("met", "en")).within["provenance"]
    made = decision(package, "met")
    for part in (
        package.study_hash,
        package.evidence_id,
        package.roster_hash,
        package.code.version,
        package.code.digest,
        made.decision_id,
        made.parameters_version,
        "hospital-06",
        "2026-11-21",
        "2027-12-31",
        "coordinator (key",
    ):
        assert part in told, part


def test_hostile_words_of_a_study_are_escaped_everywhere() -> None:
    line = HOSTILE.replace("\u202e", "")  # a study refuses what turns a line around
    study = samples.study(title={"en": line, "zh": line}, question={"en": line}, principal_investigator=line)
    package = samples.package("met", of=study)
    made = decision(
        package, "met", action=HOSTILE, warnings=(HOSTILE,), what_would_change=(HOSTILE,), standard=HOSTILE
    )
    languages: tuple[Language, ...] = ("en", "both")
    for language in languages:
        html = render(package, (made,), language)
        page = Page.read(html)
        assert not [tag for tag, _ in page.elements if tag in ("script", "img")]
        assert "49" not in page.within["question"]
        assert "\u202e" not in html
        assert "<script>" in page.within["question"].replace(
            '<script src="https://evil.example/x.js">', "<script>"
        )


def test_the_same_evidence_gives_the_same_page() -> None:
    first, second = samples.package("met"), samples.package("met")
    assert render(first, (decision(first, "met"),), "both") == render(
        second, (decision(second, "met"),), "both"
    )


def test_several_decisions_are_answered_one_after_the_other() -> None:
    package = samples.package("met")
    page = Page.read(
        render(package, (decision(package, "met"), decision(package, "insufficient", rule="D2")))
    )
    assert [name for name in page.ids if name.startswith("decision-") and name.count("-") == 1] == [
        "decision-1",
        "decision-2",
    ]
    assert len(set(page.ids)) == len(page.ids)
    assert "guard band" in page.text


def test_evidence_without_a_decision_says_so() -> None:
    page = Page.read(render(samples.package("met"), ()))
    assert "No payment decision" in page.within["answer"]
    assert "money" not in page.ids


def test_a_study_without_survival_has_no_section_of_it() -> None:
    package = samples.package("met", found=samples.conclusions("met")[:1])
    assert "survival" not in Page.read(render(package, (decision(package, "met"),))).ids


def test_evidence_that_was_changed_is_not_reported() -> None:
    package = samples.package("met")
    changed = package.model_copy(update={"valid_to": package.valid_from})
    with pytest.raises(EvidenceError, match="not that of the content"):
        render(changed, ())
    forged = package.model_copy(update={"signatures": samples.package("not_met").signatures})
    with pytest.raises(SignatureInvalid):
        render(forged, ())


def test_a_decision_on_other_evidence_is_refused() -> None:
    with pytest.raises(EvidenceError, match="not on this evidence"):
        render(samples.package("met"), (decision(samples.package("not_met"), "not_met"),))


@pytest.mark.parametrize("signed", [True, False])
def test_a_decision_that_was_changed_is_refused(signed: bool) -> None:
    package = samples.package("insufficient")
    made: Decision = decision(package, "insufficient", signed=signed)
    assert "Insufficient evidence" in render(package, (made,))
    with pytest.raises(EvidenceError, match="decision_id is not that of the content"):
        render(package, (made.model_copy(update={"outcome": "met"}),))


def test_a_report_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    package = samples.package("met")
    path = tmp_path / "report.html"
    assert write(package, (decision(package, "met"),), path, "zh") == path
    assert path.read_text(encoding="utf-8") == render(package, (decision(package, "met"),), "zh")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written") as caught:
        write(samples.package("met"), (), tmp_path / "absent" / "report.html")
    assert "absent" in caught.value.where
    folder = tmp_path / "report.html"
    folder.mkdir()
    with pytest.raises(OutputError):
        write(samples.package("met"), (), folder)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_colors_that_carry_text_stand_out_from_their_ground() -> None:
    # WCAG 2.2, 1.4.3: contrast of at least 4.5 : 1
    from fedvalue.server.reports import look

    def luminance(color: str) -> float:
        channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    pairs = [
        (look.INK, look.PAPER),
        (look.MUTED, look.PAPER),
        (look.ACCENT, look.PAPER),
        (look.PAPER, look.MET),
        (look.PAPER, look.NOT_MET),
        (look.PAPER, look.INSUFFICIENT),
        (look.PAPER, look.ALARM),
        (look.ALARM, look.ALARM_TINT),
        (look.INK, look.PRIVACY),
        (look.PAPER, look.SAMPLING),
        (look.INK, look.MET_TINT),
        (look.INK, look.INSUFFICIENT_TINT),
        (look.MUTED, look.PANEL),
    ]
    for one, other in pairs:
        high, low = sorted((luminance(one), luminance(other)), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (one, other)
    assert all(a.color != b.color and a.dash != b.dash for a, b in pairwise(look.STROKES))


def test_the_room_s_surface_is_three_functions() -> None:
    assert reports.__all__ == ["render", "summary_table", "write"]
