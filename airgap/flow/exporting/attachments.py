"""What is attached to a bundle as it is exported (format §24): given files, and statements."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, Protocol

from airgap.errors import UsageError
from airgap.flow.bundle.foreign_file import ForeignFile
from airgap.flow.exporting.bases import Bases
from airgap.flow.exporting.closure import Closure
from airgap.format import limits, tar
from airgap.format import manifest as manifests
from airgap.format.attachment import Allowance, attachment_file
from airgap.format.bundle_statement import Asked, provenance_statement
from airgap.format.intoto import NAMESPACE, encode_statement
from airgap.format.manifest import Manifest
from airgap.signing.signer import Signer
from airgap.signing.statements import sign_statement
from airgap.times import format_time

if TYPE_CHECKING:
    from airgap.flow.exporting.images import ImageOrigin

__all__ = [
    "AttachmentMaker",
    "GivenFiles",
    "Provenance",
    "describe_closure",
    "make_attachments",
    "measure_attachments",
    "parse_builder_id",
]

_NAME: Final = "provenance"
_SIGNATURE_BYTES: Final = 16 * limits.KIB
_URI_CHARACTERS: Final = 1_000


class AttachmentMaker(Protocol):
    """Makes attachments of a bundle once its manifest is known."""

    def measure(self, draft: Manifest) -> Sequence[int]:
        """Return the most bytes of each; ``draft`` has the items without digests and chunks."""
        ...

    def make(self, bundle: str, manifest: Manifest, made: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return attachments by file name; ``made`` are those of the makers before."""
        ...


@dataclass(frozen=True, slots=True)
class GivenFiles:
    """Files of others, which are attached byte for byte."""

    files: Sequence[ForeignFile]

    def measure(self, draft: Manifest) -> list[int]:
        """Return their sizes."""
        del draft
        return [len(foreign.data) for foreign in self.files]

    def make(self, bundle: str, manifest: Manifest, made: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return them."""
        del bundle, manifest, made
        return {foreign.file: foreign.data for foreign in self.files}


@dataclass(frozen=True, slots=True)
class Provenance:
    """How the bundle is made, signed by its builder (format §31.2).

    ``builder_id`` is a URI; empty: it follows from the key. ``asked`` are external parameters
    beside those that the manifest has.
    """

    signer: Signer
    builder_id: str
    asked: Mapping[str, Any] = field(default_factory=dict)
    compression: str = "default"
    bases: Bases = field(default_factory=Bases)

    def measure(self, draft: Manifest) -> list[int]:
        """Return the bytes that it cannot exceed: nothing but digests and a number is unknown."""
        statement = provenance_statement("0" * 64, self._ask(draft), draft.items, self._bundles())
        files = 2 * limits.ATTACHMENTS * 256
        return [4 * (len(encode_statement(statement)) + files) // 3 + _SIGNATURE_BYTES]

    def make(self, bundle: str, manifest: Manifest, made: Mapping[str, bytes]) -> dict[str, bytes]:
        """Sign it.

        Raises:
            UsageError: it is too long.
        """
        digests = {file: hashlib.sha256(data).hexdigest() for file, data in made.items()}
        statement = provenance_statement(
            bundle, self._ask(manifest), manifest.items, self._bundles(), digests
        )
        file = attachment_file(_NAME, self.signer.key.id, "intoto.json")
        return {file: sign_statement(statement, self.signer)}

    def _ask(self, manifest: Manifest) -> Asked:
        expires_at, completes = manifest.expires_at, manifest.completes
        external = {
            **self.asked,
            "audience": list(manifest.audience),
            "channel": manifest.channel,
            "completes": None if completes is None else completes.hex(),
            "expiresAt": None if expires_at is None else format_time(expires_at),
            "labels": dict(manifest.labels),
        }
        builder = self.builder_id or f"{NAMESPACE}builder/{self.signer.key.id}"
        internal = {"compression": self.compression, "tool": manifest.tool}
        return Asked(builder, external, internal)

    def _bundles(self) -> list[str]:
        return [manifests.bundle_id(manifests.encode(base.manifest)) for base in self.bases.bundles]


def describe_closure(closure: Closure) -> dict[str, Any]:
    """Return what was asked for beside Bentos and models: names, and no paths of this machine."""
    return {
        "files": [folder.name for folder in closure.files],
        "images": [_name_image(origin) for origin in closure.images],
        "pythons": [path.name for path in closure.pythons],
        "withEnv": closure.packages is not None,
    }


def measure_attachments(makers: Sequence[AttachmentMaker], draft: Manifest) -> int:
    """Return the bytes that all attachments need in a ``.airgap`` file, at most."""
    sizes = [size for maker in makers for size in maker.measure(draft)]
    return sum(tar.round_to_block(size) + tar.BLOCK for size in sizes)


def make_attachments(
    makers: Sequence[AttachmentMaker], bundle: str, manifest: Manifest
) -> dict[str, bytes]:
    """Make all attachments, by file name.

    Raises:
        UsageError: they are more, or longer, than a bundle may have.
    """
    made: dict[str, bytes] = {}
    for maker in makers:
        made |= maker.make(bundle, manifest, made)
    allowance = Allowance()
    for file, data in made.items():
        if len(data) > allowance.limit(file):
            raise UsageError(
                f"The bundle has no room for the attachment {file} of {len(data):,} bytes.",
                f"Attach at most {limits.ATTACHMENTS} files of each kind and"
                f" {limits.ATTACHMENTS_BYTES:,} bytes.",
            )
        allowance.take(file, len(data))
    return made


def parse_builder_id(text: str) -> str:
    """Return a URI that says who made a bundle; empty, if that follows from the key.

    Raises:
        UsageError: it is not one.
    """
    if not text:
        return text
    scheme, mark, rest = text.partition(":")
    is_uri = scheme.isascii() and scheme[:1].isalpha() and bool(mark and rest)
    if not is_uri or len(text) > _URI_CHARACTERS or not _is_plain(text):
        raise UsageError(
            "The builder id is not a URI.",
            "Write one that says who builds here, such as https://ci.example/bundles.",
        )
    return text


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and not set(text) & set(' "<>\\^`{|}')


def _name_image(origin: "ImageOrigin") -> str:
    from airgap.flow.exporting.images import ImageFile, ImageReference

    if isinstance(origin, ImageFile):
        name = PurePath(origin.path).name
        return f"{name}:{origin.reference}" if origin.reference else name
    return str(origin) if isinstance(origin, ImageReference) else f"{origin.name}:{origin.version}"
