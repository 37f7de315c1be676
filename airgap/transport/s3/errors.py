"""What the S3 library's errors mean, told without repeating what the server said.

The library gives no status and no code of its own: both are taken from its message. That message
also holds the server's whole answer, which may echo what it was sent, so nothing but the code, one
short word, is told on.
"""

import re
from typing import Final

from airgap.errors import AirgapError, MissingError, StorageError, TransportError
from airgap.transport.port import TransientError
from airgap.transport.s3.options import S3Options

__all__ = ["DEAD_PROXY", "FORBIDDEN", "PAST_THE_END", "explain", "parse_code", "parse_status"]

DEAD_PROXY: Final = "127.0.0.1:0"
"""Where the library is told to go for every host but the one: nobody can listen there."""

FORBIDDEN: Final = (401, 403)
PAST_THE_END: Final = 416

_STATUS: Final = re.compile(r"\bstatus: ([1-5][0-9]{2})\b|status code: ([1-5][0-9]{2})\b")
_CODE: Final = re.compile(r"<Code>([A-Za-z][A-Za-z0-9]{0,39})</Code>")
_PERMISSIONS: Final = {
    "look at": "s3:GetObject and s3:ListBucket",
    "read": "s3:GetObject",
    "list": "s3:ListBucket",
    "write": "s3:PutObject and s3:AbortMultipartUpload",
    "delete": "s3:DeleteObject",
}
_FORBIDDEN_HINTS: Final = {
    "SignatureDoesNotMatch": "The secret key is not the one of this access key.",
    "InvalidAccessKeyId": "The server does not know this access key: is it for another server?",
    "ExpiredToken": "The session is over: get new credentials.",
    "InvalidToken": "The session token is not valid: get new credentials.",
    "RequestTimeTooSkewed": "Set this machine's clock: it differs too much from the server's.",
    "AuthorizationHeaderMalformed": "The region is not the right one.",
}
_FULL: Final = {"QuotaExceeded", "InsufficientCapacity", "XMinioStorageFull", "EntityTooLarge"}
_BUSY_STATUS: Final = {408, 425, 429}
_DAMAGED: Final = {"BadDigest", "XAmzContentSHA256Mismatch", "InvalidDigest", "IncompleteBody"}
_BUSY: Final = _DAMAGED | {"SlowDown", "RequestTimeout", "OperationAborted", "NoSuchUpload"}
_REDIRECTED: Final = re.compile(rf"{DEAD_PROXY}|BareRedirect|following redirect|BadScheme")
_UNTRUSTED: Final = re.compile(r"InvalidCertificate\(|AlertReceived\(|InvalidMessage\(")
_RUN_AGAIN: Final = "Check the network, then run the same command again."
_INSUFFICIENT_STORAGE: Final = 507
_NOT_FOUND: Final = 404
_SERVER_ERROR: Final = 500
_REDIRECT: Final = 300
_CLIENT_ERROR: Final = 400


def explain(error: Exception, verb: str, options: S3Options, name: str) -> AirgapError:
    """Say what an error means that came when we were about to ``verb`` a name of a depot.

    Args:
        error: what the library raised.
        verb: one of ``look at``, ``read``, ``list``, ``write``, ``delete``.
        options: which depot that is.
        name: depot name, for what is missing.
    """
    status, code, place = parse_status(error), parse_code(error), options.place
    what = f"{place} answers {' '.join(filter(None, (str(status), code)))}"
    if code in _FULL or status == _INSUFFICIENT_STORAGE:
        return StorageError(
            f"{place} is full ({code or status}).", "Free space or raise the quota."
        )
    if status in FORBIDDEN:
        return _explain_forbidden(f"{what} when asked to {verb}.", verb, code, place)
    if status == _NOT_FOUND or isinstance(error, FileNotFoundError):
        return _explain_missing(code, place, name)
    if code in _BUSY or status >= _SERVER_ERROR or status in _BUSY_STATUS:
        return TransientError(f"{what}.", "It is busy or broken: run the same command again later.")
    if status >= _CLIENT_ERROR:
        return TransportError(f"{what} when asked to {verb}.", "Check endpoint, region and bucket.")
    return _explain_no_answer(str(error), options, redirected=status >= _REDIRECT)


def parse_status(error: Exception) -> int:
    """Return the HTTP status of an answer that was an error; 0 if there was no answer."""
    found = _STATUS.search(str(error))
    return int(found[1] or found[2]) if found else 0


def parse_code(error: Exception) -> str:
    """Return S3's code of an error, or the empty string."""
    found = _CODE.search(str(error))
    return found[1] if found else ""


def _explain_forbidden(message: str, verb: str, code: str, place: str) -> TransportError:
    missing = f"These credentials need the permission {_PERMISSIONS[verb]} for {place}."
    return TransportError(message, _FORBIDDEN_HINTS.get(code, missing))


def _explain_missing(code: str, place: str, name: str) -> AirgapError:
    if code == "NoSuchBucket":
        return TransportError(
            f"The bucket of {place} is not there.", "Check its name and the endpoint, or create it."
        )
    return MissingError(f"{place}/{name} is not there.", "Check the path, or upload it again.")


def _explain_no_answer(text: str, options: S3Options, *, redirected: bool) -> AirgapError:
    """Tell apart what has no status: refusals of our own, and broken connections."""
    place, server = options.place, options.endpoint_url
    if redirected or _REDIRECTED.search(text):
        return TransportError(
            f"{server} sends us to another server, which is not done.",
            "Check region and endpoint: give the address where the bucket really is.",
        )
    if _UNTRUSTED.search(text):
        return TransportError(
            f"{server} has no certificate that is trusted here for this host name.",
            "Give the CA's certificate as a PEM file, and the host name that the server has.",
        )
    if "InvalidPath" in text:
        return TransportError(
            f"{place} holds names that no depot has.", "Use a folder of its own for the depot."
        )
    if '"dns error"' in text:
        return TransientError(
            f"The host of {server} is not found.", "Check the endpoint, and how names are resolved."
        )
    if "HttpError" in text or "Http(" in text or "timed out" in text:
        return TransientError(f"The connection to {server} broke or stalled.", _RUN_AGAIN)
    return TransportError(
        f"{server} answers with something that is not S3.", "Check the endpoint and its port."
    )
