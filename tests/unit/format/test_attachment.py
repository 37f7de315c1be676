"""The names and limits of attachments (format §24)."""

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.format import layout, limits, tar
from airgap.format.attachment import (
    Allowance,
    attachment_file,
    is_reserved,
    name_foreign_file,
    parse_attachment_file,
)

KEY = "0a" * 32


def dsse(**changes: object) -> bytes:
    document = {
        "payload": "e30=",
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"keyid": KEY, "sig": "cw=="}],
    }
    return json.dumps(document | changes, indent=1).encode()


@pytest.mark.parametrize("kind", ["findings", "intoto.json", "tsr", "pem", "sha512"])
@pytest.mark.parametrize("name", ["scanner", "approver.rehearsal", "builder.2", "x", "a" * 20])
def test_a_name_is_parsed_as_it_was_made(name: str, kind: str) -> None:
    file = attachment_file(name, KEY, kind)

    assert parse_attachment_file(file) == kind
    assert layout.is_bundle_file(file)
    assert layout.is_bundle_file(f"{file}.0123456789abcdef.part")
    tar.make_header(f"bundles/{KEY}/{file}", 1)  # raises if the name does not fit
    assert tar.parse_header(tar.make_header(f"bundles/{KEY}/{file}", 1))


@pytest.mark.parametrize(
    "file",
    [
        f"{'a' * 21}.{KEY}.findings",
        f"{'a' * 24}.{KEY}.tsr",
        f"Scanner.{KEY}.findings",
        f".{KEY}.findings",
        f"a/b.{KEY}.findings",
        f"..{KEY}.findings",
        f"scanner.{KEY[:-1]}.findings",
        f"scanner.{KEY.upper()}.findings",
        f"scanner.{KEY}.exe",
        f"scanner.{KEY}.findings\n",
        f"scanner.{KEY}.attestation",
    ],
)
def test_another_name_is_no_attachment(file: str) -> None:
    assert parse_attachment_file(file) is None


def test_the_findings_lie_under_the_name_of_their_attestation() -> None:
    assert layout.findings_file(f"scanner.{KEY}.attestation") == f"scanner.{KEY}.findings"


def test_a_kind_has_a_limit_in_size_and_number() -> None:
    allowance = Allowance()
    files = [attachment_file(f"n{number}", KEY, "tsr") for number in range(65)]

    for file in files[:64]:
        assert allowance.limit(file) == limits.TIME_STAMP_BYTES
        allowance.take(file, 1)

    assert allowance.limit(files[64]) == 0
    assert allowance.limit(attachment_file("x", KEY, "findings")) == limits.FINDINGS_BYTES


def test_all_together_have_a_limit() -> None:
    allowance = Allowance()
    for number in range(4):
        allowance.take(attachment_file(f"n{number}", KEY, "findings"), 16 * limits.MIB - 1)

    assert allowance.limit(attachment_file("last", KEY, "findings")) == 4


def test_what_is_no_attachment_is_passed_over() -> None:
    assert Allowance().limit("manifest.msgpack") == 0


@pytest.mark.parametrize(
    ("path", "stem"),
    [
        ("model.sig", "model.sig"),
        ("Scan Report (1).JSON", "scan-report-1-.json"),
        ("multiple.intoto.jsonl", "multiple.intoto.json"),
        ("sample-1.0-py3-none-any.whl.publish.attestation", "sample-1.0-py3-none"),
        ("..", "file"),
        ("../../etc/passwd", "etc-passwd"),
        ("über", "ber"),
        ("\x1b[2J", "2j"),
        ("scanner.json", "file-scanner.json"),
        ("builder", "file-builder"),
        ("x.findings", "x"),
    ],
)
def test_a_file_of_others_has_a_name_of_its_own_and_its_digest(path: str, stem: str) -> None:
    digest = hashlib.sha256(b"data").hexdigest()

    assert ".".join(name_foreign_file(path, b"data")) == f"{stem}.{digest}.findings"


@given(st.text(max_size=40), st.binary(min_size=1, max_size=9))
@settings(max_examples=50)
def test_whatever_a_file_is_called_its_name_is_one_of_an_attachment(path: str, data: bytes) -> None:
    file = ".".join(name_foreign_file(path, data))

    assert parse_attachment_file(file)
    assert not is_reserved(file)
    assert "/" not in file


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (dsse(), f"x.{KEY}.intoto.json"),
        (dsse(signatures=[]), None),
        (dsse(signatures=[{"keyid": "x", "sig": "cw=="}]), ""),
        (dsse(signatures=[{"keyid": "../..", "sig": "cw=="}]), ""),
        (dsse(signatures=[{"sig": "cw=="}, {"keyid": KEY, "sig": "cw=="}]), ""),
        (dsse(payload=None), None),
        (dsse(payloadType=1), None),
        (b"[" * 100_000, None),
        (b"{}", None),
        (b"[]", None),
        (b"\xff", None),
        (dsse(signatures="x"), None),
        (dsse() * 2, None),
    ],
)
def test_an_envelope_is_named_by_its_key(data: bytes, expected: str | None) -> None:
    digest = hashlib.sha256(data).hexdigest()
    kind = "findings" if expected is None else "intoto.json"

    assert ".".join(name_foreign_file("x", data)) == (expected or f"x.{digest}.{kind}")


def test_a_time_stamp_is_known_by_the_end_of_its_name() -> None:
    digest = hashlib.sha256(b"stamp").hexdigest()

    assert name_foreign_file("a.TSR", b"stamp", "clock") == ("clock", digest, "tsr")
