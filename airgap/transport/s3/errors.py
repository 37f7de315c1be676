"""Translates the S3 library's errors without repeating the server's response.

The library provides neither status nor code: both are parsed from its message. That message also
contains the server's whole response, which may echo what it was sent, so only the code, one short
word, is shown.
"""

import re
from typing import Final

from airgap.errors import AirgapError, MissingError, StorageError, TransportError
from airgap.transport.port import TransientError
from airgap.transport.s3.options import S3Options

__all__ = ["DEAD_PROXY", "FORBIDDEN", "PAST_THE_END", "explain", "parse_code", "parse_status"]

DEAD_PROXY: Final = "127.0.0.1:0"
"""The proxy configured for every host but the one: nothing can listen there."""

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
    "InvalidAccessKeyId": "The server does not know this access key.",
    "ExpiredToken": "The session has expired: get new credentials.",
    "InvalidToken": "The session token is not valid: get new credentials.",
    "RequestTimeTooSkewed": "Set this machine's clock: it differs too much from the server's.",
    "AuthorizationHeaderMalformed": "The region is wrong.",
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
    """Translate an error of a request.

    Args:
        error: what the library raised.
        verb: what was attempted: one of ``look at``, ``read``, ``list``, ``write``, ``delete``.
        options: the bucket.
        name: the name of the object, for a missing one.
    """
    status, code, url = parse_status(error), parse_code(error), options.url
    response = f"{url} answered {' '.join(filter(None, (str(status), code)))}"
    if code in _FULL or status == _INSUFFICIENT_STORAGE:
        return StorageError(f"{url} is full ({code or status}).", "Free space or raise the quota.")
    if status in FORBIDDEN:
        return _explain_forbidden(f"{response} to the request to {verb}.", verb, code, url)
    if status == _NOT_FOUND or isinstance(error, FileNotFoundError):
        return _explain_missing(code, url, name)
    if code in _BUSY or status >= _SERVER_ERROR or status in _BUSY_STATUS:
        return TransientError(
            f"{response}.", "The server is busy or failing: run the same command again later."
        )
    if status >= _CLIENT_ERROR:
        return TransportError(
            f"{response} to the request to {verb}.", "Check endpoint, region and bucket."
        )
    return _explain_no_answer(str(error), options, redirected=status >= _REDIRECT)


def parse_status(error: Exception) -> int:
    """Return the HTTP status of an error; 0 if there was no response."""
    match = _STATUS.search(str(error))
    return int(match[1] or match[2]) if match else 0


def parse_code(error: Exception) -> str:
    """Return the S3 code of an error, or the empty string."""
    match = _CODE.search(str(error))
    return match[1] if match else ""


def _explain_forbidden(message: str, verb: str, code: str, url: str) -> TransportError:
    missing = f"These credentials need the permission {_PERMISSIONS[verb]} for {url}."
    return TransportError(message, _FORBIDDEN_HINTS.get(code, missing))


def _explain_missing(code: str, url: str, name: str) -> AirgapError:
    if code == "NoSuchBucket":
        return TransportError(
            f"The bucket of {url} does not exist.", "Check its name and the endpoint, or create it."
        )
    return MissingError(f"{url}/{name} does not exist.", "Check the path, or upload it again.")


def _explain_no_answer(text: str, options: S3Options, *, redirected: bool) -> AirgapError:
    """Translate an error without a status: a refusal by this client, or a broken connection."""
    url, server = options.url, options.endpoint_url
    if redirected or _REDIRECTED.search(text):
        return TransportError(
            f"{server} redirects to another server, which is not followed.",
            "Check region and endpoint: give the address of the bucket itself.",
        )
    if _UNTRUSTED.search(text):
        return TransportError(
            f"{server} has no certificate that is trusted for this host name.",
            "Give the CA's certificate as a PEM file, and the host name of the certificate.",
        )
    if "InvalidPath" in text:
        return TransportError(
            f"{url} contains names that are not a depot's.",
            "Use a folder of its own for the depot.",
        )
    if '"dns error"' in text:
        return TransientError(
            f"The host of {server} cannot be resolved.", "Check the endpoint, and DNS."
        )
    if "HttpError" in text or "Http(" in text or "timed out" in text:
        return TransientError(f"The connection to {server} broke or stalled.", _RUN_AGAIN)
    return TransportError(
        f"{server} does not answer as an S3 server.", "Check the endpoint and its port."
    )
