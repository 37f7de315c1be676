"""Intake of deliveries in a child of ``tests.support.fork_server``: begun, finished, ended."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from airgap.server.dropbox.folders import DropFolders, Retention
from airgap.server.dropbox.upload_names import OpenUploads, Quota
from airgap.server.intake.event_log import EventLog
from airgap.server.intake.intake import Intake, IntakeFolder, IntakeOptions
from airgap.server.intake.policy import Verdict
from airgap.server.intake.worker import Work
from airgap.server.watch import WatchedFolder

__all__ = ["IMPORTS", "main"]

IMPORTS = "imports"
"""A line for each import that was begun, beside the state folder."""


def main(what: str, folder: str, state: str, kind: str) -> NoReturn:
    """Look twice at a drop box's folders, or at a folder that is watched, then end.

    Args:
        what: ``house`` or ``shelf``.
        folder: the folder that is watched.
        state: the state folder.
        kind: how every import ends.
    """
    top = Path(state)

    def run(work: Work, place: str) -> Verdict:
        descriptor = os.open(top.parent / IMPORTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, f"{work} {place}\n".encode())
        os.close(descriptor)
        return Verdict(kind, "It is so.", "Do something.")

    if what == "house":
        retention = Retention(3600, 3600)
        keeper: IntakeFolder = DropFolders(
            top, {"ann": Quota(10**9, 1000)}, OpenUploads(), retention
        )
    else:
        keeper = WatchedFolder(Path(folder), top, top.parent / "done")
    journal = EventLog(top, lambda _: None)
    attendant = Intake(keeper, run, journal, IntakeOptions(hold=False, settle=0))
    attendant.tick()
    attendant.tick()
    sys.exit(0)
