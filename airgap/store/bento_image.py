"""What bento.yaml says of a Bento's image, and whether one can be made without running it.

BentoML's own template runs commands; those that any Bento has install a compiler and uv, which an
image that is put together does not need.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.disk.os_errors import translate_errors
from airgap.disk.reading import read_if_exists
from airgap.errors import CorruptError
from airgap.format import limits
from airgap.format.kinds import BENTO
from airgap.store.yaml_tree import Node, Scalar, parse_tree, string

__all__ = ["BentoImage", "read_bento_image"]

_VERSION_FILE: Final = "env/python/version.txt"
_VERSION_BYTES: Final = 100
_DEFAULT_STARTS: Final = (
    ("apt-get", "update", "&&", "apt-get", "install"),
    ("apk", "add", "--update"),
    ("yum", "update", "&&", "yum", "install"),
)
_DEFAULT_PACKAGES: Final = frozenset(
    (
        *("bash", "build-base", "build-essential", "ca-certificates", "curl", "g++", "gcc"),
        *("gcc-c++", "git", "gnupg2", "libc-dev", "linux-headers", "make", "musl-dev"),
        *("shadow", "shadow-utils"),
    )
)
"""What any Bento's image has for compiling, in BentoML 1.4."""
_SHOWN_CHARACTERS: Final = 120


@dataclass(frozen=True, slots=True)
class BentoImage:
    """What is asked for: Python (such as ``3.11``; empty if unknown), variables, and what must run.

    ``steps`` are the commands and files that only a build with a container tool can run, as a
    person would read them.
    """

    python: str
    variables: dict[str, str]
    steps: tuple[str, ...]


def read_bento_image(folder: Path) -> BentoImage:
    """Read the bento.yaml of a Bento in a folder.

    Raises:
        CorruptError: it is malformed.
        StorageError: it cannot be read.
    """
    path = folder / BENTO.description
    with translate_errors(path):
        raw = read_if_exists(path, limits.DESCRIPTION_BYTES) or b""
        version = (read_if_exists(folder / _VERSION_FILE, _VERSION_BYTES) or b"").decode("latin-1")
    try:
        tree = parse_tree(raw)
    except ValueError as error:
        raise CorruptError(
            f"{path} is malformed: {error}.", "Import the Bento again, with --replace."
        ) from error
    image = _get(tree, "image")
    steps = _list_image_steps(image) if image is not None else _list_classic_steps(tree)
    python = version.strip() or _read_text(_get(image, "python_version"))
    return BentoImage(".".join(python.split(".")[:2]), dict(_list_variables(tree)), tuple(steps))


def _list_image_steps(image: Node) -> Iterator[str]:
    """Yield what a Bento with ``image:`` runs beyond what every such Bento runs."""
    for command in _list_texts(_get(image, "commands")):
        if not _is_default(command):
            yield _shorten(command)
    yield from map(_shorten, _list_texts(_get(image, "post_commands")))


def _list_classic_steps(tree: Node) -> Iterator[str]:
    """Yield what a Bento of BentoML's older form runs."""
    docker = _get(tree, "docker")
    packages = _list_texts(_get(docker, "system_packages"))
    if packages:
        yield _shorten(f"system packages: {' '.join(packages)}")
    for field in ("setup_script", "dockerfile_template", "cuda_version"):
        if text := _read_text(_get(docker, field)):
            yield f"{field}: {_shorten(text)}"
    conda = _get(tree, "conda")
    if isinstance(conda, dict) and any(_is_set(value) for value in conda.values()):
        yield "packages of conda"


def _is_default(command: str) -> bool:
    """Tell whether a command is BentoML's own; some builds write it twice."""
    words = tuple(command.split())
    for start in _DEFAULT_STARTS:
        if words[: len(start)] == start:
            rest = words[len(start) :]
            return all(word.startswith("-") or word in _DEFAULT_PACKAGES for word in rest)
    return False


def _list_variables(tree: Node) -> Iterator[tuple[str, str]]:
    """Yield the variables that have a value and are in the image (as BentoML's template has it)."""
    envs = _get(tree, "envs")
    for entry in envs if isinstance(envs, list) else ():
        name, value = _read_text(_get(entry, "name")), _read_text(_get(entry, "value"))
        if name and value and _read_text(_get(entry, "stage")) not in ("build", "runtime"):
            yield name, value
    docker = _get(_get(tree, "docker"), "env")
    for key, node in docker.items() if isinstance(docker, dict) else ():
        yield key.text, _read_text(node)


def _get(node: Node | None, name: str) -> Node | None:
    return node.get(string(name)) if isinstance(node, dict) else None


def _read_text(node: Node | None) -> str:
    return node.text if isinstance(node, Scalar) and node.type != "null" else ""


def _list_texts(node: Node | None) -> list[str]:
    return [_read_text(entry) for entry in node] if isinstance(node, list) else []


def _is_set(node: Node) -> bool:
    return bool(node.text and node.type != "null") if isinstance(node, Scalar) else bool(node)


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}…"
