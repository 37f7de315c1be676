"""Runs an intake in a child of ``tests.support.fork_server``, so that it can be killed."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from airgap.flow.location.location import ArchiveFile, LocalDepot
from airgap.server.done_folder import DoneFolder
from airgap.server.dropbox.folders import DropFolders, Retention
from airgap.server.dropbox.open_uploads import OpenUploads
from airgap.server.dropbox.quotas import Quota
from airgap.server.intake.decisions import Verdict
from airgap.server.intake.event_log import EventLog
from airgap.server.intake.intake import Intake, IntakeOptions
from airgap.server.intake.intake_folder import IntakeFolder
from airgap.server.intake.worker import Operation
from airgap.server.watch import WatchedFolder

__all__ = ["IMPORTS", "main"]

IMPORTS = "imports"
"""A file beside the state folder, with a line for each import that was started."""


def main(face: str, folder: str, state: str, kind: str) -> NoReturn:
    """Run an intake until it has nothing more to do, twice, then exit.

    Args:
        face: ``dropbox`` or ``watch``.
        folder: the watched folder.
        state: the state folder.
        kind: how every import ends.
    """
    top = Path(state)

    def run(
        operation: Operation,
        location: LocalDepot | ArchiveFile,
        depots: Sequence[LocalDepot | ArchiveFile],
    ) -> Verdict:
        descriptor = os.open(top.parent / IMPORTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, f"{operation} {location}\n".encode())
        os.close(descriptor)
        if kind == "pair":  # each of two bundles is imported only with another beside it
            return Verdict("done" if depots else "missing", "It lacks chunks.", "Send the rest.")
        return Verdict(kind, "It is so.", "Do something.")

    if face == "dropbox":
        quotas, retention = {"ann": Quota(10**9, 1000)}, Retention(3600, 3600)
        intake_folder: IntakeFolder = DropFolders(top, quotas, OpenUploads(), retention)
    else:
        intake_folder = WatchedFolder(Path(folder), top, DoneFolder(top.parent / "done"))
    events = EventLog(top, lambda _: None)
    intake = Intake(intake_folder, run, events, IntakeOptions(hold=False, settle=0))
    for _ in range(2):
        while intake.tick():
            pass
    sys.exit(0)
