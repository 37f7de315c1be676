"""Pictures of a terminal: real commands in a real terminal, and what they print, as SVG.

``python -m tests.support.pictures FOLDER`` makes them again. Rows are cut as airgap cuts them: the
folders that stand for the stick and the store have names as long as those that are shown.
"""

import fcntl
import html
import os
import pty
import re
import secrets
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from tests.support import stores, transcript
from tests.support.sides import REPOSITORY, Side, unmeasured_environment

PICTURES: Final = REPOSITORY / "docs/pictures"
STICK: Final = "/media/usb"
STORE: Final = "/srv/bentoml"
COLUMNS: Final = 100
ACROSS: Final = (
    ("office", "airgap export summarizer:v1 -o /media/usb/depot"),
    ("ward", "airgap import /media/usb/depot"),
)
REFUSED: Final = (("ward", "airgap import /media/usb/depot"), ("ward", "echo $?"))
_CODE: Final = re.compile(r"\x1b\[([\d;]*)m")
_OTHER_CODE: Final = re.compile(r"\x1b\[[\d;?]*[A-Za-ln-z]")
_COLOURS: Final = {"31": "#ff8f87", "32": "#7fd6a8", "33": "#f2c97d", "36": "#8fd3f4"}
_TEXT: Final = "#e6e9ed"
_PROMPT: Final = "#8fc1f0"
_BAR: Final = "\u2501"
_WIDTH: Final = 8.4
"""Of a column, in pixels; a row is as wide with any font of the reader."""
_ROW: Final = 20
_MARGIN: Final = 16


@dataclass
class Scene:
    """Two machines and the stick, in folders with names as long as those that are shown."""

    office: Side
    ward: Side
    stick: Path
    code: int = 0

    def show(self, printed: str) -> str:
        """Put the paths of the picture in the place of this run's."""
        shown = printed.replace(str(self.stick), STICK).replace(str(self.ward.bentoml), STORE)
        return transcript.show_disks(shown)

    def type(self, machine: str, command: str) -> str:
        """Type a command in a terminal of that machine; return what appears, with its colours."""
        if command == "echo $?":
            return f"{self.code}\n"
        side = {"office": self.office, "ward": self.ward}[machine]
        words = command.replace(STICK, str(self.stick)).split()
        screen, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        environment = {**unmeasured_environment(), **side.environment, "TERM": "xterm"}
        for name in ("NO_COLOR", "COLUMNS"):
            environment.pop(name, None)
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            env={**environment, "PYTHONPATH": str(REPOSITORY)},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        seen = b""
        with suppress(OSError):  # EIO: the command has ended
            while piece := os.read(screen, 65536):
                seen += piece
        os.close(screen)
        self.code = process.wait(timeout=60)
        return self.show(_drop_progress(seen.decode()))


def _drop_progress(seen: str) -> str:
    """Leave out rows that a later one has replaced, as a terminal does, and the bars' last state.

    A bar shows how fast this machine was.
    """
    rows = _OTHER_CODE.sub("", seen.replace("\r\n", "\n")).split("\n")
    return "\n".join(row.rpartition("\r")[2] for row in rows if _BAR not in row)


@contextmanager
def set_up() -> Iterator[Scene]:
    """Set a scene: the office has a Bento and a key, and the ward trusts its root."""
    with tempfile.TemporaryDirectory() as name:
        top = Path(tempfile.gettempdir())
        folders = [
            top / secrets.token_hex(40)[: len(shown) - len(f"{top}/")] for shown in (STICK, STORE)
        ]
        office, ward = (Side(Path(name, machine)) for machine in ("office", "ward"))
        ward = _Ward(ward.top, folders[1])
        try:
            for folder in (office.top, ward.top, folders[0]):
                folder.mkdir()
            stores.add_model(office, "ranker:v1", {"weights.bin": stores.noise(4_000_000)})
            service = {"src/service.py": b"print('hello')\n"}
            stores.add_bento(office, "summarizer:v1", service, models=["ranker:v1"])
            made = office.run("init", "hospital-north", "--no-passphrase")
            assert made.code == 0, made.err
            root = office.state / "keys/root.msgpack"
            digest = sha256(root.read_bytes()).hexdigest()
            pinned = ward.run("trust", "init", root, "--fingerprint", f"SHA256:{digest}")
            assert pinned.code == 0, pinned.err
            yield Scene(office, ward, folders[0])
        finally:
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class _Ward(Side):
    """A side whose store is in a folder of its own."""

    store: Path

    @property
    def bentoml(self) -> Path:
        return self.store


def play() -> dict[str, str]:
    """Return what each picture shows, as text with the colours of a terminal."""
    with set_up() as scene:
        across = _type_all(scene, ACROSS)
        shutil.rmtree(scene.ward.bentoml)
        pack = max(scene.stick.rglob("*.pack"), key=lambda path: path.stat().st_size)
        content = bytearray(pack.read_bytes())
        content[len(content) // 2] ^= 1
        pack.chmod(0o644)
        pack.write_bytes(content)
        return {"across": across, "refused": _type_all(scene, REFUSED)}


def _type_all(scene: Scene, commands: tuple[tuple[str, str], ...]) -> str:
    return "\n".join(
        f"\x1b[prompt]{machine}$\x1b[end] {command}\n{scene.type(machine, command)}"
        for machine, command in commands
    )


def draw(text: str, title: str) -> str:
    """Draw what a terminal shows as SVG, without a script and without a font of others."""
    rows = text.rstrip("\n").split("\n")
    width = round(COLUMNS * _WIDTH) + 2 * _MARGIN
    height = len(rows) * _ROW + 2 * _MARGIN
    label = html.escape(title)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
        f' role="img" aria-label="{label}">',
        f"<title>{label}</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="#10202f"/>',
        '<g font-family="ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace"',
        f' font-size="14" fill="{_TEXT}">',
    ]
    for number, row in enumerate(rows):
        lines += _draw_row(row, _MARGIN + number * _ROW + 14)
    return "\n".join([*lines, "</g>", "</svg>", ""])


def _draw_row(row: str, bottom: int) -> Iterator[str]:
    """Yield the parts of a row, each where its column is."""
    column, attributes = 0, ""
    for position, part in enumerate(re.split(r"\x1b\[([\d;]*m|prompt\]|end\])", row)):
        if position % 2:
            attributes = _choose_attributes(part, attributes)
        elif part.strip():
            left = len(part) - len(part.lstrip())
            shown = part.strip()
            x = _MARGIN + (column + left) * _WIDTH
            yield (
                f'<text x="{x:.1f}" y="{bottom}" textLength="{len(shown) * _WIDTH:.1f}"'
                f"{attributes}>{html.escape(shown, quote=False)}</text>"
            )
        column += 0 if position % 2 else len(part)


def _choose_attributes(code: str, before: str) -> str:
    if code == "prompt]":
        return f' fill="{_PROMPT}"'
    if code == "end]":
        return ""
    for number in code.removesuffix("m").split(";"):
        if number in ("", "0", "22", "39"):
            before = ""
        elif number == "1":
            before += ' font-weight="bold"'
        elif number in _COLOURS:
            before += f' fill="{_COLOURS[number]}"'
    return before


def read_rows(picture: str) -> list[str]:
    """Return the text of a picture, without what is different at each run."""
    texts = re.findall(r'<text x="([\d.]+)" y="(\d+)"[^>]*>(.*?)</text>', picture)
    rows: dict[str, str] = {}
    for _, bottom, text in texts:
        rows[bottom] = f"{rows.get(bottom, '')} {html.unescape(text)}".strip()
    return [transcript.without_digests(row) for row in rows.values()]


TITLES: Final = {
    "across": "In the office airgap exports a Bento to a stick; in the ward it imports it.",
    "refused": "In the ward airgap refuses a stick with one damaged file, names the file, says what"
    " to do, and exits with 10.",
}


def write(folder: Path) -> None:
    """Make the pictures."""
    folder.mkdir(exist_ok=True)
    for name, text in play().items():
        (folder / f"{name}.svg").write_text(draw(text, TITLES[name]))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
