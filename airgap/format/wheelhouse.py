"""Python packages for one target: the lock of an item of the kind ``wheelhouse`` (format §26)."""

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from airgap.errors import CorruptError
from airgap.format import canonical, limits
from airgap.format.files import version_of
from airgap.format.inventory import File, Item

__all__ = [
    "LOCK",
    "NO_BENTO",
    "REQUIREMENTS",
    "TOOLS",
    "WHEELS",
    "BuiltPackage",
    "LockedPackage",
    "Target",
    "Tool",
    "Wheelhouse",
    "check_wheelhouse",
    "decode",
    "encode",
    "format_requirements",
    "is_requirement_file",
    "is_wheel_of",
    "normalize_name",
    "parse_target",
    "requirements_digest",
]

LOCK: Final = "pylock.toml"
REQUIREMENTS: Final = "requirements.txt"
WHEELS: Final = "wheels/"
TOOLS: Final = "tools/"
NO_BENTO: Final = bytes(32)
"""The ``requirements`` of a wheelhouse that belongs to no Bento."""

_TARGET: Final = re.compile(
    r"cp3(\d{1,3})-((?:many|musl)linux)_(\d{1,3})_(\d{1,3})_([a-z0-9_]{1,20})"
)
_TEXT: Final = re.compile(r"[!#-\[\]-~]{1,200}")
_WHEEL: Final = re.compile(r"[A-Za-z0-9._!+]+(?:-[A-Za-z0-9._!+]+){4,5}\.whl")
_NAME: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_REQUIREMENT_FILES: Final = re.compile(
    r"env/python/(?:requirements\.in|requirements\.txt|requirements\.lock\.txt|version\.txt"
    r"|wheels/[^/]+)|src/wheels/[^/]+"
)


@dataclass(frozen=True, slots=True)
class Target:
    """What packages are for: CPython 3.``minor`` on a platform, such as ``manylinux_2_28_x86_64``.

    ``libc`` is ``manylinux`` (glibc) or ``musllinux`` (musl), and ``libc_version`` the lowest one.
    """

    minor: int
    libc: str
    libc_version: tuple[int, int]
    architecture: str

    @property
    def python(self) -> str:
        """The version of Python, such as ``3.11``."""
        return f"3.{self.minor}"

    @property
    def platform(self) -> str:
        """The last part of a wheel's tag."""
        major, minor = self.libc_version
        return f"{self.libc}_{major}_{minor}_{self.architecture}"

    def __str__(self) -> str:
        """Write the target as an item's name."""
        return f"cp3{self.minor}-{self.platform}"


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """A package, and the file name of its wheel: ``size`` in bytes, SHA-256."""

    name: str
    version: str
    file: str
    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Tool:
    """A wheel that installs the others, by file name: ``size`` in bytes, SHA-256."""

    file: str
    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class BuiltPackage:
    """A package whose wheel the exporter built: from which source distribution, by SHA-256."""

    name: str
    version: str
    sdist: bytes


@dataclass(frozen=True, slots=True)
class Wheelhouse:
    """What ``pylock.toml`` says.

    ``requirements`` leads to the Bento (see ``requirements_digest``). ``locked`` is false if the
    exporter chose versions. ``indexes`` are the hosts that packages came from.
    """

    target: Target
    requirements: bytes
    packages: tuple[LockedPackage, ...]
    tools: tuple[Tool, ...] = ()
    built: tuple[BuiltPackage, ...] = ()
    indexes: tuple[str, ...] = ()
    locked: bool = True

    @property
    def size(self) -> int:
        """Bytes of all wheels."""
        return sum(package.size for package in self.packages)


def normalize_name(text: str) -> str:
    """Write a package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", text).lower()


def parse_target(text: str) -> Target | None:
    """Parse a target, such as ``cp311-manylinux_2_28_x86_64``; return None if it is not one."""
    match = _TARGET.fullmatch(text)
    if match is None:
        return None
    minor, libc, major, low, architecture = match.groups()
    target = Target(int(minor), libc, (int(major), int(low)), architecture)
    return target if str(target) == text else None


def is_requirement_file(path: str) -> bool:
    """Tell whether a file of a Bento says what packages it needs: see ``requirements_digest``."""
    return _REQUIREMENT_FILES.fullmatch(path) is not None


def requirements_digest(files: Iterable[File]) -> bytes:
    """Digest what a Bento says of its packages; ``files`` are those of its inventory (§26)."""
    document = {file.path: file.digest for file in files if is_requirement_file(file.path)}
    return hashlib.sha256(canonical.encode(document)).digest()


def encode(wheelhouse: Wheelhouse) -> bytes:
    """Write ``pylock.toml`` in its one form."""
    target = wheelhouse.target
    lines = [
        'lock-version = "1.0"',
        'created-by = "airgap"',
        f'requires-python = "=={target.python}.*"',
    ]
    for package in wheelhouse.packages:
        wheel = (
            f'path = "{WHEELS}{package.file}", size = {package.size},'
            f' hashes = {{ sha256 = "{package.sha256.hex()}" }}'
        )
        lines += _table("packages", name=package.name, version=package.version)
        lines += [f"wheels = [{{ {wheel} }}]"]
    lines += ["", "[tool.airgap]", "format = 1", f"locked = {str(wheelhouse.locked).lower()}"]
    lines += [f'requirements = "{wheelhouse.requirements.hex()}"', f'target = "{target}"']
    for tool in wheelhouse.tools:
        lines += ["", "[[tool.airgap.tools]]", f'path = "{TOOLS}{tool.file}"']
        lines += [f"size = {tool.size}", f'sha256 = "{tool.sha256.hex()}"']
    for built in wheelhouse.built:
        lines += _table(
            "tool.airgap.built", name=built.name, version=built.version, sdist=built.sdist.hex()
        )
    for host in wheelhouse.indexes:
        lines += _table("tool.airgap.indexes", host=host)
    return "".join(f"{line}\n" for line in lines).encode()


def _table(table: str, /, **values: str) -> list[str]:
    return ["", f"[[{table}]]", *(f'{key} = "{value}"' for key, value in values.items())]


def format_requirements(wheelhouse: Wheelhouse) -> bytes:
    """Write ``requirements.txt``, which follows from the lock."""
    return "".join(
        f"{package.name}=={package.version} --hash=sha256:{package.sha256.hex()}\n"
        for package in wheelhouse.packages
    ).encode()


def decode(raw: bytes) -> Wheelhouse:
    """Parse ``pylock.toml``.

    Raises:
        CorruptError: it is not what ``encode`` would write (format §26).
    """
    try:
        wheelhouse = _parse(raw)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _make_error("breaks a rule of its format") from error
    if encode(wheelhouse) != raw:
        raise _make_error("is not in its canonical form")
    return wheelhouse


def _parse(raw: bytes) -> Wheelhouse:
    if len(raw) > limits.DESCRIPTION_BYTES:
        raise ValueError("too long")
    wheelhouse = _read(tomllib.loads(raw.decode("ascii")))
    _refuse_invalid(wheelhouse)
    return wheelhouse


def _read(document: Mapping[str, Any]) -> Wheelhouse:
    """Take the values; what else there is, and their types, differ from what would be written."""
    own = document["tool"]["airgap"]
    target = parse_target(own["target"])
    if target is None:
        raise ValueError("not a target")
    return Wheelhouse(
        target,
        bytes.fromhex(own["requirements"]),
        tuple(map(_read_package, document["packages"])),
        tuple(
            Tool(_cut(tool["path"], TOOLS), int(tool["size"]), bytes.fromhex(tool["sha256"]))
            for tool in own.get("tools", ())
        ),
        tuple(
            BuiltPackage(built["name"], built["version"], bytes.fromhex(built["sdist"]))
            for built in own.get("built", ())
        ),
        tuple(index["host"] for index in own.get("indexes", ())),
        own["locked"] is True,
    )


def _read_package(package: Mapping[str, Any]) -> LockedPackage:
    (wheel,) = package["wheels"]
    return LockedPackage(
        package["name"],
        package["version"],
        _cut(wheel["path"], WHEELS),
        int(wheel["size"]),
        bytes.fromhex(wheel["hashes"]["sha256"]),
    )


def _cut(path: str, folder: str) -> str:
    if not path.startswith(folder):
        raise ValueError("not in its folder")
    return path.removeprefix(folder)


def _refuse_invalid(wheelhouse: Wheelhouse) -> None:
    """Check what the canonical form does not. Raises ValueError."""
    packages = wheelhouse.packages
    valid = (
        0 < len(packages) <= limits.PACKAGES
        and all(_is_package(package) for package in packages)
        and all(_WHEEL.fullmatch(tool.file) for tool in wheelhouse.tools)
        and all(map(_TEXT.fullmatch, _list_texts(wheelhouse)))
        and all(len(digest) == len(NO_BENTO) for digest in _list_digests(wheelhouse))
    )
    if not valid:
        raise ValueError("an invalid name, version, host or digest")
    for keys in (
        [package.name for package in packages],
        [tool.file for tool in wheelhouse.tools],
        [built.name for built in wheelhouse.built],
        list(wheelhouse.indexes),
    ):
        if sorted(set(keys)) != keys:
            raise ValueError("not sorted, or the same twice")


def _is_package(package: LockedPackage) -> bool:
    return (
        _NAME.fullmatch(package.name) is not None
        and _TEXT.fullmatch(package.version) is not None
        and is_wheel_of(package.file, package.name)
    )


def is_wheel_of(file: str, name: str) -> bool:
    """Tell whether this can be the file name of a package's wheel; ``name`` is normalized."""
    return (
        _WHEEL.fullmatch(file) is not None
        and len(file) <= limits.PATH_PART_BYTES
        and normalize_name(file.partition("-")[0]) == name
    )


def _list_texts(wheelhouse: Wheelhouse) -> Sequence[str]:
    built = [text for package in wheelhouse.built for text in (package.name, package.version)]
    return [*built, *wheelhouse.indexes]


def _list_digests(wheelhouse: Wheelhouse) -> Sequence[bytes]:
    return [
        wheelhouse.requirements,
        *(package.sha256 for package in wheelhouse.packages),
        *(tool.sha256 for tool in wheelhouse.tools),
        *(built.sdist for built in wheelhouse.built),
    ]


def check_wheelhouse(item: Item, raw: bytes) -> None:
    """Refuse an item that is not what its ``pylock.toml`` says: tag, files, sizes and digests.

    Raises:
        CorruptError: see ``decode``; or something differs.
    """
    wheelhouse = decode(raw)
    tag = f"{wheelhouse.target}:{version_of(raw)}"
    if item.tag != tag:
        raise _make_error(f"is that of {tag}")
    requirements = format_requirements(wheelhouse)
    expected = {
        LOCK: (len(raw), hashlib.sha256(raw).digest()),
        REQUIREMENTS: (len(requirements), hashlib.sha256(requirements).digest()),
        **{f"{WHEELS}{wheel.file}": (wheel.size, wheel.sha256) for wheel in wheelhouse.packages},
        **{f"{TOOLS}{tool.file}": (tool.size, tool.sha256) for tool in wheelhouse.tools},
    }
    found = {file.path: (file.size, file.digest) for file in item.files if not file.executable}
    if found != expected or len(found) != len(item.entries):
        differing = min(
            path
            for path in {*found, *expected, *(entry.path for entry in item.entries)}
            if path not in expected or found.get(path) != expected[path]
        )
        raise _make_error(f"and the bundle differ in {differing!r}")


def _make_error(problem: str) -> CorruptError:
    return CorruptError(
        f"The {LOCK} of a wheelhouse {problem}.", "Ask the sender to export it again."
    )
