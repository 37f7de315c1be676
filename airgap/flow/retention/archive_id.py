"""The id of an archive, and how a ledger names it: by that, and by where it is (§17.3, §35.1)."""

import hashlib
import secrets
from pathlib import Path

from airgap.carrier.depot import Depot
from airgap.errors import MissingError
from airgap.format import check_files
from airgap.format.check_files import ID_NAME
from airgap.transport import url as urls

__all__ = ["digest_archive_id", "digest_location", "make_archive_id", "read_archive_id"]


def read_archive_id(depot: Depot) -> str:
    """Return the id of an archive; empty if it has none yet.

    Raises:
        CorruptError: it is damaged.
        TransportError: the archive cannot be read.
    """
    try:
        return check_files.decode_id(depot.read(ID_NAME, len(check_files.encode_id("0" * 32))))
    except MissingError:
        return ""


def make_archive_id(depot: Depot) -> str:
    """Return the id of an archive, which is made if there is none. Raises as ``read_archive_id``.

    Of several machines that make one at once, all get the one that was stored first.
    """
    archive = read_archive_id(depot)
    if not archive:
        made = secrets.token_hex(16)
        archive = made
        if not depot.transport.publish(ID_NAME, check_files.encode_id(made)):
            archive = read_archive_id(depot)
    return archive


def digest_archive_id(archive: str) -> bytes:
    """Return by what an entry names an archive: the SHA-256 of the file of its id."""
    return hashlib.sha256(check_files.encode_id(archive)).digest()


def digest_location(depot: Depot) -> bytes:
    """Return by what an entry names where an archive is: the same from every working folder."""
    text = depot.location
    if not urls.is_url(text):
        text = str(Path(text).resolve())
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
