"""What a run leaves in its folder: evidence, decisions, proposals and the report."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.errors import OutputError
from fedvalue.evidence import documents, log
from fedvalue.evidence.package import EvidencePackage
from fedvalue.payment import standard_file
from fedvalue.payment.deciding import decide
from fedvalue.payment.decision import Decision
from fedvalue.payment.proposal import propose
from fedvalue.server.reports import page
from fedvalue.server.reports.wording import Language
from fedvalue.study.schema import Study

PARTIAL = ".partial"


@dataclass(frozen=True, slots=True)
class Results:
    """Where everything is.

    Attributes:
      decisions: One for each payment standard that the study names and that reads evidence alone.
      files: Every file, in the order in which a reader wants them.
    """

    decisions: tuple[Decision, ...]
    files: tuple[Path, ...]


def write_results(
    study: Study,
    evidence: EvidencePackage,
    folder: Path,
    *,
    key: Ed25519PrivateKey | None,
    standards: Path | None,
    now: datetime,
    language: Language = "both",
) -> Results:
    """Decide on every standard that the study names, and write evidence, decisions, proposals and report.

    Everything is made in a folder of its own and moved when it is whole, the report last.

    Args:
      study: The study.
      evidence: Its sealed evidence.
      folder: Where to write.
      key: The payer's key; None decides without signature, to be looked at only, and proposes nothing.
      standards: Folder of payment standards; None takes those that come with FedValue.
      now: When; its day is that of the decision.
      language: Of the report.

    Raises:
      PaymentError: a standard is not there, or does not fit the evidence.
      OutputError: the folder cannot be written.
    """
    files = [standard_file.read(payment.standard, standards) for payment in study.payments]
    # A standard that reads the payer's own figures waits for them: `fedvalue payment decide --held`.
    ready = [file for file in files if not file.standard.reads_statement]
    decisions = tuple(decide(evidence, file, now.date(), key=key) for file in ready)
    made = folder / PARTIAL
    try:
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        documents.write(evidence, made / "evidence.json")
        for number, decision in enumerate(decisions, start=1):
            mark = "" if len(decisions) == 1 else f"-{number}"
            documents.write(decision, made / f"decision{mark}.json")
            proposal = None if key is None else propose(decision, key)
            if proposal is not None:
                documents.write(proposal, made / f"proposal{mark}.json")
        page.write(evidence, decisions, made / "report.html", language)
        finished = []
        for source in sorted(made.iterdir(), key=lambda path: path.suffix == ".html"):
            source.replace(folder / source.name)
            finished.append(folder / source.name)
        made.rmdir()
        _log(evidence, decisions, folder / "log.jsonl", now)
    except OSError as error:
        raise OutputError(
            f"the results cannot be written: {error.strerror}",
            where=str(folder),
            do="choose a writable folder",
        ) from error
    return Results(decisions, tuple(reversed(finished)))


def _log(evidence: EvidencePackage, decisions: tuple[Decision, ...], path: Path, now: datetime) -> None:
    """Add what was made to the folder's append-only log."""
    log.append(path, document=evidence.evidence_id, document_digest=documents.digest(evidence), now=now)
    for decision in decisions:
        log.append(path, document=decision.decision_id, document_digest=documents.digest(decision), now=now)
