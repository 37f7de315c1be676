"""What is read of the responses of S3, and what is not."""

import pytest

from airgap.transport.content_range import parse_content_range
from airgap.transport.s3 import answers
from airgap.transport.s3.bucket import Page

XMLNS = b'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def listing(content: bytes) -> bytes:
    return b"<?xml version='1.0'?><ListBucketResult %s>%s</ListBucketResult>" % (XMLNS, content)


def test_the_keys_of_a_listing_are_read() -> None:
    body = listing(
        b"<Name>b</Name><Prefix>Key</Prefix><IsTruncated>false</IsTruncated>"
        b"<Contents><Key>a&amp;b</Key><Owner><DisplayName>Key</DisplayName></Owner></Contents>"
        b"<Contents><Size>1</Size><Key>c</Key></Contents><CommonPrefixes><Key>no</Key>"
        b"</CommonPrefixes>"
    )

    assert answers.parse_listing(body) == Page(("a&b", "c"))


def test_a_listing_says_how_it_goes_on() -> None:
    more = b"<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"

    assert answers.parse_listing(listing(more)) == Page((), "t")


def test_prefixes_of_names_do_not_matter() -> None:
    body = b"<a:ListBucketResult xmlns:a='x'><a:Contents><a:Key>k</a:Key></a:Contents>"

    assert answers.parse_listing(body + b"</a:ListBucketResult>") == Page(("k",))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<ListBucketResult>",
        b"<Other><Contents><Key>a</Key></Contents></Other>",
        listing(b"<IsTruncated>true</IsTruncated>"),
        listing(
            b"<IsTruncated>true</IsTruncated><NextContinuationToken>"
            + b"t" * 5000
            + b"</NextContinuationToken>"
        ),
        listing(b"<IsTruncated>true</IsTruncated>" * 2),
        listing(b"<a>" * 9 + b"</a>" * 9),
        listing(b"<Contents><Key>a</Key></Contents>" * 1001),
        b"<!DOCTYPE x>" + listing(b""),
        listing(b"<Contents><Key>\xff</Key></Contents>"),
        b'<!DOCTYPE x [<!ENTITY e "x">]>' + listing(b"<Contents><Key>&e;</Key></Contents>"),
        listing(b"<Contents><Key>&e;</Key></Contents>"),
    ],
)
def test_what_is_not_a_listing_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        answers.parse_listing(body)


@pytest.mark.parametrize("encoding", ["foo", "hex", "rot13", "idna", "utf-7", "cp037", "utf-16"])
def test_a_listing_is_utf_8_whatever_it_declares(encoding: str) -> None:
    declared = listing("<Contents><Key>ä</Key></Contents>".encode()).replace(
        b"'1.0'", f"'1.0' encoding='{encoding}'".encode()
    )

    assert answers.parse_listing(declared) == Page(("ä",))


def test_the_id_of_an_upload_is_read() -> None:
    assert answers.parse_upload_id(b"<R><Key>k</Key><UploadId>a/b+c</UploadId></R>") == "a/b+c"


@pytest.mark.parametrize(
    "body", [b"", b"<R/>", b"<R><UploadId/></R>", b"<R><a><UploadId>x</UploadId></a></R>"]
)
def test_an_upload_without_an_id_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        answers.parse_upload_id(body)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<Error><Code>NoSuchKey</Code></Error>", "NoSuchKey"),
        (b"<Error><Code>\x1b[2Jx</Code></Error>", ""),
        (b"<Error><Code>" + b"x" * 41 + b"</Code></Error>", ""),
        (b"", ""),
    ],
)
def test_a_code_is_one_short_word(body: bytes, code: str) -> None:
    assert answers.parse_code(body) == code


def test_a_range_is_read() -> None:
    assert parse_content_range("bytes 2-4/10") == (2, 5, 10)


@pytest.mark.parametrize(
    "text", ["", "bytes */10", "bytes 4-2/10", "bytes 2-10/10", "bytes 0-9/*", "bytes ²-4/10"]
)
def test_what_is_not_a_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a range"):
        parse_content_range(text)
