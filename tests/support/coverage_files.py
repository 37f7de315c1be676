"""Files of coverage that a killed process left half-written.

Coverage writes without a journal, and reads a file as if nobody wrote it. One torn file would
end the report of a whole run.
"""

import contextlib
import sqlite3
from pathlib import Path


def remove_torn_files(folder: Path) -> list[str]:
    """Remove the ``.coverage.*`` files that cannot be read, and return their names."""
    torn = [file for file in folder.glob(".coverage.*") if not _is_whole(file)]
    for file in torn:
        file.unlink(missing_ok=True)
    return sorted(file.name for file in torn)


def _is_whole(file: Path) -> bool:
    location = f"{file.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with contextlib.closing(sqlite3.connect(location, uri=True)) as database:
            database.execute("SELECT path FROM file").fetchall()
            return database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    except sqlite3.Error:
        return False
