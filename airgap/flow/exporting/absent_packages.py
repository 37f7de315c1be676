"""Notes of Bentos whose Python packages do not travel."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from airgap.disk.reading import read_small
from airgap.errors import CorruptError
from airgap.flow.exporting.select import Source
from airgap.format import limits, wheelhouse
from airgap.format.kinds import BENTO, WHEELHOUSE
from airgap.store.bento_runtime import digest_requirements
from airgap.store.kinds import find_kind

__all__ = ["note_absent_packages"]

_MOST: Final = limits.DESCRIPTION_BYTES


def note_absent_packages(sources: Sequence[Source]) -> Iterator[str]:
    """Yield a note for each Bento that names packages without a wheelhouse among the items.

    Raises:
        StorageError: a file cannot be read.
    """
    supplied = {_read_requirements(source) for source in sources if source.kind == WHEELHOUSE.name}
    for source in sources:
        if source.kind != BENTO.name:
            continue
        from airgap.wheels.bento_requirements import read_folder  # only for Bentos

        installed = find_kind(source.kind).install_path(source.name, source.version).final
        folder = source.folder or installed
        count = read_folder(folder).count
        if count and digest_requirements(folder) not in supplied:
            packages = "Python package" if count == 1 else "Python packages"
            yield (
                f"The bento {source.name}:{source.version} names {count:,} {packages}, and the"
                " bundle does not carry them. Give --with-env, unless the other side has them."
            )


def _read_requirements(source: Source) -> bytes:
    """Return what a wheelhouse says of the Bento that it is for; nothing if it is damaged."""
    for file in source.tree.files:
        if file.path == wheelhouse.LOCK:
            try:
                return wheelhouse.decode(read_small(Path(file.location), _MOST)).requirements
            except (CorruptError, OSError):
                return b""
    return b""
