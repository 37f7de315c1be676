"""A want: what an import lacked, written for the sender and its next export (format §22)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from airgap.disk.part_file import write_atomically
from airgap.errors import ConfigurationError, CorruptError, UsageError
from airgap.flow.bundle.base_bundles import unverified_base_bundles
from airgap.flow.bundle.open_bundle import Opened
from airgap.flow.chunks.missing_chunks import MissingChunksError
from airgap.flow.exporting.bases import NO_BASES, Bases, Wanted, bases_of
from airgap.flow.location.credentials import Access
from airgap.format import limits
from airgap.format import want as wants
from airgap.format.want import Want

__all__ = ["bases_told", "read_want", "tags_wanted", "written_to"]


@contextmanager
def written_to(path: Path | None, opened: Opened) -> Iterator[None]:
    """If the block ends because chunks are lacking, write to ``path`` what the bundle lacked here.

    Raises:
        LackingError: the same, with what to do next.
        StorageError: the disk refused.
    """
    try:
        yield
    except MissingChunksError as lacking:
        if path is None:
            raise
        tags = tuple(str(item) for item in opened.manifest.value.items)
        raw = wants.encode(Want(bytes.fromhex(opened.bundle), tags, lacking.wanted))
        write_atomically(path.parent, path.name, [raw])
        raise MissingChunksError(
            f"{lacking.message} {path} says which.",
            f"Carry {path} to the sender, for `airgap export --for {path.name}`; import what comes"
            " back with this bundle's place as --depot.",
            lacking.wanted,
        ) from lacking


def read_want(path: Path) -> Want:
    """Read a want.

    Raises:
        ConfigurationError: the file cannot be read.
        CorruptError: it is no want.
    """
    try:
        with path.open("rb") as file:
            return wants.decode(file.read(limits.WANT_BYTES + 1))
    except CorruptError as error:
        raise CorruptError(
            f"{path} is not what an import lacked: {error.message}",
            "Give the file that `airgap import --want` wrote, or have it written again.",
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}.", "Give the file that --want wrote."
        ) from error


def bases_told(places: Sequence[str], want: Want | None, access: Access) -> Bases:
    """Return what the other side holds, as a sender was told: bundles, or all but what it wants.

    Raises:
        UsageError: both are given.
        MissingError, CorruptError: a place holds no bundle, or a damaged one.
    """
    if want is not None and places:
        raise UsageError("--base and --for both say what the other side has.", "Give one of them.")
    if want is not None:
        return Bases(Wanted(frozenset(want.chunks)))
    return bases_of(unverified_base_bundles(places, access)) if places else NO_BASES


def tags_wanted(want: Want) -> tuple[list[str], list[str]]:
    """Return the Bentos and the models of the bundle that lacked something."""
    named = [tag.partition(" ") for tag in want.tags]
    bentos, models = (
        [tag for kind, _, tag in named if kind == wanted] for wanted in ("bento", "model")
    )
    return bentos, models
