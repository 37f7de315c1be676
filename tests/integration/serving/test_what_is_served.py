"""Which bundles of a depot a mirror serves, and when it stops."""

import sqlite3
from pathlib import Path

import pytest

from airgap.carrier.depot import Depot
from airgap.errors import MissingError, TransportError
from airgap.flow.location.location import parse_depot
from airgap.flow.serving import examine
from airgap.flow.serving import mirror as mirrors
from airgap.flow.serving.mirror import NotReadyError, index_path, open_mirror
from airgap.format.manifest import Manifest, Pack
from airgap.transport.folder import FolderTransport
from tests.support import forge, sides, stores
from tests.support.mirrors import export, find_pack, flip_byte, revoke_bundle, serving, tags
from tests.support.sides import Side, Site


def test_an_admitted_bundle_is_served_with_what_its_descriptions_say(
    isolated: Side, depot: Path
) -> None:
    with serving(isolated, depot) as mirror:
        assert tags(mirror, "bento") == ["shop:v1"]
        item = mirror.find("model", "ranker", "v1")
        assert item.summary["api_version"] == "v1"
        assert mirror.find("bento", "shop", "v1").summary["models"] == ["ranker:v1"]
        assert item.created_at == 1767323045


def test_a_bundle_of_strangers_is_not_served(
    connected: Side, isolated: Side, tmp_path: Path
) -> None:
    strangers = sides.make_site(tmp_path / "strangers")
    stores.add_model(connected, "ranker:v1", {"weights.bin": b"1"})
    bundle = export(connected, tmp_path / "depot", strangers, "--model", "ranker:v1")

    with serving(isolated, tmp_path / "depot") as mirror:
        assert tags(mirror, "model") == []
        (row,) = mirror.index.list_bundles()
        assert (row.bundle, row.status) == (bundle, "refused")
        assert "signatures" in row.reason
        with pytest.raises(MissingError, match="signatures"):
            mirror.find("model", "ranker", "v1")


def test_a_damaged_pack_is_not_served_before_it_is_mended(isolated: Side, depot: Path) -> None:
    pack = find_pack(depot)
    whole = pack.read_bytes()
    pack.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))

    with serving(isolated, depot) as mirror:
        assert tags(mirror, "model") == []
        assert "is damaged" in mirror.index.list_bundles()[0].reason
        pack.write_bytes(whole)
        mirror._seen = ()
        mirror.keep_up()
        assert tags(mirror, "model") == ["ranker:v1"]


def test_a_bundle_that_needs_a_newer_airgap_holds_up_no_other(
    isolated: Side, depot: Path, site: Site
) -> None:
    newer = forge.draft(forge.model({"x": b"1"}, "newer:v1"), reader=2)
    raw = newer.raw()
    signed = forge.sign(raw, forge.load_signer(site.key()))
    forge.write_depot(depot, forge.members(raw, signed, newer.packs))
    with serving(isolated, depot) as mirror:
        assert tags(mirror, "bento") == ["shop:v1"]
        assert tags(mirror, "model") == ["ranker:v1"]
        (reason,) = (row.reason for row in mirror.index.list_bundles() if row.reason)
    assert "needs format version 2" in reason


def test_a_manifest_that_is_damaged_later_is_found_out(isolated: Side, depot: Path) -> None:
    with serving(isolated, depot) as mirror:
        assert tags(mirror, "bento") == ["shop:v1"]
    (manifest,) = depot.rglob("manifest.msgpack")
    flip_byte(manifest)
    with serving(isolated, depot) as mirror:
        assert tags(mirror, "bento") == []
        (row,) = mirror.index.list_bundles()
    assert "is damaged" in row.reason


def test_a_pack_is_read_once_and_not_again_at_the_next_start(
    isolated: Side, depot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(isolated, depot):
        pass
    read: list[str] = []
    get = FolderTransport.get

    def note(transport: FolderTransport, name: str, *rest: object) -> int:
        read.append(name)
        return get(transport, name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(FolderTransport, "get", note)
    with serving(isolated, depot) as mirror:
        assert tags(mirror, "bento") == ["shop:v1"]
    assert not [name for name in read if name.startswith("packs/")]


@pytest.mark.parametrize("content", [b"not a database" * 100, None])
def test_an_index_that_is_damaged_or_of_another_version_is_made_again(
    isolated: Side, depot: Path, content: bytes | None
) -> None:
    with serving(isolated, depot):
        path = index_path(parse_depot(str(depot)))
    if content is None:
        connection = sqlite3.connect(path)
        connection.execute("pragma user_version = 99")
        connection.close()
    else:
        path.write_bytes(content)
    with serving(isolated, depot) as mirror:
        assert tags(mirror, "bento") == ["shop:v1"]


def test_nothing_is_served_before_the_depot_was_examined(isolated: Side, depot: Path) -> None:
    with serving(isolated, depot):
        pass
    with (
        isolated.here(),
        open_mirror(parse_depot(str(depot))) as mirror,
        pytest.raises(MissingError, match="not been examined yet"),
    ):
        mirror.list_items("bento")


def test_a_bundle_that_expires_is_served_no_more_in_that_second(
    connected: Side, site: Site, isolated: Side, tmp_path: Path
) -> None:
    stores.add_model(connected, "ranker:v1", {"weights.bin": b"1"})
    depot = tmp_path / "depot"
    export(connected, depot, site, "--model", "ranker:v1", "--expires", "2d")
    with serving(isolated, depot) as mirror:
        expires_at = mirror.index.list_bundles()[0].expires_at
        assert expires_at is not None
        mirror._clock = lambda: expires_at
        assert tags(mirror, "model") == ["ranker:v1"]
        mirror._clock = lambda: expires_at + 1
        assert tags(mirror, "model") == []
        with pytest.raises(MissingError, match="expired"):
            mirror.find("model", "ranker", "v1")


def test_a_bundle_that_a_new_root_revokes_is_served_no_more_and_people_are_told_why(
    connected: Side, site: Site, isolated: Side, depot: Path, tmp_path: Path
) -> None:
    proposal = tmp_path / "next.msgpack"
    with serving(isolated, depot) as mirror:
        bundle = mirror.find("bento", "shop", "v1").bundle
        revoke_bundle(connected, site, bundle, proposal)
        ran = isolated.run("trust", "update", proposal)
        assert ran.code == 0, ran.err
        assert mirror.keep_up()
        with pytest.raises(MissingError, match="revoked by the site's root"):
            mirror.find("bento", "shop", "v1")


def test_differences_from_differences_are_served(
    connected: Side, site: Site, isolated: Side, tmp_path: Path
) -> None:
    depot, content = tmp_path / "depot", stores.noise(300_000)
    for number in range(1, 6):
        content = content[:-9] + b"version %d" % number
        stores.add_model(connected, f"ranker:v{number}", {"w.bin": content})
        base = ("--base", depot) if number > 1 else ()
        export(connected, depot, site, "--model", f"ranker:v{number}", *base)
    with serving(isolated, depot) as mirror:
        assert len(tags(mirror, "model")) == 5
        served = mirror.open_file(mirror.find("model", "ranker", "v5"), "w.bin")
        assert served is not None
        assert b"".join(mirror.read(served, 0, served.length)) == content


def test_a_new_root_is_seen_while_packs_are_verified(
    connected: Side,
    site: Site,
    isolated: Side,
    depot: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proposal, read, verify = tmp_path / "next.msgpack", list[str](), examine._verify_pack
    monkeypatch.setattr(mirrors, "_ROOT_SECONDS", 0.0)

    def verify_and_revoke(depot: Depot, pack: Pack) -> None:
        verify(depot, pack)
        read.append(pack.digest.hex())
        if len(read) == 1:
            assert isolated.run("trust", "update", proposal).code == 0

    with serving(isolated, depot) as mirror:
        bundle = mirror.find("bento", "shop", "v1").bundle
        revoke_bundle(connected, site, bundle, proposal)
        for version in ("v2", "v3"):
            stores.add_model(connected, f"ranker:{version}", {"w": version.encode()})
            export(connected, depot, site, "--model", f"ranker:{version}")
        monkeypatch.setattr(examine, "_verify_pack", verify_and_revoke)
        mirror.keep_up()
        assert len(read) == 1
        mirror.keep_up()
        assert tags(mirror, "bento") == []
        assert tags(mirror, "model") == ["ranker:v3", "ranker:v2"]


def test_a_bundle_that_is_deleted_meanwhile_holds_up_no_other(
    connected: Side,
    site: Site,
    isolated: Side,
    depot: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stores.add_model(connected, "ranker:v2", {"w": b"2"})
    gone = export(connected, depot, site, "--model", "ranker:v2")
    read = examine.read_manifest

    def miss(depot: Depot, bundle: str) -> Manifest:
        if bundle == gone:
            raise MissingError("The manifest is not there.", "Look again.")
        return read(depot, bundle)

    monkeypatch.setattr(examine, "read_manifest", miss)
    with serving(isolated, depot) as mirror:
        assert tags(mirror, "model") == ["ranker:v1"]


def test_nothing_is_served_while_the_depot_cannot_be_examined(
    isolated: Side, depot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> list[str]:
        raise TransportError("The server does not answer.", "Try again.")

    with serving(isolated, depot) as mirror:
        with monkeypatch.context() as patch:
            patch.setattr(FolderTransport, "list", fail)
            with pytest.raises(TransportError):
                mirror.keep_up()
        with pytest.raises(NotReadyError):
            mirror.list_items("bento")
        mirror.keep_up()
        assert tags(mirror, "bento") == ["shop:v1"]


def test_a_deleted_bundle_is_served_no_more(isolated: Side, depot: Path) -> None:
    with serving(isolated, depot) as mirror:
        (row,) = mirror.index.list_bundles()
        (depot / "bundles" / row.bundle / "manifest.msgpack").unlink()
        for path in (depot / "bundles" / row.bundle).iterdir():
            path.unlink()
        (depot / "bundles" / row.bundle).rmdir()
        assert mirror.keep_up()
        assert mirror.index.list_bundles() == []
        assert not mirror.keep_up()


def test_without_a_root_that_holds_nothing_is_served(isolated: Side, depot: Path) -> None:
    with serving(isolated, depot) as mirror:
        (root,) = (isolated.state / "trust").glob("*.msgpack")
        root.write_bytes(root.read_bytes()[:-1] + b"x")
        assert mirror.keep_up()
        assert tags(mirror, "bento") == []
        assert mirror.index.explain("bento", "shop", "v1")


def test_latest_is_the_newest_by_its_time_of_creation(
    connected: Side, site: Site, isolated: Side, tmp_path: Path
) -> None:
    depot = tmp_path / "depot"
    for version, day in (("b", 2), ("a", 3), ("c", 1)):
        created = f"2026-01-0{day}T00:00:00+00:00"
        stores.add_model(connected, f"ranker:{version}", {"w": version.encode()}, created=created)
        export(connected, depot, site, "--model", f"ranker:{version}")
    with serving(isolated, depot) as mirror:
        assert tags(mirror, "model") == ["ranker:a", "ranker:b", "ranker:c"]


def test_an_older_number_is_served_after_a_newer_one_was_imported(
    connected: Side, site: Site, isolated: Side, tmp_path: Path
) -> None:
    depot = tmp_path / "depot"
    for version in ("v1", "v2"):
        stores.add_model(connected, f"ranker:{version}", {"w": version.encode()})
        export(connected, depot, site, "--model", f"ranker:{version}")
    assert isolated.run("import", depot, "--newest").code == 0
    with serving(isolated, depot) as mirror:
        assert tags(mirror, "model") == ["ranker:v2", "ranker:v1"]


def test_a_difference_is_served_when_its_base_is_there(
    connected: Side, site: Site, isolated: Side, tmp_path: Path
) -> None:
    first = stores.noise(300_000)
    depot, alone = tmp_path / "depot", tmp_path / "alone"
    stores.add_model(connected, "ranker:v1", {"w.bin": first, "same.bin": first[::-1]})
    export(connected, depot, site, "--model", "ranker:v1")
    changed = {"w.bin": first[:-9] + b"different", "same.bin": first[::-1]}
    stores.add_model(connected, "ranker:v2", changed)
    export(connected, alone, site, "--model", "ranker:v2", "--base", str(depot))

    with serving(isolated, alone) as mirror:
        assert tags(mirror, "model") == []
        assert "does not carry" in mirror.index.list_bundles()[0].reason
    assert connected.run("copy", alone, depot).code == 0
    with serving(isolated, depot) as mirror:
        assert tags(mirror, "model") == ["ranker:v2", "ranker:v1"]
        for path, data in changed.items():
            content = mirror.open_file(mirror.find("model", "ranker", "v2"), path)
            assert content is not None
            assert b"".join(mirror.read(content, 0, content.length)) == data
        assert mirror.index.list_bases(mirror.find("model", "ranker", "v2").bundle)
