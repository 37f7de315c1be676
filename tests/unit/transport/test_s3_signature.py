"""Requests are signed as Amazon's documents show it; its keys and numbers are examples."""

from datetime import UTC, datetime

import pytest

from airgap.transport.s3.options import S3Keys
from airgap.transport.s3.signature import encode_path, encode_query, hash_body, sign

KEYS = S3Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NOW = datetime(2013, 5, 24, tzinfo=UTC)
HOST = {"host": "examplebucket.s3.amazonaws.com"}
PUT = {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "body", "signature"),
    [
        (
            "GET",
            "/test.txt",
            {},
            {"range": "bytes=0-9"},
            b"",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            "/test$file.text",
            {},
            PUT,
            b"Welcome to Amazon S3.",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET",
            "/",
            {"lifecycle": ""},
            {},
            b"",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "GET",
            "/",
            {"prefix": "J", "max-keys": "2"},
            {},
            b"",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_a_request_is_signed_as_in_the_documents(
    method: str,
    path: str,
    query: dict[str, str],
    headers: dict[str, str],
    body: bytes,
    signature: str,
) -> None:
    request = (method, encode_path(path), encode_query(query))
    given = {**HOST, **headers, "x-amz-content-sha256": hash_body(body)}

    signed = sign(KEYS, "us-east-1", request, given, NOW)

    assert signed["authorization"].endswith(f",Signature={signature}")
    assert signed["x-amz-date"] == "20130524T000000Z"


def test_a_session_token_is_signed_too() -> None:
    keys = S3Keys("id", "secret", "token")

    signed = sign(keys, "r", ("GET", "/", ""), {**HOST, "x-amz-content-sha256": ""}, NOW)

    assert signed["x-amz-security-token"] == "token"
    assert "x-amz-security-token," in signed["authorization"]


def test_only_what_is_unreserved_is_sent_as_it_is() -> None:
    assert encode_path("/b/a b~c+ü$") == "/b/a%20b~c%2B%C3%BC%24"
    assert encode_query({"b": "/", "a": "~ "}) == "a=~%20&b=%2F"
