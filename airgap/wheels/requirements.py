"""Files of Python requirements, as pip and uv read them, and what of them can be locked.

Read by own code, in linear time: the files come from bundles, too, and a machine that only looks at
a bundle has no packages beyond airgap's own.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal
from urllib.parse import unquote

from airgap.format import limits
from airgap.format.wheelhouse import normalize_name
from airgap.printable import cut_text

__all__ = [
    "IndexOptions",
    "Position",
    "Requirement",
    "RequirementsFile",
    "UnsupportedLine",
    "parse_requirements",
]

# A line has no two spaces in a row, and what is taken is not given back: linear time.
_REQUIREMENT: Final = re.compile(
    r"([A-Za-z0-9]++(?:[._-]++[A-Za-z0-9]++)*+) ?+(?:\[([^\]]*+)\])?+ ?+"
    r"(?:@ ?+([^ ]++)|\(?+([<>=!~][^;@()]*+)\)?+)?+ ?+(?:;(.*))?+"
)
_PIN: Final = re.compile(r"={2,3} ?([^ ,*=<>!~]+)")
_PATH: Final = re.compile(
    r"(?:file:[^ ]*/|\./)?wheels/([^/ \[\];]++) ?+(?:\[([^\]]*+)\])?+ ?+(?:;(.*))?+"
)
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_REPOSITORY: Final = re.compile(r"(?:git|hg|svn|bzr)\+")
_HASH: Final = re.compile(r"--hash[= ]sha256:([0-9a-f]{64})(?= |$)")
_LINE_END_OPTION: Final = re.compile(r" --(?:hash|config-settings?|global-option)\b")
_ENDS: Final = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz")
_WHEEL_PARTS: Final = 5
_USER: Final = re.compile(r"://[^ /]*@")
_LONGEST_TEXT: Final = 200
"""Characters of a line that a message shows."""

Source = Literal["index", "wheel", "url", "repository"]


@dataclass(frozen=True, slots=True)
class Position:
    """A line of a file, counted from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        """Write it for people."""
        return f"line {self.line} of {self.file}"


@dataclass(frozen=True, slots=True)
class Requirement:
    """A package that a Bento asks for.

    Attributes:
        name: normalized.
        text: as written, without hashes.
        position: where it is asked for.
        specifier: the versions, such as ``==1.2`` or ``>=1,<2``; empty for any.
        extras: the optional parts that are asked for.
        marker: the condition, such as ``python_version < "3.11"``; empty if there is none.
        source: where the package comes from.
        location: the URL, or the name of a file in the Bento's folder of wheels.
        hashes: SHA-256, in hex, of the files that may be taken; empty if the line gives none.
    """

    name: str
    text: str
    position: Position
    specifier: str = ""
    extras: tuple[str, ...] = ()
    marker: str = ""
    source: Source = "index"
    location: str = ""
    hashes: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """The one version that is asked for; empty if several would do."""
        match = _PIN.fullmatch(self.specifier)
        return match[1] if match else ""

    @property
    def is_pinned(self) -> bool:
        """Tell whether exactly one version, or one file, is asked for."""
        return self.source != "index" or bool(self.version)


@dataclass(frozen=True, slots=True)
class UnsupportedLine:
    """A line that cannot be locked.

    ``reason`` continues a sentence that begins with ``text``, which has no password in it, and
    ``hint`` says what to do. ``name`` is the package, normalized, if the line names one.
    """

    text: str
    position: Position
    reason: str
    hint: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """Where packages are looked up; the URLs may have passwords in them."""

    index: str = ""
    extra: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    prereleases: bool = False

    def merge(self, other: "IndexOptions") -> "IndexOptions":
        """Add what others say, where this says nothing."""
        return IndexOptions(
            self.index or other.index,
            tuple(dict.fromkeys((*self.extra, *other.extra))),
            tuple(dict.fromkeys((*self.find_links, *other.find_links))),
            self.no_index or other.no_index,
            self.prereleases or other.prereleases,
        )


_IGNORED: Final = frozenset(
    ("--trusted-host", "--only-binary", "--prefer-binary", "--require-hashes", "--use-feature")
)
_OTHER_FILE: Final = (
    "names another file, which BentoML does not copy into a Bento",
    "Write the packages themselves into the Bento's requirements, and build it again.",
)
_EDITABLE: Final = (
    "is an editable package, which exists only where it is developed",
    "Build a wheel of it, put it into the folder wheels, and build the Bento again.",
)
_REFUSED: Final[Mapping[str, tuple[str, str]]] = {
    "-r": _OTHER_FILE,
    "--requirement": _OTHER_FILE,
    "-c": _OTHER_FILE,
    "--constraint": _OTHER_FILE,
    "-e": _EDITABLE,
    "--editable": _EDITABLE,
}


@dataclass(frozen=True, slots=True)
class RequirementsFile:
    """What one file says, in order."""

    requirements: tuple[Requirement, ...] = ()
    options: IndexOptions = field(default_factory=IndexOptions)
    unsupported: tuple[UnsupportedLine, ...] = ()


def parse_requirements(file: str, raw: bytes) -> RequirementsFile:
    """Parse a file of requirements. Nothing is raised: what cannot be read is ``unsupported``."""
    if len(raw) > limits.DESCRIPTION_BYTES:
        size = limits.DESCRIPTION_BYTES // limits.MIB
        problem = f"has more than {size} MiB", "Remove what the Bento does not need."
        return RequirementsFile(unsupported=(UnsupportedLine(file, Position(file, 1), *problem),))
    requirements: list[Requirement] = []
    unsupported: list[UnsupportedLine] = []
    options = IndexOptions()
    for number, text in _join_lines(raw.decode("utf-8-sig", errors="replace")):
        match _parse_text(Position(file, number), text):
            case Requirement() as requirement:
                requirements.append(requirement)
            case UnsupportedLine() as line:
                unsupported.append(line)
            case IndexOptions() as option:
                options = options.merge(option)
    return RequirementsFile(tuple(requirements), options, tuple(unsupported))


def _join_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line; one that ends with a backslash goes on in the next."""
    begin, parts = 0, list[str]()
    for number, line in enumerate([*text.splitlines(), ""], 1):
        begin = begin or number
        goes_on = line.endswith("\\")
        parts.append(line[:-1] if goes_on else line)
        if goes_on:
            continue
        joined = " ".join(re.sub(r"(?:^|\s)#.*", "", " ".join(parts)).split())
        if joined:
            yield begin, joined
        begin, parts = 0, []


def _parse_text(position: Position, text: str) -> Requirement | UnsupportedLine | IndexOptions:
    if text.startswith("-"):
        return _parse_option(position, text)
    end = _LINE_END_OPTION.search(text)
    if end is None:
        return _parse_package(position, text)
    parsed = _parse_package(position, text[: end.start()])
    if isinstance(parsed, Requirement):
        return replace(parsed, hashes=(*parsed.hashes, *_HASH.findall(text)))
    return parsed


def _parse_option(position: Position, text: str) -> IndexOptions | UnsupportedLine:
    """Parse a line that is an option of pip."""
    match = re.match(r"(--[a-z-]+|-[a-z])[= ]?(.*)", text)
    option, value = (match[1], match[2].strip(" '\"")) if match else (text, "")
    accepted: dict[str, IndexOptions] = {
        **dict.fromkeys(("-i", "--index-url", "--pypi-url"), IndexOptions(index=value)),
        **dict.fromkeys(("-f", "--find-links"), IndexOptions(find_links=(value,))),
        **dict.fromkeys(_IGNORED, IndexOptions()),
        "--extra-index-url": IndexOptions(extra=(value,)),
        "--no-index": IndexOptions(no_index=True),
        "--pre": IndexOptions(prereleases=True),
    }
    if option in accepted:
        return accepted[option]
    refused = _REFUSED.get(
        option,
        (
            "is an option that airgap does not support",
            "Remove the option from the Bento's requirements, and build it again.",
        ),
    )
    return UnsupportedLine(_shorten(text), position, *refused)


def _parse_package(position: Position, text: str) -> Requirement | UnsupportedLine:
    path = _PATH.fullmatch(text)
    if path is not None:
        return _make_local(Requirement("", text, position), path)
    if _URL.match(text) or _REPOSITORY.match(text):
        url, _, marker = text.partition(" ;")
        return _parse_url(Requirement("", text, position, marker=marker.strip()), url)
    match = _REQUIREMENT.fullmatch(text)
    if match is None or (match[3] is None and text.endswith(_ENDS)):
        reason = "is neither a package nor a file in the Bento's folder wheels"
        hint = "Put local packages into the folder wheels, as wheels, and build the Bento again."
        return UnsupportedLine(_shorten(text), position, reason, hint)
    name, extras, url, specifier, marker = match.groups(default="")
    requirement = Requirement(
        *(normalize_name(name), text, position, specifier.strip()),
        *(_split_extras(extras), marker.strip()),
    )
    if not url:
        return requirement
    local = _PATH.fullmatch(url)
    return _make_local(requirement, local) if local else _parse_url(requirement, url)


def _make_local(requirement: Requirement, path: "re.Match[str]") -> Requirement:
    """Make the requirement of a file in the Bento."""
    file, extras, marker = path.groups(default="")
    name, version = _split_file_name(unquote(file))
    return replace(
        requirement,
        name=requirement.name or name,
        specifier=f"=={version}" if version else "",
        extras=requirement.extras or _split_extras(extras),
        marker=requirement.marker or marker.strip(),
        source="wheel",
        location=unquote(file),
    )


def _parse_url(requirement: Requirement, url: str) -> Requirement | UnsupportedLine:
    path, _, fragment = url.partition("#")
    egg = re.search(r"(?:^|&)egg=([A-Za-z0-9._-]+)", fragment)
    name, version = _split_file_name(unquote(path.rpartition("/")[2]))
    if version and path.startswith(("https://", "http://")):
        digest = re.search(r"(?:^|&)sha256=([0-9a-f]{64})(?:&|$)", fragment)
        return replace(
            requirement,
            name=requirement.name or name,
            specifier=f"=={version}",
            source="url",
            location=path,
            hashes=(digest[1],) if digest else (),
        )
    reason = "is the URL of something that is not a package"
    if _REPOSITORY.match(url):
        reason = "is a package in a repository, not a wheel"
    return UnsupportedLine(
        *(_shorten(requirement.text), requirement.position, reason),
        "Build a wheel of it, and pass --wheel FILE.",
        requirement.name or (normalize_name(egg[1]) if egg else ""),
    )


def _split_file_name(file: str) -> tuple[str, str]:
    """Return name, normalized, and version of a wheel or source distribution.

    The version is empty if the file is neither.
    """
    end = next(filter(file.endswith, _ENDS), None)
    if end is None:
        return normalize_name(file), ""
    parts = file.removesuffix(end).split("-")
    if end == ".whl":
        return normalize_name(parts[0]), parts[1] if len(parts) >= _WHEEL_PARTS else ""
    *name, version = parts
    return normalize_name("-".join(name)), version if name else ""


def _split_extras(text: str) -> tuple[str, ...]:
    extras = (normalize_name(extra.strip()) for extra in text.split(","))
    return tuple(sorted(extra for extra in extras if extra))


def _shorten(text: str) -> str:
    """Return what a message shows of a line: no user or password, and not too much."""
    return cut_text(_USER.sub("://***@", text), _LONGEST_TEXT)
