"""The names and limits of attachments (format §24)."""

import pytest

from airgap.format import layout, limits, tar
from airgap.format.attachment import Allowance, attachment_file, parse_attachment_file

KEY = "0a" * 32


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
