"""What time stamps are over stays as it is when a bundle is written over itself (format §33.1).

A copy may have other stamps, or another signature by the same key. Mixed, the chains would end at
the first link that does not fit; what is in the depot may have been there for years.
"""

from collections.abc import Iterator, Mapping

from airgap.carrier.depot import Depot
from airgap.errors import CorruptError, MissingError
from airgap.format import layout, limits
from airgap.format.stamp_files import is_index_file, stamp_file

__all__ = ["leave_out_other_chains"]


def leave_out_other_chains(
    depot: Depot, bundle: str, files: Mapping[str, bytes]
) -> dict[str, bytes]:
    """Return the files to be written beside a manifest, without those that would break a chain.

    The folder is not listed: uploads may be making it just now.

    Raises:
        TransportError: the depot cannot be read.
    """
    folder = f"{layout.BUNDLES}/{bundle}"
    kept = dict(files)
    for file in files:
        is_stamped = layout.parse_envelope_file(file) or is_index_file(file)
        if is_stamped and _read(depot, f"{folder}/{stamp_file(file, 1)}") is not None:
            for other in _find_others(depot, folder, file, files):
                kept.pop(other, None)
    return kept


def _find_others(depot: Depot, folder: str, file: str, files: Mapping[str, bytes]) -> Iterator[str]:
    """Yield the files of a chain from the first on that is another one in the depot."""
    is_other = False
    for link in (file, *(stamp_file(file, number) for number in range(1, limits.STAMPS + 1))):
        if link in files and not is_other:
            is_other = _read(depot, f"{folder}/{link}") not in (None, files[link])
        if is_other:
            yield link
            if link == file:
                yield layout.attestation_beside(file)


def _read(depot: Depot, name: str) -> bytes | None:
    """Read a file that is compared; None if it is not there, empty if it is not such a file."""
    try:
        return depot.read(name, limits.INDEX_BYTES)
    except MissingError:
        return None
    except CorruptError:
        return b""
