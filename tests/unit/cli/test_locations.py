"""What a bundle may be called: a depot, DEPOT#ID, a file, standard input; and what it may not."""

from pathlib import Path

import pytest

from airgap.errors import (
    ConfigurationError,
    ConflictError,
    CorruptError,
    MissingError,
    NotTrustedError,
    StorageError,
    TransportError,
    UsageError,
)
from airgap.format import layout, limits
from tests.support import refusals, sides, stores
from tests.support.sides import Side, Site

OLD, NEW = "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00"


@pytest.fixture
def two(connected: Side, site: Site, tmp_path: Path) -> tuple[Path, str, str]:
    """A depot with two bundles: its folder, the older one's id, the newer one's."""
    ids = []
    for version, created in (("v2", NEW), ("v1", OLD)):  # the newer one first
        stores.add_bento(connected, f"shop:{version}", {"src/v": version.encode()}, created=created)
        words = ("export", f"shop:{version}", "-o", tmp_path / "two", "--key", site.key())
        ids.append(connected.run(*words, "--json").json["bundle"])
    return tmp_path / "two", ids[1], ids[0]


def imported(side: Side, location: Path | str) -> list[str]:
    ran = side.run("import", location, "--json")
    assert ran.code == 0, ran.err
    return [item["tag"] for item in ran.json["items"]]


def test_a_depot_stands_for_its_newest_bundle(two: tuple[Path, str, str], isolated: Side) -> None:
    assert imported(isolated, two[0]) == ["shop:v2"]


def test_an_id_names_a_bundle(two: tuple[Path, str, str], isolated: Side) -> None:
    assert imported(isolated, f"{two[0]}#{two[1]}") == ["shop:v1"]


def test_the_beginning_of_an_id_is_enough(two: tuple[Path, str, str], isolated: Side) -> None:
    assert imported(isolated, f"{two[0]}#{two[1][:8]}") == ["shop:v1"]


@pytest.mark.parametrize("wrong", ["", "abc", "zzzzzzzz", "ABCDEF01", "0" * 65])
def test_what_is_no_id_is_a_usage_error(
    wrong: str, two: tuple[Path, str, str], isolated: Side
) -> None:
    refusals.expect_refusal(isolated, "import", f"{two[0]}#{wrong}", error=UsageError)


def test_an_id_that_is_not_there_is_missing(two: tuple[Path, str, str], isolated: Side) -> None:
    unknown = "0" * 8 if not two[1].startswith("0" * 8) else "1" * 8

    ran = refusals.expect_refusal(isolated, "verify", f"{two[0]}#{unknown}", error=MissingError)

    assert f"holds 0 bundles whose id begins with {unknown}" in ran.json["error"]["message"]
    assert set(ran.json["error"]["details"]) == {two[1], two[2]}


@pytest.mark.parametrize("limit", ["DEPOT_BUNDLES", "FOLDER_NAMES"])
@pytest.mark.parametrize("command", ["verify", "inspect", "list", "import"])
def test_a_whole_id_is_found_however_many_bundles_there_are(
    command: str,
    limit: str,
    two: tuple[Path, str, str],
    isolated: Side,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(3):
        (two[0] / "bundles" / f"{number:064x}").mkdir()
    monkeypatch.setattr(limits, limit, 4 if limit == "FOLDER_NAMES" else 1)
    refusals.expect_refusal(isolated, "verify", two[0], error=CorruptError)

    ran = isolated.run(command, f"{two[0]}#{two[1]}")

    assert ran.code == 0, ran.err


def test_the_beginning_of_an_id_is_looked_for_among_any_number(
    two: tuple[Path, str, str], isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DEPOT_BUNDLES", 1)

    assert imported(isolated, f"{two[0]}#{two[1][:8]}") == ["shop:v1"]


def test_a_name_with_a_sharp_sign_is_written_as_a_url(depot: Path, isolated: Side) -> None:
    renamed = depot.rename(depot.with_name("disk #1"))

    ran = refusals.expect_refusal(isolated, "import", renamed, error=UsageError)

    assert "is ambiguous" in ran.json["error"]["message"]
    assert renamed.as_uri() in ran.json["error"]["hint"]
    assert "shop:v1" in imported(isolated, renamed.as_uri())


def test_a_bundle_that_is_not_trusted_hides_no_newer_one(
    two: tuple[Path, str, str], isolated: Side
) -> None:
    for envelope in two[0].glob(f"bundles/{two[2]}/*.dsse"):
        envelope.unlink()

    ran = refusals.expect_refusal(isolated, "import", two[0], error=NotTrustedError)

    assert "which is the newest cannot be told" in ran.json["error"]["message"]
    assert ran.json["error"]["hint"] == (
        f"Copy the files bundles/{two[2]}/*.dsse from its source again. Or name the bundle that you"
        " want: DEPOT#ID."
    )
    assert imported(isolated, f"{two[0]}#{two[1]}") == ["shop:v1"]


def test_of_a_damaged_manifest_the_file_is_named_that_is_to_be_copied_again(
    two: tuple[Path, str, str], isolated: Side
) -> None:
    name = layout.manifest_name(two[2])
    manifest = two[0] / name
    manifest.write_bytes(manifest.read_bytes() + b"x")

    for words in (("import", two[0]), ("pull", "shop:v1", two[0])):
        ran = refusals.expect_refusal(isolated, *words, error=CorruptError)

        assert ran.json["error"]["hint"].startswith(f"Copy {name} from its source again")
        assert "Or name the bundle that you want" in ran.json["error"]["hint"]


@pytest.mark.parametrize("name", [layout.README_NAME, layout.VERIFIER_NAME])
def test_of_a_text_or_program_in_a_depot_the_depot_is_named(
    name: str, depot: Path, isolated: Side
) -> None:
    ran = refusals.expect_refusal(isolated, "import", depot / name, error=UsageError)

    assert ran.json["error"]["message"] == f"{depot / name} is not a bundle."
    assert ran.json["error"]["hint"] == f"Give the folder that it lies in: {depot}."


@pytest.mark.parametrize("name", ["depot", "site.root.msgpack", "all.airgap"])
def test_a_root_that_is_not_there_is_missing_before_its_fingerprint_is_asked_for(
    name: str, connected: Side, tmp_path: Path
) -> None:
    path = tmp_path / "not-mounted" / name

    ran = refusals.expect_refusal(connected, "trust", "init", path, error=MissingError)

    assert ran.json["error"]["message"] == f"{path} is not there."
    assert ran.json["error"]["hint"] == "Check the path, and that the medium is mounted."


@pytest.mark.parametrize("command", ["verify", "import", "inspect", "diff", "sign"])
@pytest.mark.parametrize("location", ["nothing", "nothing.airgap", "nothing#0123456789"])
def test_a_place_that_is_not_there_is_missing(
    command: str, location: str, isolated: Side, site: Site, tmp_path: Path
) -> None:
    more: dict[str, list[str | Path]] = {
        "diff": [tmp_path / location],
        "sign": ["--key", site.key()],
    }
    words = more.get(command, [])

    refusals.expect_refusal(isolated, command, tmp_path / location, *words, error=MissingError)


@pytest.mark.parametrize("command", ["verify", "import", "inspect"])
def test_a_folder_without_bundles_is_no_depot(command: str, isolated: Side, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    ran = refusals.expect_refusal(isolated, command, tmp_path / "empty", error=MissingError)

    assert "holds no bundle" in ran.json["error"]["message"]


@pytest.mark.parametrize(
    ("folder", "hint"),
    [
        ("volume-1of3", "It holds volumes of one: name them all, as in {}/volume-*."),
        ("depot", "Give a depot or an archive in it: {}/depot."),
        ("monday/depot", "Give a depot or an archive in it: {}/monday/depot."),
    ],
)
def test_the_folder_above_the_right_one_is_answered_with_the_right_one(
    folder: str, hint: str, isolated: Side, tmp_path: Path
) -> None:
    (tmp_path / "above" / folder / "bundles").mkdir(parents=True)

    ran = refusals.expect_refusal(isolated, "import", tmp_path / "above", error=MissingError)

    assert ran.json["error"]["hint"] == hint.format(tmp_path / "above")


def test_a_folder_with_several_bundles_is_answered_with_their_paths(
    isolated: Side, tmp_path: Path
) -> None:
    above = tmp_path / "above"
    for name in "abc":
        (above / name / "bundles").mkdir(parents=True)
    (above / "a.airgap").touch()
    (above / "notes.txt").touch()

    ran = refusals.expect_refusal(isolated, "import", above, error=MissingError)

    assert ran.json["error"]["hint"] == (
        f"Give a depot or an archive in it: {above}/a, {above}/a.airgap, {above}/b, and 1 more."
    )


def test_a_bundle_and_itself_differ_in_nothing(depot: Path, isolated: Side) -> None:
    assert isolated.run("diff", depot, depot).out.endswith("A and B have the same content.\n")


def test_a_file_that_is_no_want_is_named(small: Side, site: Site, tmp_path: Path) -> None:
    root = site.folder / "root.msgpack"
    words: list[str | Path] = ["--for", root, "-o", tmp_path / "rest", "--key", site.key()]

    ran = refusals.expect_refusal(small, "export", *words, error=CorruptError)

    assert ran.json["error"]["message"].startswith(f"{root} is not what an import lacked: ")
    assert "airgap import --want" in ran.json["error"]["hint"]


def test_a_depot_whose_bundles_were_removed_is_empty(depot: Path, isolated: Side) -> None:
    for file in depot.glob("bundles/*/manifest.msgpack"):
        file.unlink()

    refusals.expect_refusal(isolated, "verify", depot, error=MissingError)


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 1024, b"PK\x03\x04" * 999])
def test_a_file_that_is_no_bundle_is_corrupt(
    content: bytes, isolated: Side, tmp_path: Path
) -> None:
    (tmp_path / "x.airgap").write_bytes(content)

    refusals.expect_refusal(isolated, "verify", tmp_path / "x.airgap", error=CorruptError)


@pytest.mark.parametrize(
    "words",
    [
        ["verify", "gs://host/depot"],
        ["import", "dav://host/depot"],
        ["inspect", "scp://host/x.airgap"],
        ["diff", "scp://host/a", "scp://host/b"],
        ["sign", "scp://host/a", "--key", "KEY"],
        ["export", "shop", "-o", "dav://host/depot", "--key", "KEY"],
        ["trust", "update", "smb://host/depot"],
    ],
)
def test_a_url_that_nothing_carries_is_refused(words: list[str], small: Side, site: Site) -> None:
    sides.trust(small, site)
    given = [str(site.key()) if word == "KEY" else word for word in words]

    ran = refusals.expect_refusal(small, *given, error=TransportError)

    assert "is not supported" in ran.json["error"]["message"]


def test_standard_input_is_a_bundle(archive: Path, isolated: Side) -> None:
    for command in ("inspect", "verify", "import"):
        ran = isolated.process(command, "-", stdin=archive.read_bytes())
        assert ran.returncode == 0, ran.stderr

    assert (isolated.bentoml / "bentos/shop/v1/run.sh").exists()


def test_standard_input_cannot_be_signed(small: Side, site: Site) -> None:
    refusals.expect_refusal(small, "sign", "-", "--key", site.key(), error=UsageError)


def test_a_machine_that_trusts_nobody_imports_nothing(depot: Path, connected: Side) -> None:
    for command in ("import", "verify"):
        refusals.expect_refusal(connected, command, depot, error=ConfigurationError)


def test_a_key_of_somebody_else_is_not_trusted(small: Side, isolated: Side, tmp_path: Path) -> None:
    made = small.run("key", "generate", "mallory", "--dir", tmp_path, "--no-passphrase")
    assert made.code == 0
    key = tmp_path / "mallory.key"
    assert small.run("export", "shop", "-o", tmp_path / "d", "--key", key).code == 0

    ran = refusals.expect_refusal(isolated, "import", tmp_path / "d", error=NotTrustedError)

    assert "0 of the 1 builder signatures" in ran.json["error"]["message"]


@pytest.mark.parametrize(
    ("content", "mode", "error"),
    [
        (None, 0, ConfigurationError),
        (b"not a key", 0o600, ConfigurationError),
        (b"", 0o600, ConfigurationError),
        (b"not a key", 0o640, StorageError),
        (b"not a key", 0o604, StorageError),
    ],
)
def test_a_file_that_is_no_usable_key_signs_nothing(
    content: bytes | None,
    mode: int,
    error: type[ConfigurationError],
    small: Side,
    tmp_path: Path,
) -> None:
    key = tmp_path / "k.key"
    if content is not None:
        key.write_bytes(content)
        key.chmod(mode)

    refusals.expect_refusal(
        small, "export", "shop", "-o", tmp_path / "d", "--key", key, error=error
    )

    assert not (tmp_path / "d").exists()


def test_the_public_half_signs_nothing(small: Side, site: Site, tmp_path: Path) -> None:
    public = tmp_path / "b.pub"
    public.write_bytes(site.key().with_suffix(".pub").read_bytes())
    public.chmod(0o600)

    ran = refusals.expect_refusal(
        small, "export", "shop", "-o", tmp_path / "d", "--key", public, error=ConfigurationError
    )

    assert "not NAME.pub" in ran.json["error"]["hint"]


def test_the_key_may_come_by_variable(
    small: Side, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRGAP_KEY", str(site.key()))

    assert small.run("export", "shop", "-o", tmp_path / "d").code == 0


def test_a_variable_of_the_wrong_kind_is_a_usage_error(
    depot: Path, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRGAP_VERIFY_JOBS", "many")

    assert isolated.run("verify", depot).code == 2


@pytest.mark.parametrize("jobs", ["0", "65", "x", "-1"])
def test_a_number_of_threads_has_bounds(jobs: str, depot: Path, isolated: Side) -> None:
    assert isolated.run("verify", depot, "--jobs", jobs).code == 2


def test_a_file_is_not_overwritten_by_a_depot(small: Side, site: Site, tmp_path: Path) -> None:
    (tmp_path / "d").write_bytes(b"precious")

    refusals.expect_refusal(
        small, "export", "shop", "-o", tmp_path / "d", "--key", site.key(), error=UsageError
    )

    assert (tmp_path / "d").read_bytes() == b"precious"


def test_a_folder_may_end_like_a_file(small: Side, site: Site, tmp_path: Path) -> None:
    (tmp_path / "d.airgap").mkdir()

    ran = small.run("export", "shop", "-o", tmp_path / "d.airgap", "--key", site.key())

    assert ran.code == 0
    assert (tmp_path / "d.airgap" / "bundles").is_dir()


@pytest.mark.parametrize("form", ["depot", "archive"])
def test_a_second_builder_signs_later(form: str, small: Side, tmp_path: Path) -> None:
    pair = sides.make_site(tmp_path / "pair", builders=2, threshold=2)
    other = Side(tmp_path / "other")
    other.top.mkdir()
    sides.trust(other, pair)
    location = tmp_path / ("d" if form == "depot" else "d.airgap")
    assert small.run("export", "shop", "-o", location, "--key", pair.key(1)).code == 0
    refusals.expect_refusal(other, "import", location, error=NotTrustedError)

    assert small.run("sign", location, "--key", pair.key(2)).code == 0

    assert other.run("import", location, "--json").json["signed_by"].__len__() == 2


@pytest.mark.parametrize("form", ["depot", "archive"])
def test_signing_twice_with_one_key_changes_nothing(
    form: str, small: Side, site: Site, request: pytest.FixtureRequest
) -> None:
    location: Path = request.getfixturevalue(form)
    before = stores.snapshot(location)

    assert small.run("sign", location, "--key", site.key()).code == 0

    assert stores.snapshot(location) == before


def test_another_signature_by_the_same_key_is_not_put_into_a_file(
    small: Side, tmp_path: Path
) -> None:
    pair = sides.make_site(tmp_path / "pair", algorithm="ecdsa-p256-sha256")
    location = tmp_path / "d.airgap"
    assert small.run("export", "shop", "-o", location, "--key", pair.key()).code == 0
    before = stores.snapshot(location)

    refusals.expect_refusal(small, "sign", location, "--key", pair.key(), error=ConflictError)

    assert stores.snapshot(location) == before


@pytest.mark.parametrize("form", ["archive", "depot"])
def test_a_bundle_takes_as_many_signatures_as_are_read(
    form: str, small: Side, isolated: Side, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    location: Path = request.getfixturevalue(form)
    codes = []
    for number in range(64):
        made = ("--dir", tmp_path, "--no-passphrase", "--quiet")
        assert small.run("key", "generate", f"k{number}", *made).code == 0
        codes.append(small.run("sign", location, "--key", tmp_path / f"k{number}.key").code)

    assert codes[:63] == [0] * 63
    assert codes[63] == ConflictError.exit_code
    assert isolated.run("verify", location).code == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"v1": "one"}, ["= bento shop:v1"]),
        ({"v1": "other"}, ["~ bento shop:v1", "changed: src/v"]),
        ({"v2": "one"}, ["~ bento shop:v2 (was bento shop:v1)", "changed: bento.yaml"]),
    ],
)
def test_a_difference_is_told_file_by_file(
    words: dict[str, str],
    expected: list[str],
    connected: Side,
    isolated: Side,
    site: Site,
    tmp_path: Path,
) -> None:
    for side, target, content in (
        (connected, tmp_path / "a", {"v1": "one"}),
        (isolated, tmp_path / "b", words),
    ):
        for version, text in content.items():
            stores.add_bento(side, f"shop:{version}", {"src/v": text.encode()})
            tags = [f"shop:{version}"]
            assert side.run("export", *tags, "-o", target, "--key", site.key()).code == 0

    ran = connected.run("diff", tmp_path / "a", tmp_path / "b")

    assert ran.code == 0
    assert all(line in ran.out for line in expected)
    assert ran.out.startswith("NOT VERIFIED")


def test_a_difference_names_what_was_added_and_removed(
    connected: Side, site: Site, tmp_path: Path
) -> None:
    folder = stores.add_bento(connected, "shop:v1", {"src/old": b"1", "src/same": b"2"})
    (folder / "link").symlink_to("src/old")
    words = ("export", "shop", "--key", site.key(), "-o")
    assert connected.run(*words, tmp_path / "a").code == 0
    (folder / "src/old").rename(folder / "src/new")
    (folder / "link").unlink()
    (folder / "link").symlink_to("src/new")
    assert connected.run(*words, tmp_path / "b").code == 0

    ran = connected.run("diff", tmp_path / "a", tmp_path / "b", "--json")

    assert ran.json["changed"] == [
        {
            "item": "bento shop:v1",
            "before": "bento shop:v1",
            "entries": [
                {"path": "link", "change": "changed"},
                {"path": "src/new", "change": "added", "bytes_stored": 0},
                {"path": "src/old", "change": "removed"},
            ],
        }
    ]
    assert ran.json["bytes_to_ship"] == 0


def test_looking_shows_every_entry_and_says_that_nothing_is_proven(
    depot: Path, connected: Side
) -> None:
    ran = connected.run("inspect", depot, "--files")

    assert ran.out.startswith("NOT VERIFIED")
    assert "  data/\n" in ran.out
    assert "  src/link -> ../run.sh\n" in ran.out
    assert "  run.sh\n" in ran.out


def test_a_closed_standard_input_is_told(isolated: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)

    refusals.expect_refusal(isolated, "verify", "-", error=MissingError)


def test_a_name_that_is_too_long_is_a_storage_error(isolated: Side) -> None:
    refusals.expect_refusal(isolated, "verify", "x" * 300, error=StorageError)
