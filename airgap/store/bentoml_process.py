"""BentoML itself reads what is staged, in a process of its own, where it is installed.

``bentoml_fields`` says what BentoML 1.4 takes. BentoML is asked as well where that table is not
enough: see docs/adr/0027-what-bentoml-can-list.md. It takes two seconds to start.
"""

import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from airgap.disk.temporary import find_temporary_folder
from airgap.errors import CorruptError, StorageError
from airgap.format.kinds import BENTO, MODEL
from airgap.printable import cut_text
from airgap.store.staging import StagedItem

__all__ = ["find_version", "refuse_unreadable"]

_KNOWN: Final = "1.4."
"""Versions that begin so take the fields of ``bentoml_fields``."""
_READER: Final = Path(__file__).with_name("bentoml_reader.py")
_SECONDS: Final = 120
_CANNOT_START: Final = 70


def refuse_unreadable(
    staged: Sequence[StagedItem], note: Callable[[str], None], *, signed: bool
) -> None:
    """Let BentoML read staged items: those of an unsigned archive, or if it is not BentoML 1.4.

    ``note`` takes a sentence for people, if BentoML cannot be started.

    Raises:
        CorruptError: BentoML refuses one of them, or does not finish.
    """
    items = [item for item in staged if item.item.kind in (BENTO.name, MODEL.name)]
    version = find_version()
    if not items or version is None or (signed and version.startswith(_KNOWN)):
        return
    code, begun, reason = _run_reader(items)
    if code == _CANNOT_START:
        note(f"BentoML {version} was not asked whether it can read the items: {reason}.")
    elif code:
        subject = f"the {items[begun - 1].item}" if begun else "the items"
        raise CorruptError(
            f"BentoML {version} cannot read {subject}: {reason}.",
            "Ask the sender to build it with the version of BentoML that is installed here.",
        )


def _find_scratch(items: Sequence[StagedItem]) -> Path:
    """Return where the reader's empty store lies: staging, where nothing else can be written."""
    try:
        return find_temporary_folder()
    except StorageError:
        return items[0].folder.parents[2]


def find_version() -> str | None:
    """Return the version of the bentoml that is installed beside airgap; None if none is."""
    if importlib.util.find_spec("bentoml") is None:
        return None
    from importlib import metadata  # it takes 10 ms, and imports seldom need it

    try:
        return metadata.version("bentoml")
    except metadata.PackageNotFoundError:
        return "of an unknown version"


def _run_reader(items: Sequence[StagedItem]) -> tuple[int, int, str]:
    """Return the exit code of the reader, how many items it has begun to read, and its reason."""
    import subprocess
    import tempfile

    arguments = [text for item in items for text in (item.item.kind, str(item.folder))]
    with tempfile.TemporaryDirectory(dir=_find_scratch(items)) as scratch:
        environment = {**os.environ, "BENTOML_HOME": scratch, "BENTOML_DO_NOT_TRACK": "True"}
        try:
            done = subprocess.run(  # noqa: S603  (this Python, and a file of this package)
                [sys.executable, "-P", str(_READER), *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            begun, _ = _parse_output(error.stdout or b"")
            return 1, begun, f"it took more than {_SECONDS} seconds"
    begun, reason = _parse_output(done.stdout)
    return done.returncode, begun, reason or f"its process ended with code {done.returncode}"


def _parse_output(output: bytes) -> tuple[int, str]:
    """Return how many items were begun, and what the last line says of the last of them."""
    *numbers, reason = output.decode(errors="replace").split("\n")
    return len(numbers), cut_text(reason, 500).removesuffix(".")
