"""Marks and sweeps of a depot (format §23)."""

import pytest

from airgap.errors import CorruptError
from airgap.format import canonical, gc_markers, layout

GOOD = {"format": 1, "names": ["a", "b"], "times": [1, 2]}


def test_marks_and_sweeps_survive_their_encoding() -> None:
    since = {"packs/b": 2, "packs/a": 1}

    assert gc_markers.decode_marks(gc_markers.encode_marks(since)) == since
    assert gc_markers.decode_sweep(gc_markers.encode_sweep(["y", "x"])) == {"x", "y"}


@pytest.mark.parametrize(
    "value",
    [
        {**GOOD, "format": 2},
        {**GOOD, "times": [1]},
        {**GOOD, "times": [1, "2"]},
        {**GOOD, "times": [1, 2**52]},
        {**GOOD, "names": ["a", 1]},
        {**GOOD, "more": 1},
        [],
    ],
)
def test_marks_that_do_not_fit_together_are_refused(value: object) -> None:
    with pytest.raises(CorruptError):
        gc_markers.decode_marks(canonical.encode(value))


@pytest.mark.parametrize(
    "value",
    [
        {"format": 2, "names": []},
        {"format": 1, "names": [1]},
        {"format": 1, "names": ["a"] * 1001},
        {"format": 1},
    ],
)
def test_a_sweep_that_names_no_files_is_refused(value: object) -> None:
    with pytest.raises(CorruptError):
        gc_markers.decode_sweep(canonical.encode(value))


@pytest.mark.parametrize(
    ("name", "is_known"),
    [
        (layout.MANIFEST, True),
        ("checksums.txt", True),
        ("parity.msgpack.0123456789abcdef.part", True),
        (layout.envelope_file("builder", "a" * 64), True),
        (layout.attestation_file("approver", "a" * 64), True),
        (f"{'a' * 64}.model.sig", True),
        ("notes.txt", False),
        ("builder.short.dsse", False),
        ("", False),
    ],
)
def test_only_files_of_the_format_are_a_bundles_own(name: str, is_known: bool) -> None:  # noqa: FBT001
    assert layout.is_bundle_file(name) is is_known
