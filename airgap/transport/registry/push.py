"""Uploads blobs and manifests; what is there already is not sent again."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from airgap.errors import CorruptError, TransportError
from airgap.format.image import Descriptor
from airgap.format.limits import IMAGE_DOCUMENT_BYTES, MIB
from airgap.transport.port import TransientError
from airgap.transport.registry.session import RegistryRequest, RegistrySession

__all__ = ["BlobUpload", "RegistryPusher"]

_CHUNK_BYTES: Final = 32 * MIB
_LARGEST_CHUNK_BYTES: Final = 256 * MIB
_ARRIVED: Final = re.compile(r"(?:bytes=)?0-([0-9]{1,15})")
_OK, _CREATED, _ACCEPTED, _NO_CONTENT, _MISSING = 200, 201, 202, 204, 404
_FOUND_ELSEWHERE: Final = (301, 302, 307, 308)


@dataclass(frozen=True, slots=True)
class BlobUpload:
    """A blob to send: ``read`` returns up to so many bytes from an offset, fewer at the end."""

    digest: str
    size: int
    read: Callable[[int, int], bytes]


class _LostUploadError(Exception):
    """The registry no longer knows an upload, or has other bytes of it: it begins again."""


class RegistryPusher:
    """Pushes to one repository of a registry."""

    def __init__(
        self,
        session: RegistrySession,
        advance: Callable[[int], object] = lambda _: None,
        chunk_bytes: int = _CHUNK_BYTES,
    ) -> None:
        """Take a session.

        Args:
            session: of the repository.
            advance: called with the number of bytes that were sent.
            chunk_bytes: how much of a blob is sent, and kept in memory, at once.
        """
        self._session = session
        self._chunk_bytes = chunk_bytes
        self._advance = advance
        self._top = f"/v2/{session.repository}"

    def push_blob(self, blob: BlobUpload) -> bool:
        """Send a blob unless it is there, or in the repository to mount from.

        It is compared with its digest before the upload ends. Returns whether it was sent.

        Raises:
            TransportError: the registry refused, or cannot be reached.
            CorruptError: the blob is damaged here, or the registry names another digest.
        """
        if self._session.retry(lambda: self._has_blob(blob)):
            return False

        def attempt() -> bool:
            try:
                return self._upload(blob)
            except _LostUploadError as error:
                raise TransientError(str(error)) from error

        return self._session.retry(attempt)

    def find_manifest(self, reference: str) -> str:
        """Return the digest (hex) of a manifest by tag or digest; empty if it is not there.

        Raises:
            TransportError: the registry refused, or cannot be reached.
        """
        return self._session.retry(lambda: self._find_manifest(reference))

    def push_manifest(self, manifest: Descriptor, raw: bytes, reference: str) -> None:
        """Send a manifest or an index, whose blobs and children are there, and ask for it again.

        Raises:
            TransportError: the registry refused, or cannot be reached.
            CorruptError: it names another digest.
        """
        request = RegistryRequest(
            "PUT",
            f"{self._top}/manifests/{quote(reference, safe=':')}",
            {"content-type": manifest.media_type},
            raw,
        )

        def attempt() -> None:
            response = self._session.expect(request, _CREATED, _OK)
            self._session.read(response)
            self._session.compare_digest(response, manifest.digest)

        self._session.retry(attempt)
        stored = self.find_manifest(reference)
        if stored != manifest.digest:
            raise CorruptError(
                f"{self._session.options.url} has sha256:{stored or '…'} under {reference}, and"
                f" sha256:{manifest.digest} was sent.",
                "Ask who runs the registry: it stored something else, or somebody else pushes"
                " to the same tag.",
            )

    def _has_blob(self, blob: BlobUpload) -> bool:
        response = self._session.send(
            RegistryRequest("HEAD", f"{self._top}/blobs/sha256:{blob.digest}")
        )
        size = response.size
        self._session.read(response)
        if response.status in _FOUND_ELSEWHERE:  # it would come from the registry's object store
            return True
        if response.status not in (_OK, _MISSING):
            raise self._session.make_error(response)
        return response.status == _OK and size in (None, blob.size)

    def _find_manifest(self, reference: str) -> str:
        accept = (
            "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json,"
            " application/vnd.docker.distribution.manifest.list.v2+json,"
            " application/vnd.docker.distribution.manifest.v2+json"
        )
        target = f"{self._top}/manifests/{quote(reference, safe=':')}"
        response = self._session.expect(
            RegistryRequest("GET", target, {"accept": accept}), _OK, _MISSING
        )
        body = self._session.read(response, IMAGE_DOCUMENT_BYTES)
        return hashlib.sha256(body).hexdigest() if response.status == _OK else ""

    def _upload(self, blob: BlobUpload) -> bool:
        """Send a blob; tell whether it was sent, and not found in the other repository."""
        mount_from = self._session.mount_from
        target = f"{self._top}/blobs/uploads/"
        if mount_from:
            target += f"?mount=sha256:{blob.digest}&from={quote(mount_from, safe='')}"
        response = self._session.expect(RegistryRequest("POST", target), _ACCEPTED, _CREATED)
        self._session.read(response)
        if response.status == _CREATED:
            if not mount_from:
                raise self._session.not_a_registry("has an upload before it was sent")
            self._session.compare_digest(response, blob.digest)
            return False
        location = self._session.parse_location(response, target)
        chunk_bytes = self._choose_chunk_bytes(response.header("oci-chunk-min-length"))
        digest, sent = hashlib.sha256(), 0
        data = blob.read(0, chunk_bytes)
        while sent + len(data) < blob.size and data:
            digest.update(data)
            location = self._send_chunk(location, sent, data)
            sent += len(data)
            data = blob.read(sent, min(chunk_bytes, blob.size - sent))
        digest.update(data)
        if digest.hexdigest() != blob.digest or sent + len(data) != blob.size:
            raise CorruptError(
                f"The blob {blob.digest} is damaged (its SHA-256 is {digest.hexdigest()}).",
                "Import the image again.",
            )
        self._finish(location, sent, data, blob.digest)
        return True

    def _finish(self, location: str, sent: int, data: bytes, digest: str) -> None:
        """Send the last bytes with the digest; the registry compares."""
        if sent:
            location = self._send_chunk(location, sent, data)
            data = b""
        mark = "&" if "?" in location else "?"
        request = RegistryRequest(
            "PUT",
            f"{location}{mark}digest=sha256:{digest}",
            {"content-type": "application/octet-stream"},
            data,
        )
        response = self._session.expect(request, _CREATED, _NO_CONTENT)
        self._session.read(response)
        self._session.compare_digest(response, digest)
        self._advance(len(data))

    def _send_chunk(self, location: str, offset: int, data: bytes) -> str:
        """Send a chunk of a large blob; return where the next one goes.

        After a break it asks how much has arrived.
        """
        end = offset + len(data)

        def attempt() -> str:
            nonlocal location, offset
            try:
                location = self._patch(location, offset, data[len(data) - (end - offset) :])
            except TransientError:
                location, offset = self._find_arrived(location, offset, end)
                if offset < end:
                    raise
            return location

        location = self._session.retry(attempt)
        self._advance(len(data))
        return location

    def _patch(self, location: str, offset: int, data: bytes) -> str:
        headers = {
            "content-range": f"{offset}-{offset + len(data) - 1}",
            "content-type": "application/octet-stream",
        }
        request = RegistryRequest("PATCH", location, headers, data)
        response = self._session.expect(request, _ACCEPTED)
        self._session.read(response)
        arrived = _ARRIVED.fullmatch(response.header("range"))
        if arrived and int(arrived[1]) != offset + len(data) - 1:
            raise self._session.not_a_registry("did not store all of what was sent")
        return self._session.parse_location(response, location)

    def _find_arrived(self, location: str, offset: int, end: int) -> tuple[str, int]:
        """Ask how much of an upload has arrived; return where it goes on, and at which byte.

        Raises:
            TransientError: the registry cannot be asked, or the upload must begin again.
        """
        response = self._session.send(RegistryRequest("GET", location))
        self._session.read(response)
        arrived = _ARRIVED.fullmatch(response.header("range"))
        if response.status not in (_OK, _ACCEPTED, _NO_CONTENT) or arrived is None:
            raise _LostUploadError("The registry lost an upload.")
        begin = int(arrived[1]) + 1 if arrived[1] != "0" else 0
        if not offset <= begin <= end:
            raise _LostUploadError("The registry lost a part of an upload.")
        return self._session.parse_location(response, location), begin

    def _choose_chunk_bytes(self, least: str) -> int:
        """Return the size of a chunk: the registry may want large ones."""
        if not least.isascii() or not least.isdigit():
            return self._chunk_bytes
        size = max(self._chunk_bytes, int(least[:15]))
        if size > _LARGEST_CHUNK_BYTES:
            raise TransportError(
                f"{self._session.options.url} wants chunks of at least {size:,} bytes (at most"
                f" {_LARGEST_CHUNK_BYTES:,} are sent).",
                "Push with another tool: `airgap image save` gives the image as a file.",
            )
        return size
