"""A tag: the kind, the name and the version of a Bento or model, as a person types it."""

from dataclasses import dataclass

from airgap.format import names
from airgap.format.kinds import Kind
from airgap.format.manifest import Manifest

__all__ = ["Tag", "parse_tag"]


@dataclass(frozen=True, slots=True)
class Tag:
    """A kind, a name, and a version, which is empty for the newest."""

    kind: Kind
    name: str
    version: str = ""

    def may_be_in(self, raw: bytes) -> bool:
        """Tell from a manifest's bytes, without decoding them, whether it can name this."""
        return self.name.encode() in raw and self.version.encode() in raw

    def is_in(self, manifest: Manifest) -> bool:
        """Tell whether a manifest has it."""
        return any(
            (item.kind, item.name) == (self.kind, self.name) and self.version in ("", item.version)
            for item in manifest.items
        )

    def __str__(self) -> str:
        """Name it for people."""
        return f"{self.kind} {self.name}:{self.version or 'latest'}"


def parse_tag(text: str, kind: Kind) -> Tag:
    """Read ``name``, ``name:latest`` or ``name:version``.

    Raises:
        UsageError: it is none of these.
    """
    return Tag(kind, *names.parse_tag(text))
