"""A want: what an import lacked, for the next export (format §22)."""

from collections.abc import Sequence
from pathlib import Path

from airgap.disk.named_files import read_named
from airgap.errors import ConfigurationError, CorruptError, UsageError
from airgap.flow.bundle.base_bundles import unverified_base_bundles
from airgap.flow.exporting.bases import NO_BASES, Bases, Wanted, make_bases
from airgap.flow.location.connector import Connector
from airgap.flow.location.location import Location
from airgap.format import limits
from airgap.format import want as wants
from airgap.format.kinds import Kind
from airgap.format.want import Want
from airgap.store.kinds import list_kinds

__all__ = ["find_bases", "list_wanted_tags", "read_want"]


def read_want(path: Path) -> Want:
    """Read a want.

    Raises:
        ConfigurationError: the file cannot be read.
        CorruptError: it is not a want file.
    """
    try:
        return wants.decode(read_named(path, limits.WANT_BYTES))
    except CorruptError as error:
        raise CorruptError(
            f"{path} is not what an import lacked: {error.message}",
            "Give the file that `airgap import --want` wrote, or have it written again.",
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}.", "Give the file that --want wrote."
        ) from error


def find_bases(
    locations: Sequence[Location],
    want: Want | None,
    connector: Connector,
    identities: Sequence[str] = (),
) -> Bases:
    """Return what the other side holds, as a sender was told: bundles, or all but what it wants.

    Raises:
        ConfigurationError, NotTrustedError: a bundle is sealed, and is not opened.
        UsageError: both are given.
        MissingError, CorruptError: a location holds no bundle, or a damaged one.
    """
    if want is not None and locations:
        raise UsageError("--base and --for both say what the other side has.", "Give one of them.")
    if want is not None:
        return Bases(Wanted(frozenset(want.chunks)))
    if not locations:
        return NO_BASES
    return make_bases(unverified_base_bundles(locations, connector, identities))


def list_wanted_tags(want: Want) -> dict[Kind, Sequence[str]]:
    """Return the tags of the bundle that lacked chunks, by kind.

    Items that have no tag of their own are left out: the Bentos that need them name them.
    """
    tags = [tag.partition(" ") for tag in want.tags]
    names = [kind.rules.name for kind in list_kinds() if kind.has_tags]
    return {name: [tag for kind, _, tag in tags if kind == name] for name in names}
