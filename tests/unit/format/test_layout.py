"""Names inside a depot (format §8)."""

import pytest

from airgap.format import layout
from airgap.format.manifest import Pack

ID, KEY = "0a" * 32, "0b" * 32


def test_names_are_those_of_the_specification() -> None:
    assert layout.manifest_name(ID) == f"bundles/{ID}/manifest.msgpack"
    assert layout.envelope_file("builder", KEY) == f"builder.{KEY}.dsse"
    assert layout.envelope_name(ID, "builder", KEY) == f"bundles/{ID}/builder.{KEY}.dsse"
    assert layout.pack_name(bytes.fromhex(ID)) == f"packs/0a/{ID}.pack"
    assert layout.checksums_name(ID) == f"bundles/{ID}/checksums.txt"


def test_names_are_read_as_they_were_made() -> None:
    assert layout.parse_manifest_name(layout.manifest_name(ID)) == ID
    assert layout.parse_envelope_file(layout.envelope_file("approver", KEY)) == ("approver", KEY)


@pytest.mark.parametrize(
    "name",
    [
        "",
        f"bundles/{ID}/manifest.msgpack\n",
        f"bundles/{ID.upper()}/manifest.msgpack",
        f"bundles/{ID}/../manifest.msgpack",
        f"/bundles/{ID}/manifest.msgpack",
        f"x/bundles/{ID}/manifest.msgpack",
        f"bundles/{ID}/manifestxmsgpack",
    ],
)
def test_another_name_is_no_manifests(name: str) -> None:
    assert layout.parse_manifest_name(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        f"builder.{KEY}.dsse.part",
        f"builder.{KEY}.DSSE",
        f"builder.{KEY[:-1]}.dsse",
        f"admin.{KEY}.dsse",
        f"../builder.{KEY}.dsse",
        f"builder.{KEY}.dsse\n",
        f"builder{KEY}.dsse",
    ],
)
def test_another_name_is_no_envelopes(name: str) -> None:
    assert layout.parse_envelope_file(name) is None


def test_checksums_are_what_sha256sum_reads() -> None:
    packs = [Pack(bytes([number]) * 32, 1, ()) for number in (2, 1)]

    assert layout.list_checksums(ID, packs).decode().splitlines() == [
        f"{ID}  bundles/{ID}/manifest.msgpack",
        f"{'02' * 32}  packs/02/{'02' * 32}.pack",
        f"{'01' * 32}  packs/01/{'01' * 32}.pack",
    ]
