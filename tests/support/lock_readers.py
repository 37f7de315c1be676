"""What a server says of locks and versions, as readers of untrusted bytes (format §37)."""

from collections.abc import Callable
from typing import Final

from airgap.errors import TransportError
from airgap.transport.s3 import lock_answers
from tests.support.reader import Reader

__all__ = ["READERS"]

_SETTINGS: Final = (
    b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>"
    b"<DefaultRetention><Mode>GOVERNANCE</Mode><Days>30</Days></DefaultRetention></Rule>"
    b"</ObjectLockConfiguration>"
)
_RETENTION: Final = (
    b"<Retention><Mode>COMPLIANCE</Mode>"
    b"<RetainUntilDate>2036-11-30T01:02:03.456Z</RetainUntilDate></Retention>"
)
_VERSIONS: Final = (
    b"<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>a</NextKeyMarker>"
    b"<NextVersionIdMarker>1</NextVersionIdMarker><DeleteMarker><Key>a</Key>"
    b"<VersionId>2</VersionId><IsLatest>true</IsLatest><LastModified>x</LastModified>"
    b"</DeleteMarker><Version><Key>a</Key><VersionId>1</VersionId><IsLatest>false</IsLatest>"
    b"<LastModified>x</LastModified><ETag>e</ETag><Size>3</Size></Version></ListVersionsResult>"
)
_WORDS: Final = (
    *(b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"<Days>99999999999999999999</Days>", b"<Years>1</Years>"),
    *(b"0000-00-00T00:00:00Z", b"9999-12-31T23:59:60Z", b"<Mode>X</Mode>", b"<Size>-1</Size>"),
    *(b"<Key>../a</Key>", b"<![CDATA[", b"]]>", b"&#10;"),
)


def _read(parser: Callable[[bytes], object]) -> Callable[[bytes], None]:
    def read(raw: bytes) -> None:
        try:
            parser(raw)
        except ValueError as error:
            raise TransportError("It is not S3.", "Check the endpoint.") from error

    return read


def _read_versions(raw: bytes) -> None:
    page = lock_answers.parse_versions(raw)
    assert all(version.size is None or version.size >= 0 for version in page.versions)


READERS: Final = {
    "settings of locks in S3": Reader(
        _read(lock_answers.parse_lock_settings), (TransportError,), lambda: [_SETTINGS], _WORDS
    ),
    "locks in S3": Reader(
        _read(lock_answers.parse_retention), (TransportError,), lambda: [_RETENTION], _WORDS
    ),
    "versions in S3": Reader(_read(_read_versions), (TransportError,), lambda: [_VERSIONS], _WORDS),
}
