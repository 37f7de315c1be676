"""What is printed of a bundle that has several of each: who did what, how many, how much."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from airgap.cli import terminal
from airgap.format.attestation import DEFAULT_NAMES
from airgap.format.envelope import Role
from tests.support import signers, stores
from tests.support.sides import Ran, Side, Site
from tests.support.signers import make_root, person, team

ROLES: dict[Role, dict[str, list[str]]] = {
    "builder": {"signed_by": ["bob", "bea"], "rejected_by": []},
    "scanner": {"signed_by": ["sam", "kim"], "rejected_by": ["zoe"]},
    "approver": {"signed_by": ["dan", "eve"], "rejected_by": ["mia"]},
}
PEOPLE = ("bob", "bea", "sam", "kim", "zoe", "dan", "eve", "mia")
SITES = ("north", "south", "ward")


def ids(names: list[str]) -> list[str]:
    return sorted(person(name).key.id for name in names)


@pytest.fixture
def many(connected: Side) -> Side:
    """Stores with two Bentos and two models of several files."""
    for number in (1, 2):
        files = {f"part{part}.bin": stores.noise(3_000_000, 10 * number + part) for part in (1, 2)}
        stores.add_model(connected, f"ranker{number}:v1", files)
        stores.add_bento(
            connected,
            f"shop{number}:v1",
            {"src/a.py": b"a" * number, "src/b.py": b"b" * 50},
            models=["ranker1:v1", "ranker2:v1"],
        )
    return connected


@pytest.fixture
def depot(many: Side, tmp_path: Path) -> Path:
    """A bundle of two Bentos and two models, on which eight people have spoken."""
    folder, keys = tmp_path / "depot", tmp_path / "keys"

    def run(*words: str | Path) -> None:
        ran = many.run(*words)
        assert ran.code == 0, ran.err

    key = {name: signers.write_key(keys, name) for name in PEOPLE}
    sites = [word for site in SITES for word in ("--audience", site)]
    terms = ("--channel", "prod", "--sequence", "7", "--expires", "2030-12-31", *sites)
    run("export", "shop1:v1", "shop2:v1", "-o", folder, "--key", key["bob"], *terms)
    run("sign", folder, "--key", key["bea"])
    for name in ("sam", "kim", "zoe"):
        report = ("--role", "scanner", "--findings", key[name])
        run("attest", folder, "--key", key[name], *report, *["--reject"] * (name == "zoe"))
    for name in ("dan", "eve", "mia"):
        run("approve", folder, "--key", key[name], *["--reject"] * (name == "mia"))
    return folder


@pytest.fixture
def ward(tmp_path: Path) -> Side:
    """A site that counts all who accept, and does not know those who reject."""
    side = Side(tmp_path / "ward")
    side.top.mkdir()
    root = make_root(
        builder=team("bob bea", 2), scanner=team("sam kim", 2), approver=team("dan eve", 2)
    )
    signers.pin(side, root)
    return side


@pytest.fixture
def other(tmp_path: Path) -> Side:
    """A site that knows those who reject, and so refuses the bundle."""
    side = Side(tmp_path / "other")
    side.top.mkdir()
    signers.pin(side, make_root(scanner=team("zoe"), approver=team("dan eve mia")))
    return side


def rows(side: Side, depot: Path) -> list[dict[str, Any]]:
    (listed,) = side.run("list", depot, "--json").json["bundles"]
    return [listed, side.run("get", "shop1", depot, "--json").json]


def printed(side: Side, depot: Path) -> list[Ran]:
    return [side.run("list", depot), side.run("get", "shop1", depot)]


def attested(row: dict[str, Any]) -> dict[tuple[str, str], list[str]]:
    return {(one["role"], one["decision"]): one["signed_by"] for one in row["attestations"]}


def groups(printed_text: str, start: str) -> dict[str, list[str]]:
    """The key ids below each title that begins like this."""
    found: dict[str, list[str]] = {}
    title = ""
    for line in (line.strip() for line in printed_text.splitlines()):
        if line.startswith(start) and " by " in line:
            title = line.removeprefix(start).strip()
        elif title and len(line) == 64:
            found.setdefault(title, []).append(line)
        else:
            title = ""
    return found


def test_of_an_admitted_bundle_the_counted_signers_are_named_apart(ward: Side, depot: Path) -> None:
    for row in rows(ward, depot):
        assert row["standing"] == "trusted"
        assert row["signed_by"] == ids(["bob", "bea"])
        assert attested(row) == {
            ("scanner", "accept"): ids(["sam", "kim"]),
            ("approver", "accept"): ids(["dan", "eve"]),
        }
    for ran in printed(ward, depot):
        assert "claim" not in ran.out
        assert "reject" not in ran.out
        assert groups(ran.out, "") == {
            "signed by builder": ids(["bob", "bea"]),
            f"accepted by scanner ({DEFAULT_NAMES['scanner']})": ids(["sam", "kim"]),
            f"accepted by approver ({DEFAULT_NAMES['approver']})": ids(["dan", "eve"]),
        }


@pytest.mark.parametrize("machine", ["connected", "other"])
def test_of_any_other_bundle_the_claims_are_named_apart(
    machine: str, depot: Path, request: pytest.FixtureRequest
) -> None:
    side: Side = request.getfixturevalue(machine)

    for row in rows(side, depot):
        assert row["standing"] == {"connected": "not verified", "other": "not acceptable"}[machine]
        assert row["signed_by"] == ids(["bob", "bea"])
        assert attested(row) == {
            ("scanner", "accept"): ids(["sam", "kim"]),
            ("scanner", "reject"): ids(["zoe"]),
            ("approver", "accept"): ids(["dan", "eve"]),
            ("approver", "reject"): ids(["mia"]),
        }
    for ran in (*printed(side, depot), side.run("inspect", depot)):
        claimed = groups(ran.out, "claims to be")
        assert {title: sorted(key_ids) for title, key_ids in claimed.items()} == {
            "signed by builder": ids(["bob", "bea"]),
            **{
                f"{verb}ed by {role} ({DEFAULT_NAMES[role]})": ids(ROLES[role][verdict])
                for role in ("scanner", "approver")
                for verb, verdict in (("accept", "signed_by"), ("reject", "rejected_by"))
            },
        }


def test_an_attestation_of_another_bundle_is_not_named(
    many: Side, depot: Path, tmp_path: Path
) -> None:
    key = signers.write_key(tmp_path / "keys", "bob")
    assert many.run("export", "shop1:v1", "-o", tmp_path / "more", "--key", key).code == 0
    (folder,) = (tmp_path / "more" / "bundles").iterdir()
    for file in depot.glob(f"bundles/*/approver.{person('dan').key.id}.*"):
        shutil.copy(file, folder)

    (row,) = many.run("list", tmp_path / "more", "--json").json["bundles"]

    assert row["attestations"] == []
    assert "for bundle" in many.run("inspect", tmp_path / "more").out


def test_every_count_and_size_is_that_of_the_bundle(many: Side, ward: Side, depot: Path) -> None:
    packs = [path.stat().st_size for path in depot.rglob("*.pack")]
    items = {}
    for kind, folder in (("model", "models"), ("bento", "bentos")):
        for path in sorted((many.bentoml / folder).glob("*/v1")):
            sizes = [file.stat().st_size for file in path.rglob("*") if file.is_file()]
            items[kind, f"{path.parent.name}:v1"] = (len(sizes), sum(sizes))
    assert len(packs) > 1
    described = [*rows(ward, depot), ward.run("inspect", depot, "--json").json]
    described.append(ward.run("verify", depot, "--json").json)

    for data in described:
        assert (data["packs"], data["stored_size"]) == (len(packs), sum(packs))
        assert data["size"] == sum(size for _, size in items.values())
        assert (data["channel"], data["sequence"]) == ("prod", 7)
        assert data["audience"] == list(SITES)
        assert {
            (item["kind"], item["tag"]): (item["files"], item["size"]) for item in data["items"]
        } == items
    assert described[-1]["roles"] == {
        role: {"threshold": 2, "signed_by": ids(keys["signed_by"])} for role, keys in ROLES.items()
    }
    verified = ward.run("verify", depot)
    assert verified.out.count("OK: ") == len(items)
    assert f"Packs intact: {len(packs)}" in verified.out
    for role in ROLES:
        assert f"{role}: 2 of 2\n" in verified.out
    looked = ward.run("inspect", depot).out
    assert f"in {len(packs)} packs of" in looked
    assert "number 7, for north, south, ward" in looked
    assert "expires 2030-12-31T23:59:59Z" in looked
    done = ward.run("import", depot, "--json").json
    assert {
        (item["kind"], item["tag"]): (item["files"], item["size"], item["outcome"])
        for item in done["items"]
    } == {item: (*numbers, "installed") for item, numbers in items.items()}


def test_lines_about_bundles_fit_in_80_columns(
    ward: Side, other: Side, depot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "measure_columns", lambda *, err: 80)  # noqa: ARG005
    for side in (ward, other):
        for ran in (*printed(side, depot), side.run("inspect", depot), side.run("verify", depot)):
            for line in (ran.out + ran.err).splitlines():
                is_sentence = line.lstrip().startswith(
                    ("→", "NOT ACCEPTABLE", "airgap:", "attachment ")
                )
                assert len(line) <= 80 or is_sentence or str(depot) in line


def test_every_command_counts_packs_and_sizes(many: Side, depot: Path, tmp_path: Path) -> None:
    packs = {path.name: path.stat().st_size for path in depot.rglob("*.pack")}
    count, size = len(packs), sum(packs.values())
    key = signers.write_key(tmp_path / "keys", "bob")
    more, volumes = tmp_path / "more", tmp_path / "volumes"
    assert count > 2

    (copied,) = many.run("copy", depot, more, "--json").json["bundles"]
    assert (copied["packs_copied"], copied["packs_there"]) == (count, 0)
    assert copied["bytes_copied"] == size
    assert f": 0 packs copied (0 B), {count} already there" in many.run("copy", depot, more).out

    export = ("export", "shop1:v1", "shop2:v1", "-o", more, "--key", key)
    exported = many.run(*export, "--json").json
    assert (exported["packs_written"], exported["packs_there"]) == (0, count)
    assert (exported["packs"], exported["stored_size"]) == (count, size)

    split = many.run("split", depot, "-o", volumes, "--volume-size", "10M", "--json").json
    assert len(split["volumes"]) == len(split["packs"]) > 1
    for folder, held in zip(split["volumes"], split["packs"], strict=True):
        assert len([*Path(folder).rglob("*.pack")]) == held
    joined = many.run("join", *split["volumes"], "-o", tmp_path / "joined")
    assert f"is complete: {count} packs, 0 of them restored from parity." in joined.out

    deleted = many.run("delete", f"{more}#{exported['bundle']}", "--yes", "--json").json
    assert [len(one["items"]) for one in deleted["deleted"]] == [4]
    (copied_id,) = (path.parent.name for path in more.glob("bundles/*/manifest.msgpack"))
    assert many.run("delete", f"{more}#{copied_id}", "--yes").code == 0
    swept = many.run("gc", more, "--older-than", "0", "--dry-run", "--json").json
    gone = swept["removed"] | swept["marked"]
    assert {name.rpartition("/")[2]: value for name, value in gone.items()} == packs
    assert swept["removed_bytes"] + swept["marked_bytes"] == size


def test_one_of_a_thing_is_singular(small: Side, site: Site, tmp_path: Path) -> None:
    one = tmp_path / "one"

    exported = small.run("export", "shop:v1", "--no-models", "-o", one, "--key", site.key())
    copied = small.run("copy", one, tmp_path / "copy")

    assert ": 1 pack written, 0 already there" in exported.out
    assert ": 1 pack copied (" in copied.out
