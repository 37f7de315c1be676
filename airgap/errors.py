"""The exception tree. Every leaf has one kind and one exit code.

    AirgapError                  1    a bug in airgap
    ├── UsageError               2    usage
    ├── ConfigurationError       3    configuration
    ├── CorruptError            10    corrupt
    ├── NotTrustedError         11    not-trusted
    ├── PolicyError             12    policy
    ├── MissingError            13    missing
    ├── ConflictError           14    conflict
    ├── StorageError            15    storage
    ├── TransportError          16    transport
    └── InterruptedByUser      130    interrupted

A message is one sentence that tells what happened; a hint is one that tells what to do.
"""

from collections.abc import Sequence
from typing import ClassVar, Self

__all__ = [
    "AirgapError",
    "CommandLine",
    "ConfigurationError",
    "ConflictError",
    "CorruptError",
    "InterruptedByUser",
    "MissingError",
    "NotTrustedError",
    "PolicyError",
    "StorageError",
    "TransportError",
    "UsageError",
]


class CommandLine(str):
    """A line that is to be copied to a shell or into a file; it is printed on one row."""

    __slots__ = ()


class AirgapError(Exception):
    """A bug in airgap, and the parent of everything airgap raises on purpose."""

    kind: ClassVar[str] = "bug"
    exit_code: ClassVar[int] = 1
    meaning: ClassVar[str] = "a bug in airgap"

    def __init__(self, message: str, hint: str = "", details: Sequence[str] = ()) -> None:
        """Take what happened, what to do, and optional lines with details."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = tuple(details)

    def reword(
        self, message: str, hint: str | None = None, details: Sequence[str] | None = None
    ) -> Self:
        """Return this error in other words: of the same class, and with all else that it has.

        Not by calling the class, because some are made of other things than words.
        """
        error = type(self).__new__(type(self))
        error.__dict__.update(self.__dict__)
        error.args = (message,)
        error.message = message
        error.hint = self.hint if hint is None else hint
        error.details = self.details if details is None else tuple(details)
        return error


class UsageError(AirgapError):
    """The command line or the arguments of a call are wrong."""

    kind = "usage"
    exit_code = 2
    meaning = "the command was not understood"


class ConfigurationError(AirgapError):
    """This machine is not set up for the command: no key, no root, a bad config file."""

    kind = "configuration"
    exit_code = 3
    meaning = "this machine is not set up for it (key, root, config file, missing package)"


class CorruptError(AirgapError):
    """Bytes differ from the signed manifest, or are not in the format."""

    kind = "corrupt"
    exit_code = 10
    meaning = "bytes are damaged, or not in the format"


class NotTrustedError(AirgapError):
    """The signatures do not satisfy the site's root."""

    kind = "not-trusted"
    exit_code = 11
    meaning = "unsigned, unknown signer, bad signature, or too few signers"


class PolicyError(AirgapError):
    """Signed as required, but not accepted by this site: audience, expiry, version."""

    kind = "policy"
    exit_code = 12
    meaning = "signed, but not acceptable here (audience, expiry, sequence, version)"


class MissingError(AirgapError):
    """A model, pack, bundle or file that is needed is missing."""

    kind = "missing"
    exit_code = 13
    meaning = "something needed is missing (Bento, model, pack, file)"


class ConflictError(AirgapError):
    """The same tag already exists with different content."""

    kind = "conflict"
    exit_code = 14
    meaning = "the same tag already exists with different content"


class StorageError(AirgapError):
    """A file operation failed: disk full, not permitted, I/O error, or changed while being read."""

    kind = "storage"
    exit_code = 15
    meaning = "disk error: full, not permitted, read-only, I/O error, file changed while being read"


class TransportError(AirgapError):
    """A transport failed or is not supported."""

    kind = "transport"
    exit_code = 16
    meaning = "the transport failed or is not supported"


class InterruptedByUser(AirgapError):  # noqa: N818  (not an error)
    """Ctrl-C or SIGTERM."""

    kind = "interrupted"
    exit_code = 130
    meaning = "stopped by Ctrl-C or SIGTERM"
