"""Beginning anew where what a site remembers is not whole (format §17.7). Nothing is guessed."""

from dataclasses import dataclass, replace
from pathlib import Path

from airgap.disk import durable as files
from airgap.disk.files import explained
from airgap.errors import UsageError
from airgap.flow.admission import history as memory
from airgap.flow.admission.admit import require_root
from airgap.flow.admission.history import Health
from airgap.flow.progress import Silent
from airgap.format.ledger import State

__all__ = ["Anew", "begin_anew", "look"]


@dataclass(frozen=True, slots=True)
class Anew:
    """What follows from what was kept, and where the old files are now."""

    aside: Path
    state: State


def look() -> Health:
    """Examine what this machine remembers of the site it trusts. Writes nothing.

    Raises:
        ConfigurationError: this machine trusts nobody yet.
        StorageError: a file cannot be read.
    """
    return memory.examine(require_root().value.site)


def begin_anew(head: str) -> Anew:
    """Keep what is whole, put the rest aside, and remember that.

    ``head`` is that of the ``Health`` that somebody has read: it must still be so.

    Raises:
        UsageError: it is not, or everything is whole.
        StorageError: the disk refused. Then it can be tried again.
    """
    root = require_root().value
    folder = memory.examine(root.site).journal.folder
    with explained(folder):
        files.make_folder(folder)
    with memory.alone(root.site, Silent()) as (desk, health):
        if health.trouble is None:
            raise UsageError("What this machine remembers is whole.", "There is nothing to reset.")
        if health.head != head:
            raise UsageError(
                f"The ledger's head is {health.head}, not {head}.",
                "Run `airgap trust reset-state` without --yes, read it, and give that head.",
            )
        said = memory.entry_of_root(root, "reset")
        said = replace(said, note=memory.written(health.trouble.what))
        with explained(folder):
            return Anew(*desk.begin_anew(memory.dated(said, health.kept)))
