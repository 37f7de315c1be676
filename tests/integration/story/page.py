"""The second half of docs/two-years.md: its commands, typed into a shell in the auditor's folder.

``AIRGAP_TEST_WRITE_PAGE=1 pytest tests/integration/story -k page_print`` writes what is printed
today into the page; the blocks with ``age`` only where that program is.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from tests.support import transcript
from tests.support.sides import REPOSITORY

DOCUMENT: Final = REPOSITORY / "docs" / "two-years.md"
PROGRAMS: Final = ("openssl", "xxd", "base64", "sha256sum", "python3")
_TOOLS: Final = re.compile(r"^```sh tools\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_END: Final = "end of command"
_DIGEST: Final = re.compile(r"\b[0-9a-f]{16,64}\b|[A-Za-z0-9+/]{43}=|\bage1[0-9a-z]+")


@dataclass(frozen=True)
class Block:
    """The commands of a block of the page, and what each prints."""

    kind: str
    steps: tuple[transcript.Step, ...]


def read_blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a page."""
    for block in transcript.BLOCK.finditer(text):
        yield Block(block[1], tuple(transcript.steps_of(block[0])))


def read_report(text: str) -> transcript.Step:
    """Return the command of the page that makes the report, and what it prints."""
    (step,) = (one for block in read_blocks(text) if block.kind == "report" for one in block.steps)
    return step


def run_commands(
    text: str, box: Path, kinds: frozenset[str], only: str = ""
) -> list[tuple[str, str, str]]:
    """Type the commands of these kinds into one shell, after the page's own tools.

    ``only`` leaves out the blocks without a command that has this text.

    Returns each command, what the page says that it prints, and what it prints.
    """
    (tools,) = _TOOLS.findall(text)
    blocks = [block for block in read_blocks(text) if block.kind in kinds]
    chosen = [one for one in blocks if any(only in step.command for step in one.steps)]
    steps = [step for block in chosen for step in block.steps]
    script = tools + "".join(f"\n{step.command}\nprintf '{_END}\\n'" for step in steps)
    ran = subprocess.run(
        ["sh", "-c", f"{script}\nrm -r $W\n"],
        cwd=box,
        env={"PATH": os.environ["PATH"], "TZ": "UTC"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=120,
    )
    printed = ran.stdout.decode().split(f"{_END}\n")
    assert len(printed) == len(steps) + 1, printed[-1]
    return [(step.command, step.printed, text) for step, text in zip(steps, printed, strict=False)]


def _keep(told: str, printed: str) -> str:
    """Return what a page says where only its digests are others today."""
    return told if mask(told) == mask(printed) else printed


def list_kinds() -> frozenset[str]:
    """Return the kinds of blocks that can be run on this host."""
    return frozenset({"auditor"} | ({"age"} if shutil.which("age") else set()))


def mask(printed: str) -> str:
    """Leave out digests, which are others at each run. Numbers and dates are the same."""
    return _DIGEST.sub("#", printed)


def rewrite(text: str, box: Path, kinds: frozenset[str], report: str) -> str:
    """Return the page with what is printed today; ``report`` is what ``airgap audit`` prints."""
    ran = iter(run_commands(text, box, kinds))

    def block(found: "re.Match[str]") -> str:
        steps = list(transcript.steps_of(found[0]))
        if found[1] == "report":
            return f"```console report\n$ {steps[0].command}\n{report}```"
        if found[1] not in kinds:
            return found[0]
        made = [
            f"$ {command}\n{_keep(told, new)}" for command, told, new in islice(ran, len(steps))
        ]
        return f"```console {found[1]}\n{''.join(made)}```"

    return transcript.BLOCK.sub(block, text)
