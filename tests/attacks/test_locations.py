"""What lies beside a bundle, or has a name like it, is never taken for the bundle that is named."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airgap.errors import AirgapError, CorruptError, MissingError, UsageError
from airgap.flow.location.location import (
    ArchiveFile,
    LocalDepot,
    RemoteArchive,
    StockArchive,
    parse_location,
    to_text,
)
from airgap.format import tar
from airgap.server.intake.worker import Worker
from tests.support import refusals, sides, stores
from tests.support.sides import REPOSITORY, Side, Site

COMMANDS = [
    ["inspect", "PLACE"],
    ["verify", "PLACE"],
    ["import", "PLACE"],
    ["import", "PLACE", "--insecure-allow-unsigned"],
    ["diff", "PLACE", "PLACE"],
    ["copy", "PLACE", "NEW"],
    ["split", "PLACE", "-o", "NEW", "--volume-size", "CD"],
    ["sign", "PLACE", "--key", "KEY"],
    ["approve", "PLACE", "--key", "KEY"],
    ["attest", "PLACE", "--key", "KEY", "--role", "scanner", "--findings", "KEY"],
    [
        "waive",
        "PLACE",
        "--key",
        "KEY",
        "--site",
        "ward",
        "--reason",
        "x",
        "--expires",
        "7d",
        "-o",
        "NEW",
    ],
]
each_command = pytest.mark.parametrize(
    "command", COMMANDS, ids=[" ".join(words) for words in COMMANDS]
)


@pytest.fixture
def reviewed(depot: Path) -> str:
    """The id of the bundle in ``depot``, which a person has looked at."""
    (bundle,) = (path.name for path in (depot / "bundles").iterdir())
    return bundle


@pytest.fixture
def other(small: Side, site: Site, tmp_path: Path) -> Path:
    """A depot with another bundle."""
    stores.add_bento(small, "other:v1", {"src/x": b"evil"})
    ran = small.run("export", "other:v1", "-o", tmp_path / "other", "--key", site.key())
    assert ran.code == 0, ran.err
    return tmp_path / "other"


def refuse(
    side: Side,
    site: Site,
    tmp_path: Path,
    command: list[str],
    location: str,
    error: type[AirgapError],
) -> None:
    words = {"PLACE": location, "KEY": str(site.key()), "NEW": str(tmp_path / "new")}
    refusals.expect_refusal(side, *(words.get(word, word) for word in command), error=error)
    assert not (tmp_path / "new").exists()


def second_verifier(site: Site, location: str) -> "subprocess.CompletedProcess[bytes]":
    words = [location, "--root", str(site.root), "--fingerprint", site.fingerprint]
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "docs" / "verify.py"), *words],
        capture_output=True,
        check=False,
        timeout=120,
    )


@each_command
def test_a_folder_that_has_the_whole_name_is_not_taken_for_the_bundle(
    command: list[str],
    isolated: Side,
    site: Site,
    depot: Path,
    reviewed: str,
    other: Path,
    tmp_path: Path,
) -> None:
    beside = depot.with_name(f"{depot.name}#{reviewed}")
    shutil.copytree(other, beside)
    before = stores.snapshot(beside)

    refuse(isolated, site, tmp_path, command, f"{depot}#{reviewed}", UsageError)

    assert stores.snapshot(beside) == before


def test_the_second_verifier_does_not_take_it_either(
    site: Site, depot: Path, reviewed: str, other: Path
) -> None:
    shutil.copytree(other, depot.with_name(f"{depot.name}#{reviewed}"))

    ran = second_verifier(site, f"{depot}#{reviewed}")

    assert ran.returncode == UsageError.exit_code, ran.stdout
    assert b"ACCEPTED" not in ran.stdout


@pytest.mark.parametrize("beginning", ["", "0", "{id:.7}", "{id}0", "ABCDEF01", "latest"])
def test_what_is_not_an_id_names_nothing(
    beginning: str, isolated: Side, site: Site, depot: Path, reviewed: str
) -> None:
    location = f"{depot}#{beginning.format(id=reviewed)}"

    refusals.expect_refusal(isolated, "verify", location, error=UsageError)
    assert second_verifier(site, location).returncode == UsageError.exit_code


def test_the_beginning_of_two_ids_names_neither(
    isolated: Side, site: Site, depot: Path, reviewed: str
) -> None:
    twin = reviewed[:-1] + ("0" if reviewed[-1] != "0" else "1")
    shutil.copytree(depot / "bundles" / reviewed, depot / "bundles" / twin)

    for location in (f"{depot}#{reviewed[:16]}", f"{depot}#{reviewed[:63]}"):
        refusals.expect_refusal(isolated, "verify", location, error=MissingError)
        assert second_verifier(site, location).returncode == MissingError.exit_code
    assert second_verifier(site, f"{depot}#{reviewed}").returncode == 0


def test_a_url_names_the_bundle_whatever_lies_beside_it(
    isolated: Side, depot: Path, reviewed: str, other: Path
) -> None:
    shutil.copytree(other, depot.with_name(f"{depot.name}#{reviewed}"))

    ran = isolated.run("import", f"{depot.as_uri()}#{reviewed}", "--json")

    assert ran.json["bundle"] == reviewed


@each_command
@pytest.mark.parametrize("wrong", ["0" * 8, "0" * 64, "OTHER"])
@pytest.mark.parametrize("form", ["depot", "archive", "url", "stock"])
def test_an_id_is_compared_with_the_bundle(
    form: str,
    wrong: str,
    command: list[str],
    isolated: Side,
    small: Side,
    site: Site,
    archive: Path,
    depot: Path,
    other: Path,
    tmp_path: Path,
) -> None:
    if (command[0], form) in (("copy", "stock"), ("split", "stock")):
        pytest.skip("it has no packs")
    location = {"depot": str(depot), "archive": str(archive), "url": archive.as_uri()}.get(form)
    if location is None:
        location = str(tmp_path / "shop.tar")
        assert small.run("export", "shop:v1", "-o", location, "--key", site.key()).code == 0
    (other_id,) = (path.name for path in (other / "bundles").iterdir())

    bundle = other_id if wrong == "OTHER" else wrong
    refuse(isolated, site, tmp_path, command, f"{location}#{bundle}", MissingError)


@pytest.mark.parametrize("form", ["depot", "archive", "url", "stock"])
def test_the_right_id_names_the_bundle(
    form: str,
    isolated: Side,
    small: Side,
    site: Site,
    archive: Path,
    depot: Path,
    tmp_path: Path,
) -> None:
    location = {"depot": str(depot), "archive": str(archive), "url": archive.as_uri()}.get(form)
    if location is None:
        location = str(tmp_path / "shop.tar")
        assert small.run("export", "shop:v1", "-o", location, "--key", site.key()).code == 0
    bundle = isolated.run("inspect", location, "--json").json["bundle"]

    for name in (bundle, bundle[:8]):
        assert isolated.run("verify", f"{location}#{name}", "--json").json["bundle"] == bundle


@each_command
@pytest.mark.parametrize("form", ["depot", "archive"])
def test_a_manifest_laid_beside_a_bundle_is_not_read(
    form: str,
    command: list[str],
    isolated: Side,
    small: Side,
    site: Site,
    reviewed: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    location: Path = request.getfixturevalue(form)
    evil = tmp_path / "evil.tar"
    stores.add_bento(small, "evil:v1", {"src/x": b"evil"})
    assert small.run("export", "evil:v1", "-o", evil, "--key", site.key()).code == 0
    for file in tmp_path.glob("evil.tar.airgap-manifest*"):
        shutil.copy(file, tmp_path / file.name.replace("evil.tar", location.name, 1))
    words = {"PLACE": str(location), "KEY": str(site.key()), "NEW": str(tmp_path / "new")}
    beside = sorted(tmp_path.glob(f"{location.name}.airgap-manifest*"))
    assert beside

    ran = isolated.run(*(words.get(word, word) for word in command), "--json")

    assert ran.code == 0, ran.err
    assert "evil" not in ran.out
    assert ran.json.get("bundle", reviewed) == reviewed
    assert sorted(tmp_path.glob(f"{location.name}.airgap-manifest*")) == beside


@pytest.mark.parametrize("name", ["shop", "shop.airgap.part", "shop.airgap ", "shop.tar", "x.zip"])
@pytest.mark.parametrize("command", ["inspect", "sign", "import"])
def test_a_manifest_laid_beside_a_file_of_another_name_is_refused(
    command: str, name: str, isolated: Side, site: Site, archive: Path, reviewed: str
) -> None:
    location = archive.rename(archive.with_name(name))
    beside = location.with_name(f"{name}.airgap-manifest")
    beside.write_bytes(b"")
    words = ["--key", str(site.key())] if command == "sign" else []

    ran = refusals.expect_refusal(isolated, command, location, *words, error=UsageError)

    assert "is ambiguous" in ran.json["error"]["message"]
    beside.unlink()
    assert isolated.run(command, location, *words, "--json").json["bundle"] == reviewed


@pytest.mark.parametrize("name", ["SHOP.AIRGAP", "shop.Airgap"])
@pytest.mark.parametrize("command", ["inspect", "sign", "import"])
def test_the_case_of_the_suffix_does_not_matter(
    command: str, name: str, isolated: Side, site: Site, archive: Path, reviewed: str
) -> None:
    location = archive.rename(archive.with_name(name))
    location.with_name(f"{name}.airgap-manifest").write_bytes(b"")
    words = ["--key", str(site.key())] if command == "sign" else []

    ran = isolated.run(command, location, *words, "--json")

    assert ran.json["bundle"] == reviewed
    assert parse_location(str(location), to_write=True) == ArchiveFile(location)
    assert isinstance(parse_location(f"sftp://h/{name}"), RemoteArchive)
    refusals.expect_refusal(isolated, "trust", "update", location, error=MissingError)


def test_a_file_that_only_resembles_a_bundle_is_an_archive_for_stock_bentoml(
    archive: Path, tmp_path: Path
) -> None:
    file = tmp_path / "shop"
    file.with_name("shop.airgap-manifest").write_bytes(b"")
    header = archive.read_bytes()[:512]

    for start in (b"", bytes(512), header[:-1], header[:-1] + b"x", tar.make_header("packs/a", 1)):
        file.write_bytes(start)
        assert parse_location(str(file)) == StockArchive(file, "tar")


@pytest.mark.parametrize("location", [".", "./", "", "..", "sub/..", "/", "file://", "file:///"])
@pytest.mark.parametrize("command", ["inspect", "verify", "import", "sign"])
def test_a_location_without_a_name_is_a_folder_like_others(
    command: str,
    location: str,
    isolated: Side,
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "medium" / "folder" / "sub").mkdir(parents=True)
    (tmp_path / "medium" / "folder" / "...airgap-manifest").write_bytes(b"")
    monkeypatch.chdir(tmp_path / "medium" / "folder")
    words = ["--key", str(site.key())] if command == "sign" else []

    ran = refusals.expect_refusal(isolated, command, location, *words, error=MissingError)

    assert "holds no bundle" in ran.json["error"]["message"]


def test_a_folder_for_stock_bentoml_is_named_by_a_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_location(".", form="folder") == StockArchive(tmp_path, "folder")
    (tmp_path / "bento.yaml").write_bytes(b"")
    assert parse_location(".") == StockArchive(tmp_path, "folder")
    for to_write in (False, True):
        with pytest.raises(UsageError):
            parse_location("/", form="folder", to_write=to_write)


@pytest.mark.parametrize("location", ["{}#", "file://{}#", "file://{}?x=1", "file://{}?#", "@m#"])
@pytest.mark.parametrize("command", ["sign", "import"])
def test_an_empty_id_names_nothing(
    command: str, location: str, isolated: Side, site: Site, depot: Path
) -> None:
    assert isolated.run("remote", "add", "m", "sftp://h/x").code == 0
    words = ["--key", str(site.key())] if command == "sign" else []

    refusals.expect_refusal(isolated, command, location.format(depot), *words, error=UsageError)


@pytest.mark.parametrize("text", ["sftp://h/x#", "s3://b/x?region=eu#", "file:///x#"])
def test_an_empty_id_of_a_url_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="'' is not a bundle id"):
        parse_location(text)


def test_a_watched_folder_takes_the_bundle_that_was_found(
    isolated: Side, depot: Path, reviewed: str, other: Path
) -> None:
    shutil.copytree(other, depot.with_name(f"{depot.name}#{reviewed}"))

    with isolated.here():
        verdict = Worker(jobs=1).run("import", LocalDepot(depot, reviewed))

    assert verdict.report["bundle"] == reviewed


@pytest.mark.parametrize(
    "name",
    [
        "plain",
        "a#b",
        "#",
        "a b%23",
        "ümlaut#1",
        "new\nline#1",
        "back\\slash#",
        "x.airgap#1",
        "\udcff#",
    ],
)
@pytest.mark.parametrize("bundle", ["", "0" * 64])
def test_a_location_written_as_text_is_read_as_the_same(
    name: str, bundle: str, tmp_path: Path
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (tmp_path / f"{name}#{bundle}").mkdir(exist_ok=True)
    (tmp_path / "one" / name).mkdir(parents=True)
    file = tmp_path / "one" / name / "shop.airgap"

    for location in (LocalDepot(folder, bundle), ArchiveFile(file, bundle)):
        assert parse_location(to_text(location)) == location


def test_what_ends_in_airgap_is_not_written_as_an_archive_for_stock_bentoml(
    small: Side, site: Site, tmp_path: Path
) -> None:
    import airgap

    with small.here(), pytest.raises(UsageError):
        airgap.export_bento("shop:v1", tmp_path / "x.airgap", "zip", key=site.key())
    sides.trust(small, site)
    assert not (tmp_path / "x.airgap").exists()


def test_the_second_verifier_too_finds_a_whole_id_among_any_number(
    site: Site, depot: Path, reviewed: str
) -> None:
    for number in range(10_001):
        (depot / "bundles" / f"{number:064x}").mkdir()

    assert second_verifier(site, f"{depot}#{reviewed}").returncode == 0
    assert second_verifier(site, f"{depot}#{'0' * 64}").returncode == MissingError.exit_code
    assert second_verifier(site, str(depot)).returncode == CorruptError.exit_code


def test_a_root_and_a_key_are_named_where_a_bundle_is_meant(site: Site, isolated: Side) -> None:
    root = refusals.expect_refusal(isolated, "import", site.root, error=UsageError)
    key = refusals.expect_refusal(
        isolated, "import", site.folder / "builder1.pub", error=CorruptError
    )

    assert "is a root of site" in root.json["error"]["message"]
    assert "airgap trust init" in root.json["error"]["hint"]
    assert "builder1.pub is not a bundle: it has" in key.json["error"]["message"]
