"""References of images: ``registry.example/team/shop:1.4``, as people write them."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from airgap.errors import UsageError
from airgap.format import limits
from airgap.printable import quote

__all__ = ["ImageReference", "is_loopback", "make_item_name", "parse_reference"]

_HOST: Final = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?"
)
_PART: Final = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY: Final = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_UNFIT: Final = re.compile(r"[^-._a-z0-9]+")


@dataclass(frozen=True, slots=True)
class ImageReference:
    """An image in a registry. One of ``tag`` and ``digest`` is set; ``digest`` is hex."""

    host: str
    """With its port, if it has one; an IPv6 address in brackets."""
    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        """Write it as people do."""
        return f"{self.name}@sha256:{self.digest}" if self.digest else f"{self.name}:{self.tag}"

    @property
    def name(self) -> str:
        """Registry and repository."""
        return f"{self.host}/{self.repository}"


def parse_reference(text: str) -> ImageReference:
    """Parse ``HOST[:PORT]/REPOSITORY[:TAG]`` or ``…@sha256:DIGEST``; the tag is ``latest`` if none.

    Raises:
        UsageError: it is none. No default registry is assumed, and no path part may be ``..``.
    """
    name, at, digest = text.partition("@")
    host, slash, rest = name.partition("/")
    repository, colon, tag = rest.partition(":")
    has_host = slash and ("." in host or ":" in host or host == "localhost")
    if not has_host:
        raise UsageError(
            f"{quote(text, 300)} does not name a registry.",
            "Write registry.example/team/shop:1.4; an image of Docker Hub is"
            " docker.io/library/python:3.11-slim.",
        )
    valid = (
        _HOST.fullmatch(host)
        and _REPOSITORY.fullmatch(repository)
        and len(text) <= limits.REFERENCE_CHARACTERS
        and (_TAG.fullmatch(tag) or not colon)
        and (_DIGEST.fullmatch(digest) or not at)
    )
    if not valid:
        raise UsageError(
            f"{quote(text, 300)} is not a reference of an image.",
            "Write registry.example/team/shop:1.4, the repository in lower case.",
        )
    if at:
        return ImageReference(host, repository, "", digest.removeprefix("sha256:"))
    return ImageReference(host, repository, tag or "latest")


def is_loopback(host: str) -> bool:
    """Tell whether a host (with its port, perhaps) is this machine."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def make_item_name(reference: str) -> str:
    """Return the name of the item: the last part of the repository, as of a Bento (format §27)."""
    repository = reference.partition("@")[0].rpartition("/")[2].partition(":")[0].lower()
    name = _UNFIT.sub("-", repository)[: limits.TAG_CHARACTERS].strip("-._")
    return name if name and name != "latest" else "image"
