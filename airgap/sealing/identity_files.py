"""Identities and recipients in files, in the form of age-keygen (format §34.2)."""

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from airgap.disk.descriptors import open_without_waiting
from airgap.disk.new_file import create_file
from airgap.errors import ConfigurationError, StorageError
from airgap.format import limits
from airgap.sealing.age_keys import (
    SECRET_BEGINNING,
    AgeIdentity,
    AgeRecipient,
    generate_identity,
    parse_identity,
    parse_recipient,
)

__all__ = [
    "IDENTITY_SUFFIX",
    "RECIPIENT_SUFFIX",
    "generate",
    "read_identities",
    "read_recipient",
]

IDENTITY_SUFFIX: Final = ".identity"
RECIPIENT_SUFFIX: Final = ".recipient"
_DESCRIPTOR: Final = "fd:"
_OTHERS_ACCESS: Final = stat.S_IRWXG | stat.S_IRWXO


def generate(folder: Path, name: str, *, post_quantum: bool) -> tuple[Path, Path, AgeRecipient]:
    """Make an identity: ``NAME.identity`` (mode 0600), and ``NAME.recipient`` to give away.

    Raises:
        ConfigurationError: one of the files exists, or ML-KEM does not work here.
        StorageError: the files cannot be written; neither is left behind.
    """
    secret_path = folder / f"{name}{IDENTITY_SUFFIX}"
    public_path = folder / f"{name}{RECIPIENT_SUFFIX}"
    for path in (secret_path, public_path):
        if path.exists():
            raise ConfigurationError(
                f"{path} already exists, and keys are never overwritten.",
                "Choose another name, or move the old key away.",
            )
    identity = generate_identity(post_quantum=post_quantum)
    recipient = identity.recipient.text
    create_file(secret_path, f"# public key: {recipient}\n{identity.text}\n".encode(), 0o600)
    try:
        create_file(public_path, f"{recipient}\n".encode(), 0o644)
    except BaseException:
        secret_path.unlink(missing_ok=True)
        raise
    return secret_path, public_path, identity.recipient


def read_identities(sources: Sequence[str]) -> tuple[AgeIdentity, ...]:
    """Read identities from files that only their owner can read, or from open descriptors, fd:N.

    Raises:
        ConfigurationError: no such file, it holds no identity, or ML-KEM does not work here.
        StorageError: others can read a file, or it cannot be read.
    """
    identities = [identity for source in sources for identity in _parse_all(source)]
    if len(identities) > limits.IDENTITIES:
        raise ConfigurationError(
            f"The files hold {len(identities)} identities; at most {limits.IDENTITIES} are used.",
            "Give the one that opens the bundle.",
        )
    return tuple(identities)


def read_recipient(text: str) -> AgeRecipient:
    """Return a recipient, given as its text or as the path of a file that holds it.

    Raises:
        ConfigurationError: it is neither, or ML-KEM does not work here.
        StorageError: the file cannot be read.
    """
    if not text.startswith("age1"):
        _refuse_secret(text, "as a recipient", _NO_RECIPIENT)
        path = Path(text)
        lines = _list_lines(_read(path, lambda _: None, _NO_RECIPIENT))
        if len(lines) != 1:
            raise ConfigurationError(f"{path} does not hold one age recipient.", _NO_RECIPIENT)
        text = lines[0]
        _refuse_secret(text, f"in {path}, as a recipient", _NO_RECIPIENT)
    try:
        return parse_recipient(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{text[:24]}… is not an age recipient ({error}).", _NO_RECIPIENT
        ) from error


_NO_RECIPIENT: Final = (
    "Give the NAME.recipient file that `airgap key generate NAME --seal` made, or its content."
)
_NO_IDENTITY: Final = (
    "Give the NAME.identity file that `airgap key generate NAME --seal` made, or one of age-keygen."
)
_KEPT_IN_FILE: Final = (
    "Give the path of the NAME.identity file, or fd:N: other users can see a command line. If they"
    " may have seen this one, make another identity."
)


def _refuse_secret(text: str, how: str, hint: str) -> None:
    """Refuse a secret where something else belongs; it is in no message."""
    if text.upper().startswith(SECRET_BEGINNING):
        raise ConfigurationError(f"A secret age identity was given {how}.", hint)


def _parse_all(source: str) -> list[AgeIdentity]:
    if source.startswith(_DESCRIPTOR):
        data = _read_descriptor(source)
    else:
        _refuse_secret(source, "instead of its file", _KEPT_IN_FILE)
        data = _read(Path(source), lambda mode: _refuse_exposed(source, mode), _NO_IDENTITY)
    try:
        identities = [parse_identity(line) for line in _list_lines(data)]
    except ValueError as error:  # whose message never has the line: it may be a secret
        raise ConfigurationError(
            f"{source} has a line that is not an age identity ({error}).", _NO_IDENTITY
        ) from error
    if not identities:
        raise ConfigurationError(f"{source} holds no age identity.", _NO_IDENTITY)
    return identities


def _list_lines(data: bytes) -> list[str]:
    lines = [line.strip() for line in data.decode("utf-8", "replace").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _read(path: Path, check: Callable[[int], None], hint: str) -> bytes:
    """Read a small regular file; ``check`` is called with its mode before a byte is read."""
    try:
        with os.fdopen(open_without_waiting(path), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigurationError(f"{path} is not a regular file.", hint)
            check(mode)
            return file.read(limits.IDENTITY_BYTES)
    except FileNotFoundError as error:
        raise ConfigurationError(f"There is no file {path}.", hint) from error
    except IsADirectoryError as error:
        raise ConfigurationError(f"{path} is a folder.", hint) from error
    except OSError as error:
        raise StorageError(
            f"{path} cannot be read: {error.strerror}.", "Check the path."
        ) from error


def _read_descriptor(source: str) -> bytes:
    """Read an open file descriptor to its end, as a supervisor hands a secret over."""
    number = source.removeprefix(_DESCRIPTOR)
    try:
        with open(int(number), "rb", closefd=False) as file:
            return file.read(limits.IDENTITY_BYTES)
    except (ValueError, OSError) as error:
        raise ConfigurationError(
            f"There is no open file descriptor {number!r}.",
            "Open it in the shell, as in: airgap import … --identity fd:3 3< site.identity",
        ) from error


def _refuse_exposed(source: str, mode: int) -> None:
    if mode & _OTHERS_ACCESS:
        raise StorageError(
            f"The identity {source} can be read by others (mode {mode & 0o777:04o}).",
            f"Run: chmod 600 {source}",
        )
