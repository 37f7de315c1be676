"""Which form an archive for stock BentoML has (format §10). Every command asks that of a path."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from airgap.disk.named_files import open_named
from airgap.format import layout
from airgap.format import stock_archive as stock

__all__ = [
    "ArchiveForm",
    "Form",
    "form_of",
    "form_of_name",
    "has_manifest_beside",
    "manifest_beside",
]

ArchiveForm = Literal["tar", "gz", "xz", "bz2", "zip"]
Form = ArchiveForm | Literal["folder"]

_SUFFIXES: Final[Mapping[str, Form]] = {
    ".bento": "xz",
    ".bentomodel": "xz",
    ".tar": "tar",
    ".gz": "gz",
    ".tgz": "gz",
    ".xz": "xz",
    ".txz": "xz",
    ".bz2": "bz2",
    ".tbz2": "bz2",
    ".zip": "zip",
}
_MAGIC: Final[Mapping[bytes, Form]] = {
    b"\x1f\x8b": "gz",
    b"\xfd7zXZ\0": "xz",
    b"BZh": "bz2",
    b"PK": "zip",
}


def form_of_name(name: str) -> Form | None:
    """Return the form that a file's name promises, as stock BentoML guesses it."""
    return _SUFFIXES.get(Path(name).suffix)


def form_of(path: Path) -> Form | None:
    """Return the form of the archive or folder there; None if it is not for stock BentoML.

    The form follows from its name, or from the manifest that lies beside it. A path whose last part
    is not a name, such as ``.`` or ``/``, has nothing beside it.
    """
    if path.name in ("", ".."):
        return None
    signed = has_manifest_beside(path)
    if path.is_dir():
        named = any((path / description).is_file() for description in ("bento.yaml", "model.yaml"))
        depot = (path / layout.BUNDLES).is_dir()
        return "folder" if signed or (named and not depot) else None
    form = form_of_name(path.name)
    return form or (_sniff(path) if signed else None)


def has_manifest_beside(path: Path) -> bool:
    """Tell whether a manifest lies beside a file or folder; its content is not looked at."""
    return manifest_beside(path).exists()


def manifest_beside(path: Path) -> Path:
    """Return where the manifest of an archive or folder lies."""
    return path.with_name(stock.manifest_name(path.name))


def _sniff(path: Path) -> Form:
    """Tell the form by the first bytes."""
    with suppress(OSError), open_named(path) as file:
        start = file.read(6)
        return next((form for magic, form in _MAGIC.items() if start.startswith(magic)), "tar")
    return "tar"
