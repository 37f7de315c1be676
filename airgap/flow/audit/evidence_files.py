"""The files of an evidence folder: written as they are found, and digested (format §38.4)."""

import hashlib
from collections.abc import Iterable, Mapping
from itertools import chain, count
from pathlib import Path
from typing import Final

from airgap.disk.os_errors import translate_errors
from airgap.format import envelope as dsse
from airgap.format import layout
from airgap.format.envelope import Envelope
from airgap.format.root import Key
from airgap.signing.public_keys import to_pem

__all__ = ["SUMS", "EvidenceFiles", "compare_file"]

SUMS: Final = "SHA256SUMS"
_DIGESTS: Final = {"ecdsa-p256-sha256": "-sha256", "ecdsa-p384-sha384": "-sha384"}


class EvidenceFiles:
    """Takes files one by one, and keeps nothing of them but their digests."""

    def __init__(self, folder: Path | None) -> None:
        """Name the folder that gets the files; None: they are digested only."""
        self._folder = folder
        self._signed = 0
        self.digests: dict[str, str] = {}
        """The SHA-256 of each file, by its name within the folder."""
        self.withheld: dict[str, str] = {}
        """The same of what was read, and stays out of the folder."""

    def withhold(self) -> "EvidenceFiles":
        """Return what takes files that stay out of this folder: what a seal keeps secret."""
        hidden = EvidenceFiles(None)
        hidden.digests = self.withheld
        return hidden

    @property
    def is_written(self) -> bool:
        """Whether there is a folder."""
        return self._folder is not None

    def add(self, name: str, data: bytes) -> None:
        """Write a file, unless it is there. Its name is made here, never by others.

        Raises:
            StorageError: the disk refused.
        """
        if name in self.digests:
            return
        self.digests[name] = hashlib.sha256(data).hexdigest()
        if self._folder is None:
            return
        path = self._folder / name
        with translate_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def add_bundle(self, bundle: str, files: Mapping[str, bytes]) -> str:
        """Write what lies in a bundle's folder; return where.

        A further copy of the bundle, of which a file has other bytes than one of that name has
        here, gets a folder of its own.
        """
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        copies = (f"copies/{number}/{bundle}" for number in count(2))
        folder = next(
            folder
            for folder in chain([f"{layout.BUNDLES}/{bundle}"], copies)
            if all(
                self.digests.get(f"{folder}/{name}", digest) == digest
                for name, digest in digests.items()
            )
        )
        self.add_all(folder, sorted(files.items()))
        return folder

    def list_differing(self, first: str, other: str) -> list[str]:
        """Return the files in two folders, both of each, that have one name and other bytes."""
        pairs = (
            (f"{first}/{name.removeprefix(f'{other}/')}", name)
            for name in sorted(self.digests)
            if name.startswith(f"{other}/")
        )
        return [
            name
            for pair in pairs
            if self.digests.get(pair[0], self.digests[pair[1]]) != self.digests[pair[1]]
            for name in pair
        ]

    def add_key(self, key: Key) -> str:
        """Write a public key; return its file."""
        name = f"keys/{key.id}.pem"
        self.add(name, to_pem(key))
        return name

    def add_signature(
        self, source: str, payload: bytes, signature: Envelope, key: Key, envelope: str = ""
    ) -> str:
        """Write what openssl needs to check a signature; return the command.

        ``source`` is the file with what was signed, and ``envelope`` the one with the signature;
        without it, the source is an envelope with its payload inside (format §29.1).
        """
        self._signed += 1
        stem, size = f"signed/{self._signed}", len(payload)
        self.add(f"{stem}.pae", dsse.signed_bytes(signature.payload_type, payload))
        self.add(f"{stem}.sig", signature.signature)
        if not envelope:
            inside = f'$(sed -n \'s/^{{"payload":"\\([^"]*\\)".*/\\1/p\' {source})'
            compared = f'[ "$(tail -c {size} {stem}.pae | base64 -w 0)" = "{inside}" ]'
        else:
            compared = f"tail -c {size} {stem}.pae | cmp - {source}"
        found = f'grep -qF "$(base64 -w 0 {stem}.sig)" {envelope or source}'
        return f"{compared} && {found} && {_make_command(key, self.add_key(key), stem)}"

    def list_sums(self) -> bytes:
        """Return the list for ``sha256sum -c`` of all files so far."""
        rows = (f"{digest}  {name}\n" for name, digest in sorted(self.digests.items()))
        return "".join(rows).encode()

    def add_all(self, folder: str, files: Iterable[tuple[str, bytes]]) -> None:
        """Write files into a folder of the evidence."""
        for name, data in files:
            self.add(f"{folder}/{name}", data)


def compare_file(digest: str, name: str) -> str:
    """Return the command that compares a file with its SHA-256."""
    return f"echo '{digest}  {name}' | sha256sum -c -"


def _make_command(key: Key, pem: str, stem: str) -> str:
    if key.algorithm in _DIGESTS:
        digest = _DIGESTS[key.algorithm]
        return f"openssl dgst {digest} -verify {pem} -signature {stem}.sig {stem}.pae"
    return f"openssl pkeyutl -verify -pubin -inkey {pem} -rawin -in {stem}.pae -sigfile {stem}.sig"
