"""Load the same files through the same mapping once, for tests that ask one federation again and again."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from fedvalue.client.records.load import load
from fedvalue.client.records.mapping import Mapping
from fedvalue.client.records.pseudonyms import Pseudonyms
from fedvalue.client.records.report import LoadReport


class Loads:
    """Called like `fedvalue.client.records.load.load`; a table that was loaded before is copied.

    A store holds what the files and the mapping say and nothing of where it lies, so a copy is what another
    load would give. Its patients keep their own ids: pseudonyms are each home's, and no copy could have them.
    """

    def __init__(self, folder: Path) -> None:
        """Keep the stores in ``folder``."""
        self._folder = folder
        self._reports: dict[str, LoadReport] = {}

    def __call__(
        self, folder: Path, mapping: Mapping, database_path: Path, *, pseudonyms: Pseudonyms | None = None
    ) -> LoadReport:
        """Load, or copy what the same files and mapping gave; ``pseudonyms`` are left aside."""
        del pseudonyms
        found = hashlib.sha256(mapping.model_dump_json().encode())
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            content = path.read_bytes()
            found.update(f"{path.relative_to(folder)} {len(content)} ".encode() + content)
        key = found.hexdigest()
        kept = self._folder / key
        if key not in self._reports:
            self._reports[key] = load(folder, mapping, kept)
        database_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy(kept, database_path)
        return self._reports[key]
