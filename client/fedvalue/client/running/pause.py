"""The kill switch: while a file is in the home, the node answers nothing and knows no epoch.

It is a file because it has to work when nothing else does: the node looks for it before it takes a message
up and again before an answer leaves, so whatever is under way when it appears is not sent.
"""

from __future__ import annotations

from pathlib import Path

from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.home import SiteHome, write_atomically
from fedvalue.errors import OutputError, SitePaused

PAUSED = "paused"
"""File in the home; its content is the reason, for people."""


def paused(folder: Path) -> bool:
    """Tell whether a site is paused; a file that cannot be looked at counts."""
    try:
        (folder / PAUSED).lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def require_running(folder: Path) -> None:
    """Refuse while the site is paused.

    Raises:
      SitePaused: it is.
    """
    if paused(folder):
        raise SitePaused("this site is paused", where=PAUSED, do="`fedvalue site resume` ends it")


def pause(home: SiteHome, reason: str) -> bool:
    """Pause a site; return False if it was already.

    Args:
      home: The site.
      reason: Why, for its own people; it leaves nowhere.

    Raises:
      OutputError: the home cannot be written.
    """
    before = paused(home.folder)
    write_atomically(home.folder / PAUSED, f"{reason}\n".encode())
    if not before:
        AuditLog(home.audit_file, home.clock).write("paused", reason=reason[:200])
    return not before


def resume(home: SiteHome) -> bool:
    """End a pause; return False if there was none.

    Raises:
      OutputError: the home cannot be written.
    """
    if not paused(home.folder):
        return False
    AuditLog(home.audit_file, home.clock).write("resumed")
    try:
        (home.folder / PAUSED).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"the pause cannot be ended: {error.strerror}", where=str(home.folder)) from error
    return True
