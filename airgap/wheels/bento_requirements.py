"""What a Bento says of the Python packages that it needs, in either of BentoML's two layouts.

With ``image:`` in bento.yaml, a build writes ``requirements.in`` (what was asked for) and
``requirements.txt`` (every version), and local wheels lie in ``src/wheels``. Without it, what was
asked for is ``requirements.txt``, every version ``requirements.lock.txt``, and ``install.sh``
installs all of ``env/python/wheels`` as well, with whatever those need. A build can also leave the
lock out: ``requirements.txt`` is then what was asked for.
"""

import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from airgap.disk.reading import read_small
from airgap.errors import MissingError, StorageError
from airgap.format import limits
from airgap.wheels.requirements import (
    IndexOptions,
    Requirement,
    RequirementsFile,
    UnsupportedLine,
    parse_requirements,
)

__all__ = [
    "FILES",
    "WHEEL_FOLDERS",
    "BentoRequirements",
    "is_requirement_file",
    "read_folder",
    "read_requirements",
    "refuse_unsupported",
]

_PYTHON: Final = "env/python"
ASKED: Final = f"{_PYTHON}/requirements.in"
PLAIN: Final = f"{_PYTHON}/requirements.txt"
LOCK: Final = f"{_PYTHON}/requirements.lock.txt"
VERSION: Final = f"{_PYTHON}/version.txt"
INSTALL: Final = f"{_PYTHON}/install.sh"
FILES: Final = (ASKED, PLAIN, LOCK, VERSION, INSTALL)
"""The paths that say what a Bento needs."""
SOURCE_WHEELS: Final = "src/wheels"
OWN_WHEELS: Final = f"{_PYTHON}/wheels"
WHEEL_FOLDERS: Final = (SOURCE_WHEELS, OWN_WHEELS)
_VERSION: Final = re.compile(r"3\.(\d{1,3})(?:\.\d.*)?")
_PIP_ARGUMENTS: Final = re.compile(r"^PIP_ARGS=\(([^\n]*)\)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class BentoRequirements:
    """The Python packages that a Bento needs.

    Attributes:
        python: the version, such as ``3.11``; empty if the Bento does not say.
        asked: what was asked for.
        packages: what is installed: every package with its version, if the Bento is ``locked``;
            else what was asked for. Markers are not evaluated.
        wheels: paths, in the Bento, of local wheels and source distributions that are installed.
        locked: the Bento says every version. If not, ``packages`` are only some of those needed.
        options: where packages are looked up.
        unsupported: lines that airgap cannot lock.
    """

    python: str = ""
    asked: tuple[Requirement, ...] = ()
    packages: tuple[Requirement, ...] = ()
    wheels: tuple[str, ...] = ()
    locked: bool = True
    options: IndexOptions = field(default_factory=IndexOptions)
    unsupported: tuple[UnsupportedLine, ...] = ()

    @property
    def count(self) -> int:
        """How many packages the Bento names; it needs at least these."""
        names = {package.name for package in self.packages}
        names |= {line.name or str(line.position) for line in self.unsupported}
        local = {package.location for package in self.packages if package.source == "wheel"}
        return len(names) + sum(Path(path).name not in local for path in self.wheels)


def is_requirement_file(path: str) -> bool:
    """Tell whether this file of a Bento must be given to ``read_requirements``."""
    return path in FILES


def read_requirements(
    files: Mapping[str, bytes], paths: Iterable[str], python: str = ""
) -> BentoRequirements:
    """Read what a Bento needs. Nothing is raised: what cannot be read is ``unsupported``.

    Args:
        files: the content of those of ``FILES`` that the Bento has.
        paths: the paths of its files; only those of wheels matter.
        python: what bento.yaml gives, which ``version.txt`` overrules.
    """
    python = _read_version(files.get(VERSION, b"").decode(errors="replace")) or python
    local = sorted(path for path in paths if path.rpartition("/")[0] in WHEEL_FOLDERS)
    if ASKED in files or VERSION not in files:
        return _read_image(files, local, _read_version(python))
    return _read_classic(files, local, _read_version(python))


def _read_version(text: str) -> str:
    """Return the version of Python without its last part; empty if it is not one."""
    match = _VERSION.fullmatch(text.strip())
    return f"3.{int(match[1])}" if match else ""


def _read_image(
    files: Mapping[str, bytes], local: Collection[str], python: str
) -> BentoRequirements:
    """Read the layout of a Bento with ``image:``."""
    asked, plain = _parse(files, ASKED), _parse(files, PLAIN)
    written = plain if PLAIN in files else asked
    locked = ASKED in files and _is_lock(plain, asked)
    wheels, absent = _find_wheels(written.requirements, local)
    roots = asked.requirements if ASKED in files else written.requirements
    if asked.unsupported:  # a build makes a local package of each that lies in a repository
        roots += tuple(found for found in written.requirements if found.source == "wheel")
    return BentoRequirements(
        python,
        roots,
        written.requirements,
        wheels,
        locked,
        written.options.merge(asked.options),
        (*written.unsupported, *absent),
    )


def _read_classic(
    files: Mapping[str, bytes], local: Collection[str], python: str
) -> BentoRequirements:
    """Read the layout of a Bento without ``image:``."""
    asked, lock = _parse(files, PLAIN), _parse(files, LOCK)
    written = lock if LOCK in files else asked
    options = written.options.merge(asked.options).merge(_read_install(files.get(INSTALL, b"")))
    named, absent = _find_wheels(written.requirements, local)
    own = [path for path in local if path.startswith(OWN_WHEELS) and path.endswith(".whl")]
    return BentoRequirements(
        python,
        asked.requirements,
        written.requirements,
        tuple(sorted({*named, *own})),
        LOCK in files,
        options,
        (*written.unsupported, *absent),
    )


def _parse(files: Mapping[str, bytes], path: str) -> RequirementsFile:
    return parse_requirements(path, files.get(path, b""))


def _is_lock(written: RequirementsFile, asked: RequirementsFile) -> bool:
    """Tell whether a file has every version: a build without a lock copies what was asked for."""
    if not all(requirement.is_pinned for requirement in written.requirements):
        return False
    texts = [
        {requirement.text for requirement in file.requirements if requirement.source == "index"}
        for file in (written, asked)
    ]
    return texts[0] != texts[1] or not texts[0]


def _read_install(script: bytes) -> IndexOptions:
    """Read the options for pip in ``install.sh``; those that airgap does not know are left out."""
    match = _PIP_ARGUMENTS.search(script.decode(errors="replace"))
    if match is None:
        return IndexOptions()
    words: list[str] = []
    with suppress(ValueError):  # an unclosed quotation mark
        words = shlex.split(match[1])
    lines = re.sub(r" (?=-)", "\n", " ".join(words))
    return parse_requirements(INSTALL, lines.encode()).options


def _find_wheels(
    requirements: Iterable[Requirement], local: Collection[str]
) -> tuple[tuple[str, ...], list[UnsupportedLine]]:
    """Return the paths of the local wheels that are asked for, and those that are not there."""
    paths: dict[str, None] = {}
    absent: list[UnsupportedLine] = []
    for requirement in requirements:
        if requirement.source != "wheel":
            continue
        found = next((path for path in local if path.endswith(f"/{requirement.location}")), None)
        if found is not None:
            paths[found] = None
            continue
        reason, hint = "is a file that the Bento lacks", "Build the Bento again."
        absent.append(
            UnsupportedLine(requirement.text, requirement.position, reason, hint, requirement.name)
        )
    return tuple(sorted(paths)), absent


def read_folder(folder: Path, python: str = "") -> BentoRequirements:
    """Read what the Bento in a folder needs; ``python`` is what its bento.yaml gives.

    Raises:
        StorageError: a file cannot be read.
    """
    files: dict[str, bytes] = {}
    paths: list[str] = []
    try:
        for path in FILES:
            with suppress(FileNotFoundError, NotADirectoryError):
                files[path] = read_small(folder / path, limits.DESCRIPTION_BYTES)
        for wheels in WHEEL_FOLDERS:
            with suppress(FileNotFoundError, NotADirectoryError):
                paths += [f"{wheels}/{path.name}" for path in (folder / wheels).iterdir()]
    except OSError as error:
        raise StorageError(
            f"{error.filename or folder} cannot be read: {error.strerror}.",
            "Check its permissions, or build the Bento again.",
        ) from error
    return read_requirements(files, paths, python)


def refuse_unsupported(
    requirements: BentoRequirements, bento: str, given: Collection[str] = ()
) -> None:
    """Refuse a Bento whose packages cannot be locked.

    ``bento`` is its tag, and ``given`` are the names of packages whose wheels a person gives.

    Raises:
        MissingError: a line cannot be locked; all such lines are its details.
    """
    lines = [line for line in requirements.unsupported if line.name not in given or not line.name]
    if not lines:
        return
    first = lines[0]
    raise MissingError(
        f"{first.text!r}, {first.position} in {bento}, {first.reason}.",
        first.hint,
        [f"{line.position}: {line.text!r} {line.reason}" for line in lines],
    )
