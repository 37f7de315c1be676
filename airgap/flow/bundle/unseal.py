"""From a sealed bundle to the one inside, in memory (format §34.5)."""

import hashlib
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NoReturn, TypeAlias

from airgap.carrier.port import BundleReader, PackSource
from airgap.codec.buffer import Buffer
from airgap.disk.buffers import BufferPool
from airgap.errors import AirgapError, ConfigurationError, CorruptError, UsageError
from airgap.flow.pipeline import map_in_order, run_workers
from airgap.format import age_header, layout, limits
from airgap.format import seal as seals
from airgap.format.attachment import Allowance
from airgap.format.envelope import Role, refuse_too_many
from airgap.format.manifest import Manifest, Pack
from airgap.format.root import SignedRoot
from airgap.format.seal import Seal
from airgap.format.sealed import SealedIndex
from airgap.sealing.age_file import NoIdentityError, decrypt, decrypt_into
from airgap.sealing.age_keys import AgeIdentity, parse_identity

__all__ = [
    "ReadPack",
    "Repair",
    "UnsealedPacks",
    "UnsealedReader",
    "check_inner",
    "check_recipients",
    "unseal",
]

ReadPack: TypeAlias = tuple[int, Buffer | AirgapError]
Repair: TypeAlias = Callable[[Iterator[ReadPack]], Iterator[ReadPack]]
"""Passes encrypted packs on, and replaces errors by packs of other volumes or of parity."""

_AT_WORK: Final = 2
_HINT: Final = "Ask the sender to seal it again."


def unseal(
    reader: BundleReader, index: Manifest, identities: Sequence[AgeIdentity]
) -> "UnsealedReader":
    """Open the seal of an admitted index.

    Raises:
        ConfigurationError: there is no identity, or none opens it.
        CorruptError: the seal is damaged, or is that of another index.
    """
    if index.sealed is None:
        raise UsageError(f"{reader.location} is not sealed.", "Import it as it is.")
    check_recipients(reader.location, index.sealed)
    if not identities:
        raise ConfigurationError(
            f"{reader.location} is sealed, and no identity was given.",
            "Give the site's identity: --identity FILE, or AIRGAP_IDENTITY. Without one, `airgap"
            " verify` checks signatures and packs, and `airgap copy` carries it on.",
        )
    try:
        plain = decrypt(index.sealed.seal, identities, limit=limits.SEAL_BYTES)
    except NoIdentityError as error:
        message = f"{reader.location} cannot be opened here. {error.message}"
        raise NoIdentityError(message, error.hint) from error
    seal = seals.decode_seal(plain)
    bundle = hashlib.sha256(seal.manifest)
    if seals.commit(seal.salt, bundle.digest()) != index.sealed.commitment:
        raise CorruptError(f"The seal of {reader.location} holds another bundle.", _HINT)
    try:
        epoch = parse_identity(seal.epoch)
    except ValueError as error:
        raise CorruptError(f"The seal of {reader.location} has no key for packs.", _HINT) from error
    return UnsealedReader(reader, index, seal, epoch)


def check_recipients(location: str, sealed: SealedIndex) -> None:
    """Compare the number of recipients of an admitted index with its seal (format §34.3).

    Raises:
        CorruptError: the seal has others than the index says, or is not an age file.
    """
    count = len(age_header.parse(sealed.seal[: limits.AGE_HEADER_BYTES]).stanzas)
    if count != sealed.recipients:
        raise CorruptError(
            f"The index of {location} names {sealed.recipients} recipients, and its seal has"
            f" {count}.",
            _HINT,
        )


def check_inner(location: str, index: Manifest, inner: Manifest) -> None:
    """Compare an admitted inner manifest with its index (format §34.5, rules 3 and 4).

    Raises:
        CorruptError: they do not belong together.
    """
    if inner.sealed is not None:
        raise CorruptError(f"{location} has a sealed bundle inside a sealed one.", _HINT)
    if len(inner.packs) != len(index.packs) or inner.audience != index.audience:
        raise CorruptError(f"The index of {location} does not fit the bundle inside.", _HINT)


def _pass_on(packs: Iterator[ReadPack]) -> Iterator[ReadPack]:
    return packs


class UnsealedReader:
    """Fills ``BundleReader`` with the bundle inside a sealed one."""

    stock_archive: None = None
    depot: None = None

    def __init__(
        self, sealed: BundleReader, index: Manifest, seal: Seal, epoch: AgeIdentity
    ) -> None:
        """Take the reader of the sealed bundle, its index, and what its seal holds."""
        self.location = sealed.location
        self._sealed = sealed
        self._seal = seal
        self.packs = UnsealedPacks(sealed.packs, index.packs, epoch, seal)

    def read_manifest(self) -> tuple[str, bytes]:
        """Return the inner bundle id, and the inner manifest."""
        raw = self._seal.manifest
        return hashlib.sha256(raw).hexdigest(), raw

    def read_envelopes(self, role: Role) -> list[bytes]:
        """Return the envelopes of one role."""
        return [self._take(name, limits.ENVELOPE_BYTES) for name in self._list_envelopes(role)]

    def read_attestations(self, role: Role) -> list[tuple[bytes, bytes]]:
        """Return each attestation of one role with its envelope; one alone is ignored."""
        files = self._seal.files
        names = [(layout.attestation_beside(name), name) for name in self._list_envelopes(role)]
        return [
            (
                self._take(statement, limits.ATTESTATION_BYTES),
                self._take(envelope, limits.ENVELOPE_BYTES),
            )
            for statement, envelope in names
            if statement in files
        ]

    def list_files(self) -> list[str]:
        """Return the names of what lay beside the inner manifest."""
        return list(self._seal.files)

    def read_attachments(self) -> dict[str, bytes]:
        """Return the attachments; those that are over a limit are left out."""
        allowance = Allowance()
        attachments: dict[str, bytes] = {}
        for file, data in self._seal.files.items():
            if data and len(data) <= allowance.limit(file):
                attachments[file] = data
                allowance.take(file, len(data))
        return attachments

    def add_attachment(self, file: str, data: bytes) -> None:
        """Refuse: nothing can be added to what is sealed."""
        del data
        self._refuse(file)

    def add_files(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Refuse: nothing can be added to what is sealed."""
        self._refuse(files[0][0])

    def read_roots(self) -> list[SignedRoot]:
        """Return the roots that travel with the sealed bundle: they are not sealed."""
        return self._sealed.read_roots()

    def close(self) -> None:
        """Close the sealed bundle."""
        self._sealed.close()

    def _list_envelopes(self, role: Role) -> list[str]:
        names = [
            name
            for name in self._seal.files
            if (parsed := layout.parse_envelope_file(name)) and parsed[0] == role
        ]
        refuse_too_many(names, self.location)
        return names

    def _take(self, name: str, limit: int) -> bytes:
        data = self._seal.files[name]
        if len(data) > limit:
            raise CorruptError(f"{name} in {self.location} has {len(data):,} bytes.", _HINT)
        return data

    def _refuse(self, file: str) -> NoReturn:
        raise UsageError(
            f"{file} cannot be added to {self.location}, which is sealed.",
            "Unseal it (`airgap unseal`), add it there, and seal the result (`airgap seal`).",
        )


@dataclass(frozen=True, slots=True)
class UnsealedPacks:
    """Fills ``PackSource``: reads encrypted packs, compares their digests, and decrypts them."""

    sealed: PackSource
    """Where the encrypted packs are."""
    index: Sequence[Pack]
    epoch: AgeIdentity
    seal: Seal
    repair: Repair = _pass_on

    volumes = ()  # what parity and labels say is about the encrypted packs
    is_stream = False

    @property
    def location(self) -> str:
        """Where the sealed bundle is."""
        return self.sealed.location

    @property
    def spooled(self) -> tuple[Path, int] | None:
        """The folder that encrypted packs lie in on their way; see ``PackSource``."""
        return self.sealed.spooled

    def read_packs(
        self, packs: Sequence[Pack], wanted: Container[int], memory: BufferPool | None = None
    ) -> Iterator[ReadPack]:
        """Yield index and plain bytes of each wanted pack; see ``PackSource``."""
        encrypted = BufferPool(max((pack.size for pack in self.index), default=0) + 1)
        read = self.sealed.read_packs(self.index, wanted, encrypted)
        work = partial(self._open, packs, encrypted, memory)
        with run_workers(1) as hasher, run_workers(1) as opener:
            authentic = map_in_order(hasher, self._authenticate, read, _AT_WORK)
            yield from map_in_order(opener, work, self.repair(authentic), _AT_WORK)

    def read_model_signatures(self, files: Collection[str]) -> dict[str, bytes]:
        """Return those of these files that are in the seal."""
        return {name: data for name, data in self.seal.files.items() if name in files}

    def _authenticate(self, read: ReadPack) -> ReadPack:
        """Compare the digest with the signed index before a byte is decrypted (rule 5)."""
        number, data = read
        pack = self.index[number]
        if isinstance(data, AirgapError) or hashlib.sha256(data).digest() == pack.digest:
            return read
        return number, CorruptError(
            f"{layout.pack_name(pack.digest)} in {self.location} is damaged (SHA-256 is"
            f" {hashlib.sha256(data).hexdigest()[:12]}…, expected {pack.digest.hex()[:12]}…).",
            "It was changed or damaged on the way: copy this file from its source again.",
        )

    def _open(
        self,
        packs: Sequence[Pack],
        encrypted: BufferPool,
        memory: BufferPool | None,
        read: ReadPack,
    ) -> ReadPack:
        """Decrypt a pack, and take its padding off."""
        number, data = read
        if isinstance(data, AirgapError):
            return read
        size = packs[number].size
        rest = b""

        def fill(view: memoryview) -> int:
            nonlocal rest
            exact = seals.round_up(size, seals.PACK_STEP)
            rest = decrypt_into(data, [self.epoch], view, exact)
            return len(view)

        try:
            plain = (memory or BufferPool(size)).fill(size, fill)
        except AirgapError as error:
            return number, error
        finally:
            encrypted.give_back(data)
        if rest.strip(b"\0"):
            return number, CorruptError(
                f"Pack {number + 1} in {self.location} has other padding than zeros.", _HINT
            )
        return number, plain
