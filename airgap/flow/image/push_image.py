"""Pushes an installed image to a registry: blobs, then manifests, and the tag last."""

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from airgap.errors import TransportError, UsageError
from airgap.flow.location.credentials import Credentials, log_in_to_host
from airgap.flow.location.https_way import HttpsWay
from airgap.flow.progress import Progress
from airgap.flow.site import make_permit, refuse_forbidden
from airgap.format.image import INDEX_TYPES, Descriptor
from airgap.oci.documents import Platform, parse_manifest, parse_platform
from airgap.oci.reference import ImageReference, is_loopback, parse_reference
from airgap.printable import quote
from airgap.store.installed_image import InstalledImage, open_image
from airgap.transport.open_transport import CA_VARIABLES
from airgap.transport.registry.options import RegistryOptions
from airgap.transport.registry.push import BlobUpload, RegistryPusher
from airgap.transport.registry.session import RegistrySession
from airgap.transport.retry import RetryPolicy
from airgap.transport.secrets import read_secret_variable

__all__ = ["PushOptions", "PushTarget", "parse_target", "push_image"]

_SCHEMES: Final = {"https://": True, "http://": False}


@dataclass(frozen=True, slots=True)
class PushTarget:
    """Where an image goes, and whether the connection is encrypted."""

    reference: ImageReference
    encrypted: bool

    def __str__(self) -> str:
        """Write it as a reference."""
        return str(self.reference)


@dataclass(frozen=True, slots=True)
class PushOptions:
    """How a registry is reached, and what of an index is pushed."""

    credentials: Credentials = field(default_factory=Credentials)
    ca_file: Path | None = None
    token_hosts: Sequence[str] = ()
    insecure_http: bool = False
    platforms: Sequence[str] = ()
    mount_from: str = ""
    way: HttpsWay = field(default_factory=HttpsWay)


def parse_target(text: str) -> PushTarget:
    """Parse ``[https://|http://]REGISTRY/REPOSITORY:TAG``.

    Without a scheme it is https, and http on this machine itself, as other tools have it.

    Raises:
        UsageError: it is not a reference, or has no tag.
    """
    scheme = next((scheme for scheme in _SCHEMES if text.startswith(scheme)), "")
    reference = parse_reference(text.removeprefix(scheme))
    if reference.digest or ":" not in text.rpartition("/")[2]:
        raise UsageError(
            f"{quote(text, 300)} has no tag.", "Write REGISTRY/REPOSITORY:TAG, such as …/shop:1.4."
        )
    encrypted = _SCHEMES[scheme] if scheme else not is_loopback(reference.host)
    return PushTarget(reference, encrypted)


def push_image(
    tag: str, target: PushTarget, options: PushOptions, progress: Progress
) -> dict[str, Any]:
    """Push an image; what is there already is not sent again. Describe what was done.

    Raises:
        UsageError, MissingError, CorruptError: as ``open_image``; or a blob is damaged, or the
            registry names another digest.
        PolicyError: the site's root forbids it.
        ConfigurationError: this machine lacks what it needs for that (password, CA).
        TransportError: the registry refused, or cannot be reached.
    """
    platforms = [parse_platform(text) for text in options.platforms]
    image = open_image(tag)
    session = _open_session(target, options, progress)
    with closing(session):
        progress.begin("pushing", sum(image.selection.blobs.values()))
        try:
            return _Push(image, RegistryPusher(session, progress.advance), progress).run(
                target, platforms
            )
        finally:
            progress.end()


class _Push:
    """One image on its way."""

    def __init__(self, image: InstalledImage, pusher: RegistryPusher, progress: Progress) -> None:
        self._image = image
        self._pusher = pusher
        self._progress = progress
        self._sent: list[str] = []
        self._present: list[str] = []

    def run(self, target: PushTarget, platforms: Sequence[Platform]) -> dict[str, Any]:
        image, tag = self._image, target.reference.tag
        top = image.choose_manifest(platforms) if platforms else image.index.image
        before = self._pusher.find_manifest(tag)
        children = image.list_manifests() if top.media_type in INDEX_TYPES else ()
        for child in children:
            self._push_blobs(child.image)
            digest = child.image.digest
            self._pusher.push_manifest(child.image, image.read(digest), f"sha256:{digest}")
        if not children:
            self._push_blobs(top)
        self._push_top(top, tag)
        sizes = image.selection.blobs
        return {
            "image": image.tag,
            "reference": str(target),
            "digest": f"sha256:{top.digest}",
            "blobs_sent": len(self._sent),
            "blobs_there": len(self._present),
            "bytes_sent": sum(sizes[digest] for digest in self._sent),
            "replaced": f"sha256:{before}" if before not in ("", top.digest) else None,
        }

    def _push_top(self, top: Descriptor, tag: str) -> None:
        """Set the tag. Raises TransportError, CorruptError."""
        try:
            self._pusher.push_manifest(top, self._image.read(top.digest), tag)
        except TransportError as error:
            left_out = self._image.selection.left_out
            if not left_out or top.media_type not in INDEX_TYPES:
                raise
            raise TransportError(
                f"{error.message} The index names {', '.join(left_out)}, which did not travel.",
                "Push the image for one platform: --platform"
                f" {self._image.selection.platforms[0]}.",
                error.details,
            ) from error

    def _push_blobs(self, manifest: Descriptor) -> None:
        """Push the configuration and the layers of an image, each once."""
        raw = self._image.read(manifest.digest)
        named = parse_manifest(raw, f"The manifest {manifest.digest}")
        for blob in (*named.layers, named.config):
            if blob.digest in self._sent or blob.digest in self._present:
                continue
            file = self._image.find(blob.digest)
            upload = BlobUpload(blob.digest, blob.size, file.read_at)
            sent = self._pusher.push_blob(upload)
            (self._sent if sent else self._present).append(blob.digest)
            if not sent:
                self._progress.advance(blob.size)


def _open_session(target: PushTarget, options: PushOptions, progress: Progress) -> RegistrySession:
    """Open a session. Raises PolicyError, ConfigurationError, UsageError."""
    host = target.reference.host
    if not target.encrypted and not is_loopback(host):
        if not options.insecure_http:
            raise UsageError(
                f"http://{host} is not encrypted: everybody on the way could read the password and"
                " change the image.",
                "Use https, with --ca FILE for a private CA, or allow it with --insecure-http.",
            )
        refuse_forbidden("http", "--insecure-http")
    _ask_permission(target, options)
    login = log_in_to_host(urlsplit(f"//{host}").hostname or host, options.credentials)
    registry = RegistryOptions(
        host,
        target.encrypted,
        options.ca_file,
        login.user,
        login.password,
        frozenset(host.lower() for host in options.token_hosts),
        options.way.make_client(),
        options.way.proxy,
        read_secret_variable("--proxy-password-env", options.way.proxy_password_env),
    )
    return RegistrySession(
        registry,
        target.reference.repository,
        options.mount_from,
        RetryPolicy(tries=6, note=progress.note),
    )


def _ask_permission(target: PushTarget, options: PushOptions) -> None:
    """Refuse what decides which server is trusted, if the site's root limits that."""
    permit = make_permit()
    if permit is None:
        return
    if options.ca_file:
        permit("ca", "--ca")
    elif target.encrypted:
        for variable in filter(os.environ.get, CA_VARIABLES):
            permit("ca", variable)
    if options.token_hosts:
        permit("token_host", "--token-host")
