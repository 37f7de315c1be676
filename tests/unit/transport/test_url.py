"""URLs are parsed, and never show a password."""

import pytest

from airgap.errors import AirgapError, TransportError, UsageError
from airgap.transport import url
from airgap.transport.url import RemoteUrl


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ftp://h/a/b/", RemoteUrl("ftp", "h", "a/b")),
        ("ftp://h//srv/x", RemoteUrl("ftp", "h", "/srv/x")),
        ("ftp://h", RemoteUrl("ftp", "h", "")),
        ("ftps://h:990/", RemoteUrl("ftps", "h", "", 990)),
        ("ftpes://[2001:db8::1]:2121/x", RemoteUrl("ftpes", "2001:db8::1", "x", 2121)),
        ("FTP://Host/Case", RemoteUrl("ftp", "host", "Case")),
        ("sftp://h/srv/x", RemoteUrl("sftp", "h", "/srv/x")),
        ("sftp://h/~/x/y", RemoteUrl("sftp", "h", "x/y")),
        ("sftp://h/", RemoteUrl("sftp", "h", "/")),
        ("sftp://h", RemoteUrl("sftp", "h", "")),
        ("s3://Bucket.of-mine/a/b/", RemoteUrl("s3", "Bucket.of-mine", "a/b")),
        ("https://h:8640/-/depot/", RemoteUrl("https", "h", "-/depot", 8640)),
        ("http://[::1]/a%20b", RemoteUrl("http", "::1", "a b")),
        ("file:///srv/x", RemoteUrl("file", "", "/srv/x")),
        ("file://localhost/srv/x", RemoteUrl("file", "", "/srv/x")),
        ("ftp://h/a%20b%23c/%C3%BC", RemoteUrl("ftp", "h", "a b#c/ü")),
        ("ftp://us%40er:p%40s%3As%2Fw@h/x", RemoteUrl("ftp", "h", "x", None, "us@er", "p@s:s/w")),
        ("ftp://user:@h/x", RemoteUrl("ftp", "h", "x", None, "user", "")),
        ("ftp://@h/x", RemoteUrl("ftp", "h", "x")),
        (
            "s3://b/x?region=eu&ca=/a%26b",
            RemoteUrl("s3", "b", "x", options={"region": "eu", "ca": "/a&b"}),
        ),
        ("sftp://h/x#0123abcd", RemoteUrl("sftp", "h", "/x", bundle="0123abcd")),
    ],
)
def test_a_url_is_parsed(text: str, expected: RemoteUrl) -> None:
    found = url.parse(text)

    assert (found, found.password) == (expected, expected.password)


@pytest.mark.parametrize(
    "text",
    [
        "ftp://user@h:2121/a/b",
        "ftp://h//srv/x",
        "ftpes://[2001:db8::1]/x",
        "sftp://h/srv/x",
        "sftp://u%40x@h/~/x%20y",
        "sftp://h",
        "s3://b/x",
        "file:///srv/x",
        "file:///srv/%FF",
    ],
)
def test_it_is_written_as_it_was_read(text: str) -> None:
    assert str(url.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "ftp:///x",
        "ftp://h:0/x",
        "ftp://h:65536/x",
        "ftp://h:abc/x",
        "ftp://-oProxyCommand=x/x",
        "ftp://h;x/x",
        "ftp://[::1/x",
        "ftp://h/../x",
        "ftp://h/a/%2e%2e/x",
        "ftp://h/%0d%0aDELE%20x",
        "ftp://h/%00",
        "ftp://h/a b",
        "ftp://u%0d%0aX:p@h/x",
        "ftp://h/%ff",
        "ftp://h/x#not-an-id",
        "ftp://h/x?a=1&a=2",
        "file://server/x",
        "file://\udced:pw@/x",
        "file://user@localhost/x",
        "sftp://\udced@h/x",
        "sftp://h/\udced",
    ],
)
def test_a_malformed_url_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        url.parse(text)
    assert caught.value.hint


def test_unknown_schemes_are_refused() -> None:
    with pytest.raises(TransportError, match="gopher:// is not supported"):
        url.parse("gopher://h/x")


@pytest.mark.parametrize(
    ("text", "way"),
    [
        *((f"{scheme}://models/ward", "with an HMAC key") for scheme in ("gs", "GCS")),
        *((f"{scheme}://models/ward", "azcopy") for scheme in ("az", "azure", "abfs", "abfss")),
    ],
)
def test_stores_that_do_not_speak_s3_are_refused_with_the_way_that_works(
    text: str, way: str
) -> None:
    with pytest.raises(TransportError, match="is not supported") as caught:
        url.parse(text)

    assert way in caught.value.hint
    assert "docs/object-stores.md" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "ftp://user:hunter2@h:bad/x",
        "ftp://user:hunter2@/x",
        "ftp://user:hun/hunter2@h/x",
        "ftp://user:hun#hunter2@h/x",
        "ftp://user:hun?hunter2@h/x",
        "ftp://user:hun@hunter2@h/../x",
        "ftp://user:hunter2@h/x#nothing",
        "gopher://user:hunter2@h/x",
        "ftp://user:hunter2%0d@h/x",
    ],
)
def test_no_error_shows_a_password(text: str) -> None:
    with pytest.raises(AirgapError) as caught:
        url.parse(text)

    assert "hunter2" not in f"{caught.value.message} {caught.value.hint} {caught.value!r}"


def test_the_text_of_a_url_has_no_password() -> None:
    parsed = url.parse("ftp://user:hunter2@h/x?a=b")

    assert parsed.password == "hunter2"  # noqa: S105  (a test's)
    assert "hunter2" not in f"{parsed} {parsed!r}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see ftp://u:hunter2@h/x and more", "see ftp://u:***@h/x and more"),
        ("ftp://u:hun/ter2@h/x", "ftp://u:***@h/x"),
        ("ftp://:hunter2@h/x", "ftp://:***@h/x"),
        ("sftp://h:22/a@b", "sftp://h:22/a@b"),
        ("sftp://u@h:22/a", "sftp://u@h:22/a"),
    ],
)
def test_passwords_in_texts_are_hidden(text: str, shown: str) -> None:
    assert url.hide_passwords(text) == shown


def test_a_character_that_is_percent_encoded_in_part_is_one() -> None:
    assert (
        url.parse("file:///\udce0%AF%AF").path == url.parse("file:///%E0%AF%AF").path == "/\u0bef"
    )
