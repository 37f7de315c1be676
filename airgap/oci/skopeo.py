"""Fetches images from registries by skopeo, which has the logins of the site, with their digests.

It copies into folders of its form ``dir:``, where every manifest and blob stays as it is: its form
``oci:`` takes no manifests of Docker, and compresses layers.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.errors import ConfigurationError, CorruptError, TransportError
from airgap.format.image import INDEX_TYPES, Descriptor
from airgap.oci.blobs import BlobFile, BlobFolder, BlobSet
from airgap.oci.documents import MANIFEST_TYPE, Platform, parse_index, parse_object
from airgap.oci.local_image import LocalImage
from airgap.oci.reference import ImageReference, is_loopback
from airgap.oci.select_platforms import choose_entries
from airgap.printable import make_printable

__all__ = ["fetch_image"]

_MANIFEST: Final = "manifest.json"
_MESSAGE_CHARACTERS: Final = 400


def fetch_image(
    reference: ImageReference, platforms: Sequence[Platform], private: Path
) -> LocalImage:
    """Copy an image, or those images of an index that are for some platforms, into a folder.

    Raises:
        ConfigurationError: skopeo is not installed.
        TransportError: skopeo failed.
        MissingError: the index has nothing for a platform.
        CorruptError: what arrived has another digest.
    """
    skopeo = _Skopeo.find(reference)
    raw = skopeo.run("inspect", "--raw", f"docker://{reference}")
    digest = hashlib.sha256(raw).hexdigest()
    if reference.digest and digest != reference.digest:
        raise CorruptError(
            f"{reference.host} answered with sha256:{digest} for {reference}.",
            "Ask who runs the registry.",
        )
    top = Descriptor(digest, len(raw), _find_type(raw))
    file = private / digest
    file.write_bytes(raw)
    files = {digest: BlobFile(file, len(raw))}
    wanted = [digest]
    if top.media_type in INDEX_TYPES:
        entries = parse_index(raw, f"The index of {reference}")
        wanted = [entry.image.digest for entry in choose_entries(entries, platforms)]
    folders = []
    for number, image in enumerate(dict.fromkeys(wanted)):
        folder = private / f"image-{number}"
        skopeo.run(
            "copy",
            "--preserve-digests",
            f"docker://{reference.name}@sha256:{image}",
            f"dir:{folder}",
        )
        manifest = folder / _MANIFEST
        files[image] = BlobFile(manifest, manifest.stat().st_size)
        folders.append(BlobFolder(folder))
    return LocalImage(top, str(reference), BlobSet(files, folders))


@dataclass(frozen=True, slots=True)
class _Skopeo:
    """The program, and what all its commands are given."""

    program: str
    reference: ImageReference

    @classmethod
    def find(cls, reference: ImageReference) -> "_Skopeo":
        program = shutil.which("skopeo")
        if program is None:
            raise ConfigurationError(
                f"skopeo is not installed, which fetches {reference}.",
                "Install it (apt install skopeo), or save the image as a file and give that.",
            )
        return cls(program, reference)

    def run(self, command: str, *arguments: str) -> bytes:
        """Run a command; return what it printed. Raises TransportError."""
        flags = []
        if is_loopback(self.reference.host):
            flag = "--tls-verify=false" if command == "inspect" else "--src-tls-verify=false"
            flags.append(flag)
        done = subprocess.run(  # noqa: S603  (the reference was parsed: it is no option)
            [self.program, command, *flags, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().split("\n")[-1]
            raise TransportError(
                f"skopeo could not fetch {self.reference}.",
                "Check the reference; log in with `skopeo login` if the registry asks for it.",
                [make_printable(said)[:_MESSAGE_CHARACTERS]],
            )
        return done.stdout


def _find_type(raw: bytes) -> str:
    """Return the media type that a manifest says; older ones of OCI leave it out."""
    document = parse_object(raw, "What the registry sent")
    said = document.get("mediaType")
    if isinstance(said, str) and said:
        return said
    return INDEX_TYPES[0] if "manifests" in document else MANIFEST_TYPE
