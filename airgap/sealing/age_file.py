"""Encrypts and decrypts age v1 files: header, nonce, and chunks of 64 KiB (C2SP age; §34.2)."""

import hmac
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from airgap.disk.buffers import BufferPool
from airgap.errors import ConfigurationError, CorruptError
from airgap.format import age_header, limits
from airgap.format.age_header import (
    CHUNK_BYTES,
    NONCE_BYTES,
    TAG_BYTES,
    AgeHeader,
    AgeHeaderError,
    measure_payload,
)
from airgap.printable import count_text
from airgap.sealing.age_keys import (
    FILE_KEY_BYTES,
    UNAVAILABLE,
    AgeIdentity,
    AgeRecipient,
    derive,
    make_unavailable_error,
)

__all__ = [
    "AgeMacError",
    "AgePayloadError",
    "NoIdentityError",
    "decrypt",
    "decrypt_into",
    "encrypt",
]

_SCRYPT: Final = "scrypt"
_SEALED_CHUNK: Final = CHUNK_BYTES + TAG_BYTES


class AgeMacError(CorruptError):
    """The header was changed: its MAC does not fit the key of the file."""


class AgePayloadError(CorruptError):
    """The encrypted bytes were changed, cut off, reordered or extended."""


class NoIdentityError(ConfigurationError):
    """The file is encrypted to recipients whose identities were not given."""


def encrypt(
    parts: Sequence[bytes | memoryview],
    recipients: Sequence[AgeRecipient],
    memory: BufferPool | None = None,
) -> memoryview:
    """Encrypt to all of these recipients; return the whole file, which lies in ``memory``.

    Raises:
        ConfigurationError: the algorithms do not work here.
    """
    file_key, nonce = os.urandom(FILE_KEY_BYTES), os.urandom(NONCE_BYTES)
    try:
        covered = age_header.encode(tuple(one.wrap(file_key) for one in recipients))
        header = age_header.seal_header(covered, _make_mac(file_key, covered))
        cipher = ChaCha20Poly1305(derive(file_key, nonce, b"payload"))
        size = len(header) + measure_payload(sum(memoryview(part).nbytes for part in parts))

        def write(view: memoryview) -> int:
            at = len(header) + NONCE_BYTES
            view[:at] = header + nonce
            for number, (chunk, is_last) in enumerate(_cut(parts)):
                end = at + len(chunk) + TAG_BYTES
                _encrypt_into(cipher, _make_nonce(number, is_last=is_last), chunk, view[at:end])
                at = end
            return at

        return (memory or BufferPool(size)).fill(size, write)
    except UNAVAILABLE as error:
        raise make_unavailable_error(error) from error


def decrypt(
    data: bytes | bytearray | memoryview, identities: Sequence[AgeIdentity], *, limit: int
) -> bytes:
    """Decrypt a whole file of at most ``limit`` bytes of plain text.

    Raises:
        AgeHeaderError, AgeMacError, AgePayloadError: it is not an age file, or was changed.
        NoIdentityError: it is encrypted to others.
        ConfigurationError: the algorithms do not work here.
    """
    nothing = memoryview(bytearray())
    return _decrypt(memoryview(data), identities, nothing, lambda size: _refuse_long(size, limit))


def decrypt_into(
    data: bytes | bytearray | memoryview,
    identities: Sequence[AgeIdentity],
    view: memoryview,
    exact: int,
) -> bytes:
    """Decrypt the beginning of a file into memory that is there; return the rest of it.

    ``exact`` is how many bytes of plain text there must be: a file of any other size is refused
    before a byte of it is decrypted.

    Raises:
        AirgapError: as ``decrypt``.
    """
    return _decrypt(memoryview(data), identities, view, lambda size: _refuse_other(size, exact))


def _decrypt(
    data: memoryview,
    identities: Sequence[AgeIdentity],
    view: memoryview,
    check_size: Callable[[int], None],
) -> bytes:
    """Decrypt into a view, and return what does not fit into it."""
    header = age_header.parse(bytes(data[: limits.AGE_HEADER_BYTES]))
    payload = data[header.length :]
    check_size(len(payload))
    try:
        file_key = _find_file_key(header, identities)
        expected = _make_mac(file_key, header.covered)
        if not hmac.compare_digest(expected, header.mac):
            raise AgeMacError(
                "The header of an encrypted file was changed: its MAC is wrong.",
                "Copy the file from its source again.",
            )
        if len(payload) < NONCE_BYTES:
            raise AgeHeaderError(
                "An encrypted file is cut off in its header.",
                "Copy the file from its source again.",
            )
        key = derive(file_key, bytes(payload[:NONCE_BYTES]), b"payload")
        return _decrypt_chunks(payload[NONCE_BYTES:], ChaCha20Poly1305(key), view)
    except UNAVAILABLE as error:
        raise make_unavailable_error(error) from error


def _refuse_other(size: int, exact: int) -> None:
    if size != measure_payload(exact):
        raise AgePayloadError(
            f"An encrypted file has {size:,} bytes after its header (expected"
            f" {measure_payload(exact):,}).",
            "Copy the file from its source again.",
        )


def _refuse_long(size: int, limit: int) -> None:
    if size > measure_payload(limit):
        raise AgePayloadError(
            f"An encrypted file is longer than the {limit:,} bytes that are allowed.",
            "Ask the sender to seal it again.",
        )


def _find_file_key(header: AgeHeader, identities: Sequence[AgeIdentity]) -> bytes:
    """Return the key of the file. Every stanza is checked, so that their order tells nothing.

    Raises:
        AgeHeaderError: a stanza breaks a rule of its type.
        NoIdentityError: the file is encrypted to others.
    """
    kinds = [stanza.kind for stanza in header.stanzas]
    if _SCRYPT in kinds and len(kinds) > 1:
        raise AgeHeaderError(
            "The header of an encrypted file has a passphrase beside other recipients.",
            "Copy the file from its source again.",
        )
    keys = [identity.unwrap(stanza) for identity in identities for stanza in header.stanzas]
    file_key = next((key for key in keys if key is not None), None)
    if file_key is None:
        given = count_text(len(identities), "identity", "identities")
        others = count_text(len(kinds), "other recipient")
        raise NoIdentityError(
            f"It is encrypted to {others}, and the {given} given cannot decrypt it.",
            "Give the identity of a recipient that the site's root names: --identity FILE.",
        )
    return file_key


def _make_mac(file_key: bytes, covered: bytes) -> bytes:
    return hmac.digest(derive(file_key, b"", b"header"), covered, "sha256")


def _make_nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])


def _cut(parts: Iterable[bytes | memoryview]) -> Iterator[tuple[memoryview, bool]]:
    """Yield chunks of 64 KiB, and whether each is the last one; there is always one."""
    held = memoryview(b"")
    for part in parts:
        view = memoryview(part).cast("B")
        if 0 < len(held) < CHUNK_BYTES:
            missing = CHUNK_BYTES - len(held)
            held, view = memoryview(bytes(held) + bytes(view[:missing])), view[missing:]
        while len(view):
            if len(held) == CHUNK_BYTES:  # only now is it known not to be the last one
                yield held, False
            held, view = view[:CHUNK_BYTES], view[CHUNK_BYTES:]
    yield held, True


def _decrypt_chunks(payload: memoryview, cipher: ChaCha20Poly1305, view: memoryview) -> bytes:
    """Decrypt all chunks; the last one, and no other, is marked as the last."""
    chunks = max(1, -(-len(payload) // _SEALED_CHUNK))
    rest = []
    for number in range(chunks):
        chunk = payload[number * _SEALED_CHUNK : (number + 1) * _SEALED_CHUNK]
        nonce = _make_nonce(number, is_last=number == chunks - 1)
        space = view[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES]
        try:
            if len(space) == len(chunk) - TAG_BYTES:
                _decrypt_into(cipher, nonce, chunk, space)
            else:
                plain = cipher.decrypt(nonce, chunk, None)
                space[:] = plain[: len(space)]
                rest.append(plain[len(space) :])
        except (InvalidTag, ValueError) as error:
            raise _payload_error(number, chunks) from error
        if number and len(chunk) == TAG_BYTES:
            raise _payload_error(number, chunks)
    return b"".join(rest)


def _encrypt_into(
    cipher: ChaCha20Poly1305, nonce: bytes, chunk: memoryview, space: memoryview
) -> None:
    if hasattr(cipher, "encrypt_into"):
        cipher.encrypt_into(nonce, chunk, None, space)
    else:  # before cryptography 47
        space[:] = cipher.encrypt(nonce, chunk, None)


def _decrypt_into(
    cipher: ChaCha20Poly1305, nonce: bytes, chunk: memoryview, space: memoryview
) -> None:
    if hasattr(cipher, "decrypt_into"):
        cipher.decrypt_into(nonce, chunk, None, space)
    else:  # before cryptography 47
        space[:] = cipher.decrypt(nonce, chunk, None)


def _payload_error(number: int, chunks: int) -> AgePayloadError:
    return AgePayloadError(
        f"An encrypted file is damaged: chunk {number + 1:,} of {chunks:,} cannot be decrypted.",
        "Copy the file from its source again.",
    )
