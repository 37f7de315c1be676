"""Signs requests: AWS Signature Version 4, with the SHA-256 of the body in the signature.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import quote

from airgap.transport.s3.options import S3Keys

__all__ = ["encode_path", "encode_query", "hash_body", "sign"]

_ALGORITHM: Final = "AWS4-HMAC-SHA256"


def encode_path(path: str) -> str:
    """Encode a path as it is sent and signed: once, and all but unreserved characters."""
    return quote(path, safe="/-_.~")


def encode_query(query: Mapping[str, str]) -> str:
    """Encode a query as it is sent and signed: sorted, an empty value with its ``=``."""
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query.items()
    )
    return "&".join(f"{name}={value}" for name, value in pairs)


def hash_body(body: bytes | memoryview) -> str:
    """Return the SHA-256 of a body in hexadecimal digits."""
    return hashlib.sha256(body).hexdigest()


def sign(
    keys: S3Keys,
    region: str,
    request: tuple[str, str, str],
    headers: Mapping[str, str],
    now: datetime,
) -> dict[str, str]:
    """Return the headers of a request together with those that sign it.

    Args:
        keys: the account's.
        region: as the server knows it.
        request: method, encoded path and encoded query.
        headers: with ``host`` and ``x-amz-content-sha256``; names in lower case. All are signed.
        now: the time, in UTC.
    """
    time = now.strftime("%Y%m%dT%H%M%SZ")
    signed = {**headers, "x-amz-date": time}
    if keys.token:
        signed["x-amz-security-token"] = keys.token
    names = ";".join(sorted(signed))
    lines = [f"{name}:{signed[name].strip()}\n" for name in sorted(signed)]
    canonical = "\n".join([*request, "".join(lines), names, headers["x-amz-content-sha256"]])
    scope = f"{time[:8]}/{region}/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{keys.secret}".encode()
    for part in [*scope.split("/"), f"{_ALGORITHM}\n{time}\n{scope}\n{digest}"]:
        key = hmac.digest(key, part.encode(), "sha256")
    credential = f"{keys.identity}/{scope}"
    signed["authorization"] = (
        f"{_ALGORITHM} Credential={credential},SignedHeaders={names},Signature={key.hex()}"
    )
    return signed
