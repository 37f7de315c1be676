"""Every command that takes a location, on servers of each protocol."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from airgap.errors import (
    ConflictError,
    CorruptError,
    MissingError,
    NotTrustedError,
    UsageError,
)
from airgap.format import layout
from tests.servers import kinds
from tests.servers.addresses import Address, address_of
from tests.servers.folder_on_server import FolderOnServer, Server
from tests.support import refusals, stores
from tests.support.sides import Side, Site

_NUMBERS = count()
_SERVERS = [
    *(name for name in kinds.QUICK if name not in kinds.LOCAL),
    *(pytest.param(name, marks=pytest.mark.servers) for name in kinds.REAL),
]


@pytest.fixture(scope="module", params=_SERVERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A running server of each kind."""
    start = {**kinds.QUICK, **kinds.REAL}[request.param]
    with start(tmp_path_factory.mktemp(str(request.param))) as one:
        yield one


@pytest.fixture
def remote_folder(server: Server) -> FolderOnServer:
    """A folder of that server which no other test uses."""
    return FolderOnServer(server, f"depot{next(_NUMBERS)}")


@pytest.fixture
def address(
    remote_folder: FolderOnServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Address:
    """What is typed to reach it."""
    config = tmp_path / "server.toml"
    found = address_of(remote_folder.server, remote_folder.folder, config)
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def there(small: Side, site: Site, address: Address) -> str:
    """A depot there with ``shop:v1``; return the bundle's id."""
    return exported(small, site, str(address))


def exported(side: Side, site: Site, location: str, *words: str | Path) -> str:
    ran = side.run("export", "shop:v1", "-o", location, "--key", site.key(), "--json", *words)
    assert ran.code == 0, ran.err
    bundle: str = ran.json["bundle"]
    return bundle


def test_a_bundle_travels_by_a_server(
    there: str,
    small: Side,
    isolated: Side,
    address: Address,
    remote_folder: FolderOnServer,
    depot: Path,
) -> None:
    assert remote_folder.files() == {
        str(path.relative_to(depot)): path.read_bytes()
        for path in depot.rglob("*")
        if path.is_file()
    }

    for command in ("inspect", "verify", "import"):
        ran = isolated.run(command, str(address), "--json")
        assert (ran.code, ran.json.get("bundle")) == (0, there), ran.err

    for store in ("bentoml/bentos/shop/v1", "bentoml/models/ranker/v1"):
        connected_files, isolated_files = (
            stores.snapshot(small.top / store),
            stores.snapshot(isolated.top / store),
        )
        assert list(connected_files.values()) == list(isolated_files.values())


def test_the_same_again_sends_nothing(
    there: str, small: Side, site: Site, address: Address, remote_folder: FolderOnServer
) -> None:
    before = remote_folder.files()

    ran = small.run("export", "shop:v1", "-o", str(address), "--key", site.key(), "--json")

    assert (ran.json["bundle"], ran.json["packs_written"]) == (there, 0)
    assert remote_folder.files() == before


def test_a_bundle_there_is_named_by_its_id(
    there: str, isolated: Side, address: Address, small: Side, site: Site
) -> None:
    stores.add_bento(small, "other:v1", {"src/x": b"1"})
    ran = small.run("export", "other:v1", "-o", str(address), "--key", site.key())
    assert ran.code == 0, ran.err

    ran = isolated.run("import", address.bundle(there[:8]), "--json")

    assert ran.json["bundle"] == there
    refusals.expect_refusal(isolated, "verify", address.bundle("0" * 8), error=MissingError)


def test_signatures_are_added_there(there: str, small: Side, site: Site, address: Address) -> None:
    before = small.run("inspect", str(address), "--json").json["signatures"]
    assert small.run("sign", str(address), "--key", site.key()).code == 0
    assert small.run("inspect", str(address), "--json").json["signatures"] == before

    ran = small.run("approve", str(address), "--key", site.key(), "--note", "seen", "--json")

    assert ran.code == 0, ran.err
    claims = small.run("inspect", str(address), "--json").json["signatures"]
    assert [one["role"] for one in claims] == ["builder", "approver"]
    assert there
    again = small.run("approve", str(address), "--reject", "--key", site.key(), "--json")
    assert again.code == ConflictError.exit_code


def test_two_bundles_are_compared(there: str, small: Side, address: Address, depot: Path) -> None:
    ran = small.run("diff", str(depot), address.bundle(there), "--json")

    assert ran.code == 0, ran.err
    assert ran.json["bytes_to_ship"] == 0


def test_a_single_file_travels_by_a_server(
    small: Side,
    site: Site,
    isolated: Side,
    address: Address,
    remote_folder: FolderOnServer,
    archive: Path,
) -> None:
    location = address.of("shop.airgap")
    bundle = exported(small, site, location)
    assert remote_folder.files() == {"shop.airgap": archive.read_bytes()}
    exported(small, site, location)
    assert remote_folder.files() == {"shop.airgap": archive.read_bytes()}

    for command in ("inspect", "verify", "import"):
        ran = isolated.run(command, location, "--json")
        assert (ran.code, ran.json.get("bundle")) == (0, bundle), ran.err


def test_a_single_file_there_is_replaced_by_another_of_its_size(
    small: Side, site: Site, address: Address, remote_folder: FolderOnServer, archive: Path
) -> None:
    remote_folder.plant("shop.airgap", bytes(archive.stat().st_size))

    exported(small, site, address.of("shop.airgap"))

    assert remote_folder.files() == {"shop.airgap": archive.read_bytes()}


def test_a_single_file_there_cannot_be_signed(small: Side, site: Site, address: Address) -> None:
    exported(small, site, address.of("shop.airgap"))

    ran = small.run("sign", address.of("shop.airgap"), "--key", site.key(), "--json")

    assert ran.json["error"]["exit_code"] == UsageError.exit_code
    assert "airgap copy" in ran.json["error"]["hint"]


@pytest.mark.parametrize("name", ["shop.tar.gz", "shop.bento", "shop.zip"])
def test_an_archive_for_stock_bentoml_travels_by_a_server(
    name: str,
    small: Side,
    site: Site,
    isolated: Side,
    address: Address,
    remote_folder: FolderOnServer,
) -> None:
    location = address.of(name)
    bundle = exported(small, site, location)
    (signature,) = isolated.run("inspect", location, "--json").json["signatures"]
    key_id, files = signature["key_id"], remote_folder.files()
    manifest = f"{name}.airgap-manifest"
    assert set(files) == {name, manifest, f"{manifest}.builder.{key_id}.dsse"}

    for command in ("inspect", "verify", "import"):
        ran = isolated.run(command, location, "--json")
        assert (ran.code, ran.json.get("bundle")) == (0, bundle), ran.err
    assert (isolated.bentoml / "bentos/shop/v1/run.sh").exists()
    assert exported(small, site, location) == bundle
    assert remote_folder.files() == files


def test_an_archive_that_replaces_another_there_has_its_own_manifest(
    small: Side, site: Site, isolated: Side, address: Address, remote_folder: FolderOnServer
) -> None:
    location = address.of("shop.tar")
    exported(small, site, location)
    remote_folder.plant(f"shop.tar.airgap-manifest.builder.{'0' * 64}.dsse", b"{}")
    stores.add_bento(small, "other:v1", {"src/x": b"1"})

    ran = small.run("export", "other:v1", "-o", location, "--key", site.key(), "--json")

    assert ran.code == 0, ran.err
    assert f"shop.tar.airgap-manifest.builder.{'0' * 64}.dsse" not in remote_folder.files()
    assert isolated.run("verify", location, "--json").json["bundle"] == ran.json["bundle"]


def test_an_archive_there_without_its_manifest_is_not_trusted(
    small: Side,
    site: Site,
    isolated: Side,
    address: Address,
    remote_folder: FolderOnServer,
    tmp_path: Path,
) -> None:
    local = tmp_path / "shop.zip"
    assert small.run("export", "shop:v1", "-o", local, "--key", site.key()).code == 0
    remote_folder.plant("shop.zip", local.read_bytes())

    location = address.of("shop.zip")
    refusals.expect_refusal(isolated, "import", location, error=NotTrustedError)
    flags = ("--insecure-allow-unsigned",)
    refusals.expect_refusal(isolated, "import", location, *flags, error=NotTrustedError)
    refusals.expect_refusal(isolated, "verify", address.of("no.zip"), error=MissingError)


def test_damage_in_an_archive_there_is_found(
    small: Side, site: Site, isolated: Side, address: Address, remote_folder: FolderOnServer
) -> None:
    location = address.of("shop.tar")
    exported(small, site, location)
    data = bytearray(remote_folder.files()["shop.tar"])
    data[data.index(b"#!/bin/sh")] ^= 1
    remote_folder.plant("shop.tar", bytes(data))

    refusals.expect_refusal(isolated, "import", location, error=CorruptError)


def test_an_archive_there_is_signed_by_others_too(
    small: Side, site: Site, address: Address, remote_folder: FolderOnServer
) -> None:
    location = address.of("shop.tar")
    exported(small, site, location)

    ran = small.run("approve", location, "--key", site.key(), "--note", "seen", "--json")

    assert ran.code == 0, ran.err
    claims = small.run("inspect", location, "--json").json["signatures"]
    assert [claim["role"] for claim in claims] == ["builder", "approver"]
    again = small.run("approve", location, "--reject", "--key", site.key(), "--json")
    assert again.code == ConflictError.exit_code
    assert sum(name.endswith(".attestation") for name in remote_folder.files()) == 1


def test_an_id_is_compared_with_what_is_there(
    there: str, small: Side, site: Site, isolated: Side, address: Address
) -> None:
    for name in ("shop.airgap", "shop.tar"):
        exported(small, site, address.of(name))
        wrong, right = (f"{address.of(name)}#{bundle}" for bundle in ("0" * 64, there))
        refusals.expect_refusal(isolated, "import", wrong, error=MissingError)
        if name == "shop.airgap":
            assert isolated.run("verify", right, "--json").json["bundle"] == there


def test_damage_there_is_found(
    there: str, isolated: Side, address: Address, remote_folder: FolderOnServer
) -> None:
    name = max(remote_folder.files(), key=lambda name: len(remote_folder.files()[name]))
    data = bytearray(remote_folder.files()[name])
    data[len(data) // 2] ^= 1
    remote_folder.plant(name, bytes(data))

    ran = refusals.expect_refusal(
        isolated, "import", str(address), error=CorruptError, staging=True
    )

    assert there
    assert name in ran.json["error"]["message"]


def test_what_is_stored_is_read_back(
    small: Side, site: Site, address: Address, remote_folder: FolderOnServer, depot: Path
) -> None:
    packs = list(depot.rglob("*.pack"))
    wrong = packs[0]
    remote_folder.plant(str(wrong.relative_to(depot)), bytes(wrong.stat().st_size))

    exported(small, site, str(address), "--verify-after-write")

    assert remote_folder.files()[str(wrong.relative_to(depot))] == wrong.read_bytes()


def test_an_empty_depot_is_missing(isolated: Side, address: Address) -> None:
    refusals.expect_refusal(isolated, "import", str(address), error=MissingError)
    refusals.expect_refusal(isolated, "import", address.of("x.airgap"), error=MissingError)


def test_roots_travel_with_a_depot(
    small: Side, site: Site, isolated: Side, address: Address, remote_folder: FolderOnServer
) -> None:
    exported(small, site, str(address), "--include-root", site.root)

    ran = isolated.run("trust", "update", str(address), "--json")

    assert ran.code == 0, ran.err
    assert ran.json["new"] is False
    assert layout.root_name(1) in remote_folder.files()


def test_bundles_are_copied_there_and_back(
    isolated: Side, address: Address, depot: Path, tmp_path: Path
) -> None:
    back = tmp_path / "back"
    ran = isolated.run("copy", depot, str(address), "--json")
    assert (ran.code, ran.json["bundles"][0]["packs_copied"]) == (0, 2), ran.err
    assert isolated.run("copy", str(address), back).code == 0

    assert relative(back) == relative(depot)
    again = isolated.run("copy", depot, str(address), "--json")
    (about,) = again.json["bundles"]
    assert (about["packs_copied"], about["packs_there"]) == (0, 2)
    assert isolated.run("verify", back).code == 0


def test_a_single_file_is_copied_into_a_depot_there(
    isolated: Side, address: Address, remote_folder: FolderOnServer, archive: Path, tmp_path: Path
) -> None:
    assert isolated.run("copy", archive, str(address)).code == 0
    assert isolated.run("verify", str(address)).code == 0
    assert isolated.run("copy", str(address), address.of("one.airgap")).code == 0
    assert isolated.run("verify", address.of("one.airgap")).code == 0
    assert isolated.run("copy", address.of("one.airgap"), tmp_path / "x.airgap").code == 0
    assert (tmp_path / "x.airgap").read_bytes() == remote_folder.files()["one.airgap"]


def relative(top: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()
    }
