"""A document's sessions, run again: two machines in one process, and what they print.

A block begins with ```` ```console MACHINE ````; its lines with ``$ `` are typed, the others are
printed. Keys, times and digests are others at each run; a digest in the document stands for the one
that was printed in its place, wherever it comes again.

``python -m tests.support.transcript DOCUMENT`` writes what is printed today into the document.
"""

import hashlib
import io
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from airgap.cli.main import main
from tests.support import stores
from tests.support.sides import Side

BLOCK = re.compile(r"^```console (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DIGEST = re.compile(r"\b[0-9a-f]{8,64}\b")
TIME = re.compile(r"\b2\d{3}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?Z?)?")
GROUPS = re.compile(r"\b[0-9a-f]{4}(?: +[0-9a-f]{4})+\b")  # of a ceremony sheet
MEDIA = "/media/"
DISK = re.compile(r"(\S+) \((?:[^()\n]+, )?[\d.]+ [kMGTP]?B free\)")
PEAK = re.compile(r"Peak disk use: [\d.]+ [kMGTP]?B(?: \(at most [\d.]+ [kMGTP]?B\))?")


@dataclass(frozen=True)
class Step:
    """A command that is typed at a machine, and what is printed then."""

    machine: str
    command: str
    printed: str


def steps_of(text: str) -> Iterator[Step]:
    """Yield the steps of a document."""
    for machine, block in BLOCK.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            typed = re.match(r"(?:.*\\\n)*.*\n", part)
            assert typed is not None
            yield Step(machine, typed[0].rstrip("\n"), part[typed.end() :])


@dataclass
class Stage:
    """The machines, and the media that are carried between them."""

    folder: Path
    sides: dict[str, Side] = field(default_factory=dict)
    code: int = 0
    """The exit code of the last command."""

    def side(self, machine: str) -> Side:
        """A machine, set up when it first comes on stage."""
        if machine not in self.sides:
            side = self.sides[machine] = Side(self.folder / machine)
            (side.top / "work").mkdir(parents=True)
            (self.folder / "media").mkdir(exist_ok=True)
        return self.sides[machine]

    def run(self, machine: str, command: str) -> str:
        """Type a command; return what is printed, with the paths that the document has."""
        side = self.side(machine)
        typed = command.replace("\\\n", "").replace(MEDIA, f"{self.folder}/media/")
        with side.here(), chdir(side.top / "work"):
            printed = self._airgap(typed) if typed.startswith("airgap ") else self._other(typed)
        printed = printed.replace(f"{self.folder}/media/", MEDIA)
        return printed.replace(f"{side.top}/", "~/")

    def _airgap(self, typed: str) -> str:
        printed = io.StringIO()
        with redirect_stdout(printed), redirect_stderr(printed), pytest.raises(SystemExit) as ended:
            main(shlex.split(typed)[1:])
        assert isinstance(ended.value.code, int)
        self.code = ended.value.code
        return printed.getvalue()

    def _other(self, typed: str) -> str:
        ran = subprocess.run(
            ["bash", "-c", f"(exit {self.code}); {typed}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        self.code = ran.returncode
        return ran.stdout


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Set the stage: two versions of a service in the office, keys in the order of their making."""
    stage = Stage(folder)
    office = stage.side("office")
    stores.add_model(office, "ranker:v1", {"weights.bin": stores.noise(300_000)})
    stores.add_model(office, "ranker:v2", {"weights.bin": stores.noise(300_000, 2)})
    for version in ("v1", "v2"):
        service = {"src/service.py": f"print('{version}')\n".encode()}
        stores.add_bento(office, f"summarizer:{version}", service, models=[f"ranker:{version}"])
    numbers = count()

    def generate() -> ed25519.Ed25519PrivateKey:
        # Not random, so that lists that are sorted by key ids come in one order.
        seed = hashlib.sha256(b"transcript %d" % next(numbers)).digest()
        return ed25519.Ed25519PrivateKey.from_private_bytes(seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ed25519.Ed25519PrivateKey, "generate", generate)
        patch.setenv("AIRGAP_KEY_GENERATE_NO_PASSPHRASE", "1")  # nobody is there to type one
        yield stage


@dataclass
class Names:
    """Which digest of this run each digest of the document stands for."""

    known: dict[str, str] = field(default_factory=dict)

    def put_into(self, command: str) -> str:
        """Put this run's digests where the document has its own, or the beginning of one."""
        return DIGEST.sub(lambda found: self._of(found[0]), command)

    def learn(self, told: str, printed: str) -> None:
        """Take note of digests that stand in the same places; each always means the same one."""
        for old, new in zip(DIGEST.findall(told), DIGEST.findall(printed), strict=True):
            assert self._of(old) in (new, old), f"{old} is another digest here than before"
            self.known[old] = new

    def _of(self, old: str) -> str:
        for longer, new in self.known.items():
            if longer.startswith(old):
                return new[: len(old)]
        return old


def without_digests(printed: str) -> str:
    """Leave out what is different at each run."""
    printed = PEAK.sub("PEAK", DISK.sub(r"\1 (DISK)", printed))
    return TIME.sub("TIME", DIGEST.sub("#", GROUPS.sub("####", printed)))


def show_disks(printed: str) -> str:
    """Put file systems in the place of this machine's that a reader has."""

    def show(found: re.Match[str]) -> str:
        is_medium = found[1].startswith(MEDIA)
        disk = "exfat, /dev/sdb1, 57.2 GB free" if is_medium else "ext4, /dev/sda2, 402.1 GB free"
        return f"{found[1]} ({disk})"

    return DISK.sub(show, printed)


def write(document: Path) -> None:
    """Put what is printed today into a document."""
    text = document.read_text()
    names = Names()
    with tempfile.TemporaryDirectory() as folder, staged(Path(folder)) as stage:

        def block(found: re.Match[str]) -> str:
            made = [f"```console {found[1]}\n"]
            for step in steps_of(found[0]):
                printed = stage.run(step.machine, names.put_into(step.command))
                if without_digests(step.printed) == without_digests(printed):
                    names.learn(step.printed, printed)
                made += [f"$ {names.put_into(step.command)}\n", show_disks(printed)]
            return "".join([*made, "```"])

        document.write_text(BLOCK.sub(block, text))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
