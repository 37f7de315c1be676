"""Tars of images: OCI archives, and archives for `docker load`.

Paths, sizes and order follow from the image alone: the same image gives the same bytes.
"""

import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from airgap.format.tar import END, round_to_block
from airgap.oci.blobs import BlobFile
from airgap.oci.docker_archive import DOCKER_MANIFEST

__all__ = ["write_tar"]

_FIRST: Final = ("oci-layout", "index.json", DOCKER_MANIFEST)


def write_tar(
    documents: Mapping[str, bytes],
    blobs: Mapping[str, BlobFile],
    read: Callable[[str, BlobFile], Iterable[bytes]],
) -> Iterator[bytes]:
    """Yield the bytes of a tar.

    Args:
        documents: small files by path, which come first.
        blobs: further files by path.
        read: yields the bytes of a blob by its path, and raises if they are not its own.
    """
    for path in sorted(documents, key=lambda path: (path not in _FIRST, path)):
        yield _header(path, len(documents[path]))
        yield documents[path]
        yield _fill(len(documents[path]))
    for path in sorted(blobs):
        yield _header(path, blobs[path].size)
        yield from read(path, blobs[path])
        yield _fill(blobs[path].size)
    yield END


def _header(path: str, size: int) -> bytes:
    info = tarfile.TarInfo(path)
    info.size = size
    info.mode = 0o644
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def _fill(size: int) -> bytes:
    return bytes(round_to_block(size) - size)
