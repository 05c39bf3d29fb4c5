"""A federation's papers, made by the commands that people type."""

from __future__ import annotations

import pytest

from fedvalue.errors import FederationError
from fedvalue.simulation import office_work
from fedvalue.study.identity.clock import present
from fedvalue.study.identity.trust import load_trust

SITES = ("north", "river", "east")


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> office_work.Papers:
    said: list[str] = []
    folder = tmp_path_factory.mktemp("papers") / "federation"
    made = office_work.make_papers(folder, SITES, "127.0.0.1", 9092, said.append)
    assert len(said) == 4
    return made


def test_everybody_stands_on_the_roster_that_the_authority_signed(papers: office_work.Papers) -> None:
    trust = load_trust(papers.authority, papers.revocations, present())
    assert [site.id for site in trust.roster(papers.roster, present()).site] == sorted(SITES)


def test_no_private_key_is_in_what_goes_from_hand_to_hand(papers: office_work.Papers) -> None:
    sent = list((papers.folder / office_work.POST).iterdir())
    assert len(sent) == 4 * len(SITES) + 1  # token, request, answer and papers of each; the roster
    for path in sent:
        assert b"PRIVATE KEY" not in path.read_bytes()
    keys = {
        path for path in papers.folder.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()
    }
    assert {path.relative_to(papers.folder).parts[0] for path in keys} == {
        office_work.AUTHORITY, office_work.OFFICE, office_work.SITES
    }  # fmt: skip
    assert all(path.stat().st_mode & 0o077 == 0 for path in keys)


def test_the_superlink_is_started_with_tls_and_asks_for_node_keys(papers: office_work.Papers) -> None:
    words = papers.superlink
    assert words[0] == "flower-superlink"
    assert "--enable-supernode-auth" in words
    assert "--insecure" not in words
    assert words[words.index("--port") + 1] == "9092"


def test_a_command_that_fails_is_told_in_its_own_words(papers: office_work.Papers) -> None:
    with pytest.raises(FederationError, match="`fedvalue federation admit` ended with status") as caught:
        office_work.command("federation", "admit", papers.office, papers.folder / "post" / "north.join.json")
    assert "the token was used on" in caught.value.where
