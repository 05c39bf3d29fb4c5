"""Load a hospital's tables into its home: the records, the report, and who entered in which year."""

from __future__ import annotations

import hmac
from pathlib import Path

from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.governance.opening_partitions import open_named
from fedvalue.client.governance.partitions import site_secret
from fedvalue.client.home import SiteHome, write_atomically
from fedvalue.client.places import RECORDS
from fedvalue.client.records.load import has_pseudonyms, load
from fedvalue.client.records.mapping import Mapping
from fedvalue.client.records.pseudonyms import Pseudonyms
from fedvalue.client.records.report import LoadReport
from fedvalue.client.records.store import MODEST
from fedvalue.client.records.stores import reading


def pseudonyms(home: SiteHome) -> Pseudonyms | None:
    """Return what a site's records know patients by, None where they have the hospital's own ids.

    A home whose records were loaded before there were pseudonyms goes on without them: under new names
    everybody would enter the ledger once more.

    Raises:
      LedgerError: the site's secret cannot be read or made.
      SourceUnreadable: the records are no store.
    """
    # records that are being moved to a server go on under the names that they had
    if any(has_pseudonyms(place) is False for place in {home.records_file, home.folder / RECORDS}):
        return None
    secret = site_secret(home.first_entries_secret_file)  # one secret to keep safe, one purpose a derived key
    return Pseudonyms(hmac.digest(secret, b"\x00pseudonyms of the records", "sha256"))


def known_as(home: SiteHome, local_id: str) -> str:
    """Return what the site's records call a patient of the hospital.

    Raises:
      LedgerError, SourceUnreadable: as in `pseudonyms`.
    """
    names = pseudonyms(home)
    return local_id if names is None else names.of(local_id)


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
    report = load(source, mapping, home.records_file, pseudonyms=pseudonyms(home))
    with reading(home.records_file, limits=MODEST, tables=("patient",)) as connection:
        ids = [str(patient) for (patient,) in connection.execute("SELECT patient_id FROM patient").fetchall()]
    with home.ledger() as ledger, home.first_entries(ledger) as entered:
        open_named(ledger, home.policy, home.clock().year)
        entered.register(ids, home.clock().year)
    write_atomically(home.folder / "load-report.json", report.json_text().encode())
    AuditLog(home.audit_file, home.clock).write("loaded")
    return report
