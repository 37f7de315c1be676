"""What diff, doctor, parity and repair print of three or more of each: how many, how much."""

import json
import re
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support import stores, volumes
from tests.support.sides import Side, Site

LETTERS = "abc"


def add_models(side: Side, models: Mapping[str, Mapping[str, bytes]]) -> None:
    for tag, files in models.items():
        stores.add_model(side, tag, files)


def export(side: Side, site: Site, bento: str, output: Path, *words: str) -> None:
    ran = side.run("export", bento, "-o", output, "--key", site.key(), *words)
    assert ran.code == 0, ran.err


def read_item(side: Side, tag: str) -> dict[str, bytes]:
    name, _, version = tag.partition(":")
    top = side.bentoml / "models" / name / version
    return {path.relative_to(top).as_posix(): path.read_bytes() for path in top.rglob("*")}


def noise(number: int) -> bytes:
    return stores.noise(1000 + number, number)


# airgap diff


@pytest.fixture
def two(connected: Side, site: Site, tmp_path: Path) -> tuple[Path, Path]:
    """Two bundles: three models of each kind were added, removed, changed and kept."""
    seeds = iter(range(100))
    gone, come, kept, old, new = (
        {f"{kind}-{letter}:v1": {"w.bin": noise(next(seeds))} for letter in LETTERS}
        for kind in ("gone", "come", "kept", "moved", "moved")
    )
    for files in (*old.values(), *new.values()):
        files["same.bin"] = b"same in both" * 40
    for number, files in enumerate(old.values()):
        files |= {
            f"{letter}-off.bin": noise(40 + 3 * number + at) for at, letter in enumerate("xyz")
        }
    for number, files in enumerate(new.values()):
        files |= {
            f"{letter}-on.bin": noise(60 + 3 * number + at) for at, letter in enumerate("xyz")
        }
    new = {tag.replace(":v1", ":v2"): files for tag, files in new.items()}
    add_models(connected, gone | come | kept | old | new)
    stores.add_bento(connected, "shop:v1", {"a.py": b"a"}, models=[*gone, *kept, *old])
    stores.add_bento(connected, "shop:v2", {"a.py": b"a"}, models=[*come, *kept, *new])
    export(connected, site, "shop:v1", tmp_path / "a", "--compression", "none")
    export(connected, site, "shop:v2", tmp_path / "b", "--compression", "none")
    return tmp_path / "a", tmp_path / "b"


def test_a_diff_counts_items_entries_and_bytes(two: tuple[Path, Path], connected: Side) -> None:
    data = connected.run("diff", *two, "--json").json

    for key, name in (("added", "come"), ("removed", "gone"), ("same", "kept")):
        assert data[key] == [f"model {name}-{letter}:v1" for letter in LETTERS]
    changed = {change["item"]: change for change in data["changed"]}
    assert changed.keys() == {"bento shop:v2", *(f"model moved-{one}:v2" for one in LETTERS)}
    before = {
        content
        for name in ("gone", "kept", "moved")
        for letter in LETTERS
        for content in read_item(connected, f"{name}-{letter}:v1").values()
    }
    for letter in LETTERS:
        change = changed[f"model moved-{letter}:v2"]
        assert change["before"] == f"model moved-{letter}:v1"
        files = read_item(connected, f"moved-{letter}:v2")
        entries = {entry["path"]: entry for entry in change["entries"]}
        assert [name for name, entry in entries.items() if entry["change"] == "added"] == [
            f"{one}-on.bin" for one in "xyz"
        ]
        assert [name for name, entry in entries.items() if entry["change"] == "removed"] == [
            f"{one}-off.bin" for one in "xyz"
        ]
        assert [name for name, entry in entries.items() if entry["change"] == "changed"] == [
            "model.yaml",
            "w.bin",
        ]
        for name, entry in entries.items():
            if entry["change"] != "removed":
                assert entry["bytes_stored"] == len(files[name])
    new = {
        content
        for tag in (f"{name}-{letter}" for name in ("come:v1", "moved:v2") for letter in LETTERS)
        for content in read_item(connected, re.sub(r"(:v\d)(-\w)", r"\2\1", tag)).values()
    }
    bento = {path.read_bytes() for path in (connected.bentoml / "bentos/shop/v2").rglob("*.yaml")}
    size = sum(map(len, (new | bento) - before))
    assert (data["bytes_to_ship"], data["bytes_stored"]) == (size, size)


def test_a_diff_prints_what_it_counts(two: tuple[Path, Path], connected: Side) -> None:
    data = connected.run("diff", *two, "--json").json
    lines = connected.run("diff", *two).out.splitlines()

    assert [sum(line.startswith(f"{mark} ") for line in lines) for mark in "+-~="] == [3, 3, 4, 3]
    entries = [entry for change in data["changed"] for entry in change["entries"]]
    assert sum(line.startswith("    ") for line in lines) == len(entries) > 20
    size = f"{data['bytes_to_ship'] / 1000:.1f} kB"
    assert lines[-1] == f"{size} of B are not in A; they take {size} in its packs."


@pytest.mark.parametrize("preset", ["none", "default", "small"])
def test_what_a_wholly_new_bundle_takes_are_its_packs(
    preset: str, connected: Side, site: Site, tmp_path: Path
) -> None:
    texts = {f"{number}.txt": b"%d," % number * (200 + number) for number in range(60)}
    add_models(connected, {"old:v1": {"w": b"old"}, "new:v1": texts})
    for name in ("old", "new"):
        words = ("--model", f"{name}:v1", "-o", tmp_path / name, "--key", site.key())
        assert connected.run("export", *words, "--compression", preset).code == 0

    data = connected.run("diff", tmp_path / "old", tmp_path / "new", "--json").json

    packs = sum(path.stat().st_size for path in (tmp_path / "new").rglob("*.pack"))
    plain = sum(len(content) for content in set(read_item(connected, "new:v1").values()))
    assert (data["bytes_to_ship"], data["bytes_stored"]) == (plain, packs)


def make_tensors(names: Mapping[str, int]) -> bytes:
    """Write a .safetensors file of tensors of 300 kB of noise, each from its seed."""
    header, body = {}, b""
    for name, seed in names.items():
        data = stores.noise(300_000, seed)
        offsets = [len(body), len(body) + len(data)]
        header[name] = {"dtype": "U8", "shape": [len(data)], "data_offsets": offsets}
        body += data
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def test_a_diff_counts_tensors_and_says_when_a_name_is_cut(
    connected: Side, site: Site, tmp_path: Path
) -> None:
    long = "layer." * 40
    common = {f"{letter}.keep": at for at, letter in enumerate(LETTERS)}
    old = {long: 50} | common | {f"{letter}.off": 10 + at for at, letter in enumerate(LETTERS)}
    old |= {f"{at:02}.changed": 20 + at for at in range(12)}
    new = {long: 99} | common | {f"{letter}.on": 60 + at for at, letter in enumerate(LETTERS)}
    new |= {f"{at:02}.changed": 70 + at for at in range(12)}
    for version, names in (("v1", old), ("v2", new)):
        stores.add_model(connected, f"net:{version}", {"w.safetensors": make_tensors(names)})
        words = ("--model", f"net:{version}", "-o", tmp_path / version, "--key", site.key())
        assert connected.run("export", *words).code == 0

    data = connected.run("diff", tmp_path / "v1", tmp_path / "v2", "--json").json
    printed = connected.run("diff", tmp_path / "v1", tmp_path / "v2").out

    (change,) = data["changed"]
    (entry,) = [entry for entry in change["entries"] if entry["path"] == "w.safetensors"]
    assert sorted(entry["parts_changed"]) == sorted(
        ["header", long, *(f"{at:02}.changed" for at in range(12))]
    )
    assert sorted(entry["parts_added"]) == [f"{letter}.on" for letter in LETTERS]
    assert sorted(entry["parts_removed"]) == [f"{letter}.off" for letter in LETTERS]
    named = re.findall(r"^ {8}(changed|added|removed): '", printed, re.MULTILINE)
    assert [named.count(word) for word in ("changed", "added", "removed")] == [8, 3, 3]
    assert "changed: 6 more (--json names them)" in printed
    for line in printed.splitlines():
        assert ("layer." * 10 not in line) or "(cut; 240 characters)" in line


# airgap doctor


def test_the_doctor_counts_items_entries_numbers_and_leftovers(
    small: Side, site: Site, isolated: Side, tmp_path: Path
) -> None:
    for number, channel in enumerate(("one", "three", "two"), 3):
        stores.add_model(small, f"{channel}:v1", {"w": channel.encode()})
        words = ("--channel", channel, "--sequence", f"{number}", "--key", site.key())
        output = tmp_path / f"{channel}.airgap"
        assert small.run("export", "--model", f"{channel}:v1", "-o", output, *words).code == 0
        assert isolated.run("import", output).code == 0
    for number in range(3):
        stores.add_bento(isolated, f"shop{number}:v1", {"a.py": b"a"})
        key = isolated.state / f"{number}.key"
        key.write_bytes(b"key")
        key.chmod(0o600)
        left = isolated.bentoml / ".airgap" / "staging" / (f"{number}f" * 32)
        stores.write_files(left, {"bento/shop/v1/w": stores.noise(1_000_000 * (number + 1))})

    sender, ran = small.run("doctor", "--json").json, isolated.run("doctor", "--json").json

    messages = {
        about: [found["message"] for found in data["findings"] if found["about"] == about]
        for data, names in ((sender, ["numbers"]), (ran, ["history", "items", "keys", "staging"]))
        for about in names
    }
    assert messages["numbers"] == [
        "Exports of channel one are at number 3.",
        "Exports of channel three are at number 4.",
        "Exports of channel two are at number 5.",
    ]
    assert "is intact: 4 entries, head" in messages["history"][0], "the first is the root"
    assert messages["history"][1:] == [
        "Imports of channel one are at number 3.",
        "Imports of channel three are at number 4.",
        "Imports of channel two are at number 5.",
    ]
    assert {"bentos: 3", "models: 3", "files: 0"} <= {*re.findall(r"\w+: \d", messages["items"][0])}
    assert len(messages["keys"]) == 3
    sizes = [re.search(r"has left ([\d.]+) MB", text) for text in messages["staging"]]
    assert sorted(match[1] for match in sizes if match) == ["1.0", "2.0", "3.0"]
    notes = sum(found["level"] == "note" for found in ran["findings"])
    assert notes >= 3
    assert isolated.run("doctor").out.endswith(f"no problems, {notes} notes.\n")


def test_the_doctor_counts_three_problems(isolated: Side) -> None:
    for number in range(3):
        (isolated.bentoml / "bentos" / "shop" / f"v{number}").mkdir(parents=True)

    ran = isolated.run("doctor", "--json")

    assert sum(found["level"] == "problem" for found in ran.json["findings"]) == 3
    assert ran.json["error"]["message"] == "This machine's setup has 3 problems."
    assert "3 problems, " in isolated.run("doctor").out


def test_a_ledger_of_one_entry_is_singular(isolated: Side, site: Site) -> None:
    assert site.fingerprint
    ran = isolated.run("doctor", "--json")

    (found, *_) = [one for one in ran.json["findings"] if one["about"] == "history"]
    assert "is intact: 1 entry, head" in found["message"]


# Parity and repair


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Side:
    side = Side(tmp_path_factory.mktemp("sender"))
    volumes.fill(side, 12)
    return side


@pytest.fixture
def protected(sender: Side, site: Site, tmp_path: Path) -> Path:
    """A depot of more than ten packs with at least six of parity."""
    words = ("export", "shop:v1", "-o", tmp_path / "depot", "--parity", "60%", "--key", site.key())
    assert sender.run(*words).code == 0
    return tmp_path / "depot"


def test_repair_counts_the_packs_and_the_parity_of_several(
    protected: Path, connected: Side, isolated: Side, tmp_path: Path
) -> None:
    packs = sorted(
        (path for path in protected.rglob("*.pack")), key=lambda path: path.stat().st_size
    )
    parity = sorted(protected.rglob("*.parity"))
    assert (len(packs) > 10, len(parity) >= 6) == (True, True)
    for path in packs[-3:-1]:
        volumes.scratch(path)
    packs[-1].unlink()
    volumes.scratch(parity[0])
    for path in parity[1:3]:
        path.unlink()

    seen = isolated.run("verify", protected, "--json").json["parity"]
    assert (seen["intact"], seen["missing"], len(seen["damaged"])) == (len(parity) - 3, 2, 1)
    printed = isolated.run("verify", protected).out
    assert f"Parity packs intact: {len(parity) - 3} of {len(parity)}.\n" in printed
    assert "Parity packs missing here: 2.\n" in printed
    whole = connected.run("repair", protected, "-o", tmp_path / "whole", "--json").json
    assert (whole["packs"], whole["packs_restored"]) == (len(packs), 3)
    done = connected.run("repair", protected)
    assert f"packs restored: 3 of {len(packs)}; all are intact now." in done.out
    assert "parity packs damaged or missing: 3." in done.out
    again = connected.run("repair", protected, "--json").json
    assert [again[key] for key in ("packs", "packs_restored", "parity_lost")] == [len(packs), 0, 3]


def test_split_and_join_count_packs_and_parity_of_each_volume(
    protected: Path, connected: Side, isolated: Side, tmp_path: Path
) -> None:
    count, parity = len([*protected.rglob("*.pack")]), len([*protected.rglob("*.parity")])
    words = ("split", protected, "-o", tmp_path / "made", "--volume-size", "1070k", "--json")
    made = connected.run(*words).json
    folders = [Path(folder) for folder in made["volumes"]]
    assert len(folders) >= 3
    assert made["packs"] == [len([*folder.rglob("*.pack")]) for folder in folders]
    assert made["parity"] == [len([*folder.rglob("*.parity")]) for folder in folders]
    assert (sum(made["packs"]), sum(made["parity"])) == (count, parity)
    for folder, held, kept in zip(folders, made["packs"], made["parity"], strict=True):
        text = (folder / "VOLUME.txt").read_text()
        assert f"holds {held} of {count} packs and {kept} of {parity} parity packs." in text

    partial = isolated.run("verify", *folders[:2])
    last = len(folders)
    missing = ", ".join(map(str, range(3, last))) + f" and {last}" if last > 3 else "3"
    noun = "volumes" if last > 3 else "volume"
    assert f"Volumes 1 and 2 of {last} are good; missing: {noun} {missing}." in partial.out
    bad = [path for folder in folders for path in folder.rglob("*.pack")][:3]
    for path in bad:
        volumes.scratch(path)
    joined = connected.run("join", *folders, "-o", tmp_path / "joined")
    assert f"is complete: {count} packs, 3 of them restored from parity." in joined.out


# Names that are too long for a message


@pytest.mark.parametrize(
    "words",
    [
        ("get", "x" * 300, "depot"),
        ("delete", f"depot#{'x' * 300}"),
        ("export", "shop:v1", "-o", "out", "--label", "x" * 300, "--key", "KEY"),
        ("remote", "add", "x" * 300, "ftp://host/a"),
        ("list", f"ftp://host/a#{'x' * 300}"),
    ],
)
def test_a_name_that_is_cut_in_an_error_says_so(
    words: tuple[str, ...], connected: Side, site: Site
) -> None:
    named = [str(site.key()) if word == "KEY" else word for word in words]

    error = connected.run(*named, "--json").json["error"]

    assert "x" * 300 not in error["message"]
    assert "(cut; 300 characters)" in error["message"]


def test_versions_that_are_left_out_of_an_error_are_counted(connected: Side, site: Site) -> None:
    for number in range(13):
        stores.add_model(connected, f"ranker:v{number:02}", {"w": b"w"})

    words = ("--model", "ranker:v99", "-o", "out", "--key", site.key(), "--json")

    error = connected.run("export", *words).json["error"]

    assert len(error["details"]) == 11
    assert error["details"][-1] == "and 3 more"
