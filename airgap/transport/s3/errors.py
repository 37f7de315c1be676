"""Explains the refusals of a server without repeating its response, which may echo secrets."""

from typing import Final

from airgap.errors import AirgapError, MissingError, StorageError, TransportError
from airgap.transport.port import TransientError
from airgap.transport.s3.bucket import ResponseError
from airgap.transport.s3.options import S3Options

__all__ = ["CONFLICTS", "FORBIDDEN", "HIDDEN", "NOT_FOUND", "PAST_THE_END", "explain", "is_busy"]

FORBIDDEN: Final = (401, 403)
CONFLICTS: Final = (409, 412)
NOT_FOUND: Final = 404
PAST_THE_END: Final = 416
HIDDEN: Final = 405
"""To a request for a delete marker."""

_PERMISSIONS: Final = {
    "look at": "s3:GetObject and s3:ListBucket",
    "read": "s3:GetObject",
    "list": "s3:ListBucket",
    "write": "s3:PutObject and s3:AbortMultipartUpload",
    "delete": "s3:DeleteObject",
    "read the settings of": "s3:GetBucketObjectLockConfiguration and s3:GetBucketVersioning",
    "list the versions of": "s3:ListBucketVersions",
    "read a version of": "s3:GetObjectVersion",
    "read the lock of": "s3:GetObjectRetention",
    "lock": "s3:PutObjectRetention",
    "delete a version of": "s3:DeleteObjectVersion",
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
_NOT_BUSY: Final = {501, 505, 507}  # not implemented, HTTP version, full
_DAMAGED: Final = {"BadDigest", "XAmzContentSHA256Mismatch", "InvalidDigest", "IncompleteBody"}
_BUSY: Final = _DAMAGED | {"SlowDown", "RequestTimeout", "OperationAborted", "NoSuchUpload"}
_INSUFFICIENT_STORAGE: Final = 507
_SERVER_ERROR: Final = 500
_REDIRECT: Final = 300
_CLIENT_ERROR: Final = 400


def is_busy(status: int) -> bool:
    """Return whether a request may succeed if it is sent again."""
    return status in _BUSY_STATUS or (status >= _SERVER_ERROR and status not in _NOT_BUSY)


def explain(error: ResponseError, verb: str, options: S3Options, name: str) -> AirgapError:
    """Explain why a server refused a request.

    Args:
        error: its status and code.
        verb: what was attempted: one of ``_PERMISSIONS``.
        options: the bucket.
        name: the name of the object, for a missing one.
    """
    status, code, url = error.status, error.code, options.url
    response = f"{url} answered {error}"
    if code in _FULL or status == _INSUFFICIENT_STORAGE:
        return StorageError(f"{url} is full ({code or status}).", "Free space or raise the quota.")
    if status in FORBIDDEN or code in _FORBIDDEN_HINTS:  # Amazon answers 400 to an expired token
        return _explain_forbidden(f"{response} to the request to {verb}.", verb, code, url)
    if status == NOT_FOUND and code not in _BUSY:
        return _explain_missing(code, url, name)
    if code in _BUSY or is_busy(status):
        return TransientError(
            f"{response}.", "The server is busy or failing: run the same command again later."
        )
    if _REDIRECT <= status < _CLIENT_ERROR:
        return TransportError(
            f"{options.endpoint_url} redirects to another address ({status}), which is not"
            " followed.",
            "Check region and endpoint: give the address of the bucket itself.",
        )
    return TransportError(
        f"{response} to the request to {verb}.", "Check endpoint, region and bucket."
    )


def _explain_forbidden(message: str, verb: str, code: str, url: str) -> TransportError:
    missing = f"These credentials need the permission {_PERMISSIONS[verb]} for {url}."
    return TransportError(message, _FORBIDDEN_HINTS.get(code, missing))


def _explain_missing(code: str, url: str, name: str) -> AirgapError:
    if code == "NoSuchBucket":
        return TransportError(
            f"The bucket of {url} does not exist.", "Check its name and the endpoint, or create it."
        )
    return MissingError(f"{url}/{name} does not exist.", "Check the path, or upload it again.")
