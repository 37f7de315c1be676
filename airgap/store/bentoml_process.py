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

from airgap.errors import CorruptError
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
    code, output = _run_reader(items)
    if code == _CANNOT_START:
        note(f"BentoML {version} was not asked whether it can read the items: {output}.")
    elif code:
        number, _, reason = output.partition(" ")
        item = items[int(number)].item if number.isdecimal() else items[0].item
        raise CorruptError(
            f"BentoML {version} cannot read the {item}: {reason}.",
            "Ask the sender to build it with the version of BentoML that is installed here.",
        )


def find_version() -> str | None:
    """Return the version of the bentoml that is installed beside airgap; None if none is."""
    if importlib.util.find_spec("bentoml") is None:
        return None
    from importlib import metadata  # it takes 10 ms, and imports seldom need it

    try:
        return metadata.version("bentoml")
    except metadata.PackageNotFoundError:
        return "of an unknown version"


def _run_reader(items: Sequence[StagedItem]) -> tuple[int, str]:
    """Return the exit code of the reader, and the first line that it wrote."""
    import subprocess
    import tempfile

    arguments = [text for item in items for text in (item.item.kind, str(item.folder))]
    with tempfile.TemporaryDirectory() as scratch:
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
        except subprocess.TimeoutExpired:
            return 1, f"- it took more than {_SECONDS} seconds"
    lines = done.stdout.decode(errors="replace").split("\n")
    return done.returncode, cut_text(lines[0], 500).removesuffix(".") or "- it ended without a word"
