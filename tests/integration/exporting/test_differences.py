"""A new version that ships what changed, and an importer that has the old one, or has it not."""

import json
import os
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from airgap.errors import MissingError, NotTrustedError, UsageError
from airgap.flow.chunks import chunk_sources
from airgap.flow.chunks.chunk_sources import BaseBundle
from airgap.format import want as wants
from tests.support import refusals, sides, stores, zip_files
from tests.support.sides import Side, Site


def weights(seed: int, count: int = 400_000) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    drawn = np.random.Generator(np.random.PCG64(seed)).standard_normal(count)
    return (drawn * 0.02).astype("<f4")


def safetensors(tensors: Mapping[str, bytes], note: str = "") -> bytes:
    header: dict[str, object] = {"__metadata__": {"note": note}}
    at = 0
    for name, data in tensors.items():
        offsets = [at, at + len(data)]
        header[name] = {"dtype": "F32", "shape": [len(data) // 4], "data_offsets": offsets}
        at += len(data)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(tensors.values())


OLD = {"a": weights(1).tobytes(), "b": weights(2).tobytes(), "c": weights(3).tobytes()}
NUDGED = OLD | {"b": (weights(2) + 0.0001 * weights(9)).astype("<f4").tobytes()}
REPLACED = OLD | {"b": weights(4).tobytes()}
VERSIONS = {
    "v1": safetensors(OLD),
    "nudged": safetensors(NUDGED, "fine-tuned, with a longer header"),
    "replaced": safetensors(REPLACED),
}


@pytest.fixture
def sender(tmp_path: Path) -> Side:
    side = Side(tmp_path / "connected")
    for version, data in VERSIONS.items():
        stores.add_model(
            side, f"tuned:{version}", {"model.safetensors": data, "config.json": b"{}"}
        )
    return side


@pytest.fixture
def receiver(tmp_path: Path, site: Site) -> Side:
    side = Side(tmp_path / "isolated")
    sides.trust(side, site)
    return side


def export(sender: Side, site: Site, version: str, out: Path, *more: str | Path) -> int:
    """Export a version; return the bytes of its packs."""
    arguments = ("--model", f"tuned:{version}", "-o", out, "--key", site.key(), "--json")
    ran = sender.run("export", *arguments, *more)
    assert ran.code == 0, ran.err
    return int(ran.json["stored_size"])


def installed(receiver: Side, version: str) -> bytes:
    return (receiver.bentoml / "models" / "tuned" / version / "model.safetensors").read_bytes()


@pytest.mark.parametrize(("version", "share"), [("nudged", 0.27), ("replaced", 0.335)])
@pytest.mark.parametrize("form", ["depot", "old.airgap"])
def test_a_new_version_ships_what_changed(
    sender: Side, receiver: Side, site: Site, tmp_path: Path, version: str, share: float, form: str
) -> None:
    old, new = tmp_path / form, tmp_path / "new.airgap"
    whole = export(sender, site, "v1", old)

    stored = export(sender, site, version, new, "--base", old)

    assert receiver.run("import", old).code == 0
    assert stored < share * whole + 2000
    assert receiver.run("verify", new).code == 0
    assert receiver.run("import", new).code == 0
    assert installed(receiver, version) == VERSIONS[version]


def test_an_item_that_did_not_change_is_verified_with_what_is_here(
    sender: Side, receiver: Side, site: Site, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new.airgap"
    export(sender, site, "v1", old)
    export(sender, site, "v1", new, "--model", "tuned:nudged", "--base", old)

    assert receiver.run("verify", new, "--depot", old).code == 0
    refused = refusals.expect_refusal(receiver, "verify", new, error=MissingError)
    assert refused.json["error"]["message"].startswith("The packs are intact, but")
    receiver.run("import", old)
    assert receiver.run("verify", new).code == 0


def test_an_import_does_not_fail_for_a_manifest_that_cannot_be_kept(
    sender: Side, receiver: Side, site: Site, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new.airgap"
    export(sender, site, "v1", old)
    export(sender, site, "nudged", new, "--base", old)
    (receiver.state / "manifests").write_bytes(b"in the way")

    ran = receiver.run("import", old)

    assert ran.code == 0
    assert "manifest and signatures could not be kept" in ran.err
    assert receiver.run("import", new).code == 0
    assert installed(receiver, "nudged") == VERSIONS["nudged"]


def test_a_manifest_alone_says_what_the_other_side_has(
    sender: Side, receiver: Side, site: Site, tmp_path: Path
) -> None:
    whole = export(sender, site, "v1", tmp_path / "old")
    (manifest,) = (tmp_path / "old").glob("bundles/*/manifest.msgpack")
    shutil.copy(manifest, tmp_path / "alone.msgpack")
    receiver.run("import", tmp_path / "old")

    stored = export(
        sender, site, "nudged", tmp_path / "new.airgap", "--base", tmp_path / "alone.msgpack"
    )

    assert stored < 0.3 * whole
    assert receiver.run("import", tmp_path / "new.airgap").code == 0
    assert installed(receiver, "nudged") == VERSIONS["nudged"]


def test_the_same_difference_is_the_same_bytes(sender: Side, site: Site, tmp_path: Path) -> None:
    export(sender, site, "v1", tmp_path / "old")
    made = []
    for name, jobs in (("one.airgap", "1"), ("two.airgap", "4")):
        export(sender, site, "nudged", tmp_path / name, "--base", tmp_path / "old", "--jobs", jobs)
        made.append((tmp_path / name).read_bytes())

    assert made[0] == made[1]


def test_differences_are_imported_in_any_order_that_has_what_they_need(
    sender: Side, receiver: Side, site: Site, tmp_path: Path
) -> None:
    old, middle, last = (tmp_path / name for name in ("old", "middle.airgap", "last.airgap"))
    export(sender, site, "v1", old)
    export(sender, site, "nudged", middle, "--base", old)
    export(sender, site, "replaced", last, "--base", old, "--base", middle)

    assert receiver.run("import", last).code == 13
    assert receiver.run("import", last, "--depot", old).code == 0
    assert receiver.run("import", middle).code == 13
    assert receiver.run("import", old).code == 0
    assert receiver.run("import", middle).code == 0

    assert all(installed(receiver, version) == VERSIONS[version] for version in VERSIONS)


def test_a_chain_of_differences_is_followed_through_depots(
    sender: Side,
    receiver: Side,
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, middle, last = (tmp_path / name for name in ("old.airgap", "middle.airgap", "last.airgap"))
    stores.add_model(
        sender,
        "tuned:twice",
        {
            "model.safetensors": safetensors(
                NUDGED | {"b": (weights(2) + 0.0002 * weights(9)).astype("<f4").tobytes()}
            ),
            "config.json": b"{}",
        },
    )
    export(sender, site, "v1", old)
    export(sender, site, "nudged", middle, "--base", old)
    stored = export(sender, site, "twice", last, "--base", middle)

    read, packs = chunk_sources._read_pack, []

    def counted(base: BaseBundle, index: int) -> bytes | None:
        packs.append(index)
        return read(base, index)

    monkeypatch.setattr(chunk_sources, "_read_pack", counted)
    ran = receiver.run("import", last, "--depot", middle, "--depot", old)

    assert ran.code == 0, ran.err
    assert packs == [0, 0]  # of each once, not of both in turn for every chunk
    assert stored < (tmp_path / "old.airgap").stat().st_size / 3
    assert (
        installed(receiver, "twice")
        == (sender.bentoml / "models" / "tuned" / "twice" / "model.safetensors").read_bytes()
    )


@pytest.mark.parametrize("order", ["new first", "rest first"])
def test_without_its_base_nothing_is_written_and_what_lacks_can_be_asked_for(
    order: str, sender: Side, receiver: Side, site: Site, tmp_path: Path
) -> None:
    old, new, rest = (tmp_path / name for name in ("old", "new.airgap", "rest.airgap"))
    export(sender, site, "v1", old)
    export(sender, site, "nudged", new, "--base", old)
    want = tmp_path / "want"

    refusals.expect_refusal(receiver, "import", new, "--want", want, error=MissingError)

    lacking = wants.decode(want.read_bytes())
    assert lacking.tags == ("model tuned:nudged",)
    words = ("--model", "tuned:nudged", "--for", want, "-o", rest, "--key", site.key(), "--json")
    made = sender.run("export", *words)
    assert made.code == 0, made.err
    assert receiver.run("import", rest).code == 13
    both = (new, "--depot", rest) if order == "new first" else (rest, "--depot", new)
    verified = receiver.run("verify", *both)
    assert verified.code == 0, verified.err
    ran = receiver.run("import", *both)
    assert ran.code == 0, ran.err
    assert installed(receiver, "nudged") == VERSIONS["nudged"]


@pytest.mark.parametrize("harm", ["changed", "deleted", "shorter"])
def test_a_base_that_is_not_what_it_was_is_found_out(
    sender: Side, receiver: Side, site: Site, tmp_path: Path, harm: str
) -> None:
    old, new = tmp_path / "old", tmp_path / "new.airgap"
    export(sender, site, "v1", old)
    export(sender, site, "nudged", new, "--base", old)
    receiver.run("import", old)
    file = receiver.bentoml / "models" / "tuned" / "v1" / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[2_000_000] ^= 1
    if harm == "deleted":
        shutil.rmtree(file.parent.parent)
    else:
        file.write_bytes(data if harm == "changed" else data[:2_000_000])

    refusals.expect_refusal(receiver, "import", new, error=MissingError)
    refusals.expect_refusal(receiver, "verify", new, error=MissingError)


def test_a_base_that_stock_bentoml_installed_is_found_by_cutting_it(
    sender: Side, receiver: Side, site: Site, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new.airgap"
    export(sender, site, "v1", old)
    export(sender, site, "nudged", new, "--base", old)
    shutil.copytree(
        sender.bentoml / "models" / "tuned" / "v1", receiver.bentoml / "models" / "tuned" / "v1"
    )

    assert receiver.run("import", new).code == 0
    assert installed(receiver, "nudged") == VERSIONS["nudged"]


def test_what_lies_beside_a_base_and_cannot_be_cut_is_passed_over(
    sender: Side, receiver: Side, site: Site, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new.airgap"
    export(sender, site, "v1", old)
    export(sender, site, "nudged", new, "--base", old)
    versions = receiver.bentoml / "models" / "tuned"
    shutil.copytree(sender.bentoml / "models" / "tuned" / "v1", versions / "v1")
    lie = zip_files.zip_directory(600_000, wide=True, values=1)
    odd = zip_files.zip_member(stores.noise(600_000)) + lie
    stores.write_files(versions / "a", {"odd.pt": odd, "model.yaml": b"{"})
    (versions / "a" / "nowhere").symlink_to("gone")
    (versions / "a" / "out").symlink_to("/etc/hostname")
    os.mkfifo(versions / "a" / "fifo")

    ran = receiver.run("import", new)

    assert ran.code == 0, ran.err
    assert installed(receiver, "nudged") == VERSIONS["nudged"]


def test_a_depot_that_strangers_signed_gives_nothing(
    sender: Side, receiver: Side, site: Site, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new.airgap"
    export(sender, site, "v1", old)
    export(sender, site, "nudged", new, "--base", old)
    strangers = sides.make_site(tmp_path / "strangers")
    export(sender, strangers, "v1", tmp_path / "forged")

    refusals.expect_refusal(
        receiver, "import", new, "--depot", tmp_path / "forged", error=NotTrustedError
    )


def test_what_a_bundle_builds_on_does_not_come_through_a_pipe(
    sender: Side, receiver: Side, site: Site, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new.airgap"
    export(sender, site, "v1", old)
    export(sender, site, "nudged", new, "--base", old)

    refusals.expect_refusal(receiver, "import", new, "--depot", "-", error=UsageError)


def test_both_ways_to_say_what_the_other_side_has_are_one_too_many(
    sender: Side, site: Site, tmp_path: Path
) -> None:
    export(sender, site, "v1", tmp_path / "old")
    want = tmp_path / "want"
    want.write_bytes(wants.encode(wants.Want(bytes(32), ("model tuned:v1",), ())))

    words = ("--model", "tuned:v1", "--for", want, "--base", tmp_path / "old", "-o", "x")
    ran = sender.run("export", *words, "--key", site.key())

    assert ran.code == 2


@pytest.mark.parametrize("preset", ["none", "fast", "small"])
def test_every_preset_travels(
    sender: Side, receiver: Side, site: Site, tmp_path: Path, preset: str
) -> None:
    out = tmp_path / "new.airgap"
    stored = export(sender, site, "v1", out, "--compression", preset)

    assert receiver.run("import", out).code == 0
    assert installed(receiver, "v1") == VERSIONS["v1"]
    assert (stored > len(VERSIONS["v1"])) == (preset == "none")


def test_a_diff_names_the_tensors_that_changed_and_what_they_cost(
    sender: Side, site: Site, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other.airgap"
    export(sender, site, "v1", one)
    whole = export(sender, site, "replaced", other)

    ran = sender.run("diff", one, other, "--json")

    (change,) = ran.json["changed"]
    assert (change["item"], change["before"]) == ("model tuned:replaced", "model tuned:v1")
    (entry,) = [one for one in change["entries"] if one["path"] == "model.safetensors"]
    assert entry["parts_changed"] == ["b"]
    assert entry["parts_added"] == entry["parts_removed"] == []
    assert 0.3 * whole < entry["bytes_stored"] < 0.4 * whole
    assert ran.json["bytes_to_ship"] - len(REPLACED["b"]) < 2000
    assert "changed: 'b'" in ran.err


def test_a_diff_of_a_bundle_that_builds_on_another_needs_no_base(
    sender: Side, site: Site, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    export(sender, site, "v1", one)
    export(sender, site, "nudged", other, "--base", one)

    ran = sender.run("diff", one, other, "--json")

    assert ran.code == 0, ran.err
    assert ran.json["bytes_stored"] < ran.json["bytes_to_ship"] / 2
