"""A want: what an import lacked, for the next export (format §22)."""

from collections.abc import Sequence
from pathlib import Path

from airgap.errors import ConfigurationError, CorruptError, UsageError
from airgap.flow.bundle.base_bundles import unverified_base_bundles
from airgap.flow.exporting.bases import NO_BASES, Bases, Wanted, bases_of
from airgap.flow.location.connector import Connector
from airgap.flow.location.location import Location
from airgap.format import limits
from airgap.format import want as wants
from airgap.format.want import Want

__all__ = ["find_bases", "read_want", "tags_wanted"]


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


def find_bases(locations: Sequence[Location], want: Want | None, connector: Connector) -> Bases:
    """Return what the other side holds, as a sender was told: bundles, or all but what it wants.

    Raises:
        UsageError: both are given.
        MissingError, CorruptError: a location holds no bundle, or a damaged one.
    """
    if want is not None and locations:
        raise UsageError("--base and --for both say what the other side has.", "Give one of them.")
    if want is not None:
        return Bases(Wanted(frozenset(want.chunks)))
    return bases_of(unverified_base_bundles(locations, connector)) if locations else NO_BASES


def tags_wanted(want: Want) -> tuple[list[str], list[str]]:
    """Return the Bentos and the models of the bundle that lacked something."""
    named = [tag.partition(" ") for tag in want.tags]
    bentos, models = (
        [tag for kind, _, tag in named if kind == wanted] for wanted in ("bento", "model")
    )
    return bentos, models
