"""Load a hospital's tables into its home: the records, the report, and who entered in which year."""

from __future__ import annotations

from pathlib import Path

from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.home import SiteHome, write_atomically
from fedvalue.client.records.load import load
from fedvalue.client.records.mapping import Mapping
from fedvalue.client.records.report import LoadReport
from fedvalue.client.records.store import MODEST, reading


def load_records(home: SiteHome, source: Path, mapping: Mapping) -> LoadReport:
    """Load a folder, then let everybody in the records enter the ledger's partition of this year.

    Who is in the records and never entered cannot be frozen into a study: after a crash between the two, load
    again.

    Args:
      home: The site.
      source: Folder with the hospital's tables.
      mapping: What they mean.

    Raises:
      RecordsError: the tables cannot be loaded; the records are as before.
      LedgerError: the ledger or the store of first entries cannot be written.
    """
    report = load(source, mapping, home.records_file)
    with reading(home.records_file, limits=MODEST) as connection:
        ids = [str(patient) for (patient,) in connection.execute("SELECT patient_id FROM patient").fetchall()]
    with home.ledger() as ledger, home.first_entries(ledger) as entered:
        entered.register(ids, home.clock().year)
    write_atomically(home.folder / "load-report.json", report.json_text().encode())
    AuditLog(home.audit_file, home.clock).write("loaded")
    return report
