"""Labels, and what needs reader 2 (format §4.1, §4.4)."""

from typing import Any

import pytest

from airgap.errors import CorruptError, PolicyError
from airgap.format import canonical, limits, manifest
from airgap.format.labels import label_problem
from tests.support import forge

LABELS = {"classification": "VS: nur für den Dienstgebrauch", "project": "ranker 2"}
OTHER = b"\1" * 32


def decode(**fields: object) -> manifest.Manifest:
    return manifest.decode(forge.draft(forge.model({}), **fields).raw())


def test_labels_are_decoded_and_encoded_as_they_were() -> None:
    made = decode(labels=LABELS, reader=2)

    assert made.labels == LABELS
    assert manifest.decode(manifest.encode(made)) == made


def test_a_bundle_without_labels_has_the_bytes_of_version_1() -> None:
    raw = forge.draft(forge.model({})).raw()

    value = canonical.decode(raw, limit=limits.MANIFEST_BYTES, what="manifest")

    assert manifest.encode(manifest.decode(raw)) == raw
    assert value["reader"] == 1
    assert not {"labels", "completes"} & value.keys()


def test_the_bundle_that_it_completes_is_decoded_and_encoded_as_it_was() -> None:
    made = decode(completes=OTHER, reader=2)

    assert made.completes == OTHER
    assert manifest.decode(manifest.encode(made)) == made


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {f"label{number}": "x" for number in range(33)},
        {"Classification": "open"},
        {"": "open"},
        {"latest": "open"},
        {"n" * 64: "open"},
        {"classification": ""},
        {"classification": "x" * 129},
        {"classification": " open"},
        {"classification": "open "},
        {"classification": "open\nsecret"},
        {"classification": "\u202eterces"},
        {"classification": "fu\u0308r"},
        {"classification": 1},
        {"classification": None},
        [],
        None,
    ],
    ids=repr,
)
def test_a_label_that_breaks_a_rule_is_refused(labels: Any) -> None:  # noqa: ANN401
    with pytest.raises(CorruptError):
        decode(labels=labels, reader=2)


@pytest.mark.parametrize("value", [None, b"", b"1" * 31, b"1" * 33, "1" * 32])
def test_what_is_completed_is_named_by_32_bytes(value: object) -> None:
    with pytest.raises(CorruptError):
        decode(completes=value, reader=2)


def test_a_bundle_that_completes_another_has_no_number() -> None:
    with pytest.raises(CorruptError, match="number"):
        decode(completes=OTHER, reader=2, sequence=7)


@pytest.mark.parametrize("fields", [{"labels": LABELS}, {"completes": OTHER}])
def test_what_an_older_reader_does_not_know_says_so(fields: dict[str, Any]) -> None:
    with pytest.raises(CorruptError, match="'reader'"):
        decode(**fields, reader=1)
    with pytest.raises(PolicyError, match="version 3"):
        decode(**fields, reader=3)


def test_a_reader_without_a_cause_needs_a_newer_version() -> None:
    with pytest.raises(PolicyError, match="version 2") as caught:
        decode(reader=2)

    assert "newer airgap" in caught.value.hint


@pytest.mark.parametrize("reader", [0, True, -1, "2"])
def test_no_other_reader_is_read(reader: object) -> None:
    fields: dict[str, object] = {"reader": forge.Verbatim(b"\xff") if reader == -1 else reader}

    with pytest.raises(CorruptError):
        decode(**fields)


def test_a_value_may_have_any_character_that_can_be_seen() -> None:
    assert label_problem("classification", "機密 (1) / «x»") is None
