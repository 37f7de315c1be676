"""What a mirror reads out of packs: any range, each chunk compared, each block once."""

import io
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from airgap.errors import CorruptError, MissingError
from airgap.flow.serving.block_cache import BlockCache
from airgap.flow.serving.content import ServedContent
from airgap.flow.serving.mirror import Mirror
from airgap.transport.folder import FolderTransport
from tests.support import stores
from tests.support.mirrors import export, find_pack, flip_byte, serving
from tests.support.sides import Side, Site

LONG = "deep/" * 30 + "a-file-whose-name-needs-another-header-\u00e9.txt"


def read(mirror: Mirror, content: ServedContent, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join(mirror.read(content, start, content.length if stop is None else stop))


def test_a_tar_has_what_the_store_has(isolated: Side, small: Side, depot: Path) -> None:
    with serving(isolated, depot) as mirror:
        content = mirror.open_tar(mirror.find("bento", "shop", "v1"))
        data = read(mirror, content)

    assert len(data) == content.length
    folder = small.bentoml / "bentos" / "shop" / "v1"
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            path = folder / member.name
            assert member.mtime == member.uid == 0
            if member.isfile():
                file = tar.extractfile(member)
                assert file is not None
                assert file.read() == path.read_bytes()
                assert bool(member.mode & 0o100) == (path.name == "run.sh")
            elif member.issym():
                assert member.linkname == str(path.readlink())
            else:
                assert member.isdir()
                assert path.is_dir()
        assert {member.name for member in tar} == {
            *("README.md", "bento.yaml", "data", "run.sh"),
            *("src/empty", "src/link", "src/service.py"),
        }


def test_long_names_and_other_letters_travel(
    connected: Side, site: Site, isolated: Side, tmp_path: Path
) -> None:
    stores.add_model(connected, "ranker:v1", {LONG: b"text"})
    export(connected, tmp_path / "depot", site, "--model", "ranker:v1")
    with serving(isolated, tmp_path / "depot") as mirror:
        content = mirror.open_tar(mirror.find("model", "ranker", "v1"))
        data = read(mirror, content)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert LONG in tar.getnames()


def test_every_range_is_that_part_of_the_whole(isolated: Side, depot: Path) -> None:
    with serving(isolated, depot) as mirror:
        content = mirror.open_tar(mirror.find("model", "ranker", "v1"))
        whole = read(mirror, content)
        edges = [0, 1, 511, 512, 513, 1023, 1025, 200_000, content.length - 1025, content.length]
        for start in edges:
            for stop in edges:
                if start < stop:
                    assert read(mirror, content, start, stop) == whole[start:stop]


def test_a_range_reads_no_whole_pack(
    connected: Side, site: Site, isolated: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot = tmp_path / "depot"
    stores.add_model(connected, "ranker:v1", {"w.bin": stores.noise(6_000_000)})
    export(connected, depot, site, "--model", "ranker:v1")
    with serving(isolated, depot) as mirror:
        content = mirror.open_file(mirror.find("model", "ranker", "v1"), "w.bin")
        assert content is not None
        lengths: list[int | None] = []
        get = FolderTransport.get

        def note(
            transport: FolderTransport, name: str, sink: object, offset: int, length: int | None
        ) -> int:
            lengths.append(length)
            return get(transport, name, sink, offset, length)  # type: ignore[arg-type]

        monkeypatch.setattr(FolderTransport, "get", note)
        assert (
            read(mirror, content, 5_999_000, 5_999_010)
            == stores.noise(6_000_000)[5_999_000:5_999_010]
        )
    assert len(lengths) == 1
    assert lengths[0] is not None
    assert lengths[0] < 5_000_000


@pytest.mark.parametrize("change", ["a byte", "the end", "all"])
def test_what_follows_damage_is_not_sent_and_the_bundle_is_withheld(
    isolated: Side, depot: Path, change: str
) -> None:
    with serving(isolated, depot):
        pass  # it was whole when it was verified
    with serving(isolated, depot) as mirror:
        content = mirror.open_file(mirror.find("model", "ranker", "v1"), "weights.bin")
        assert content is not None
        pack = find_pack(depot)
        if change == "a byte":
            flip_byte(pack, 300_000)
        elif change == "the end":
            pack.write_bytes(pack.read_bytes()[:1000])
        else:
            pack.unlink()
        with pytest.raises(CorruptError, match="damaged or gone"):
            read(mirror, content)
        mirror.keep_up()
        with pytest.raises(MissingError, match="not served"):
            mirror.find("model", "ranker", "v1")


def test_a_damaged_pack_is_named_and_its_bundle_withheld_at_once(
    isolated: Side, depot: Path
) -> None:
    with serving(isolated, depot):
        pass
    with serving(isolated, depot) as mirror:
        content = mirror.open_file(mirror.find("model", "ranker", "v1"), "weights.bin")
        assert content is not None
        pack = find_pack(depot)
        flip_byte(pack, 300_000)
        with pytest.raises(CorruptError, match=pack.name):
            read(mirror, content)
        with pytest.raises(MissingError, match="damaged"):
            mirror.find("bento", "shop", "v1")


def test_a_block_that_many_ask_for_is_loaded_once() -> None:
    cache, loads, may_end = BlockCache(100), list[int](), Event()

    def load() -> bytes:
        loads.append(1)
        assert may_end.wait(60)
        return b"block"

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(cache.get, b"key", load) for _ in range(8)]
        may_end.set()
        assert {future.result() for future in asked} == {b"block"}
    assert cache.get(b"key", load) == b"block"
    assert loads == [1]


def test_an_error_is_not_kept() -> None:
    cache = BlockCache(100)

    def fail() -> bytes:
        raise CorruptError("It is damaged.", "Copy it again.")

    with pytest.raises(CorruptError):
        cache.get(b"key", fail)
    assert cache.get(b"key", lambda: b"mended") == b"mended"


def test_the_cache_keeps_to_its_budget() -> None:
    cache, loads = BlockCache(10), list[bytes]()

    def load(key: bytes) -> bytes:
        loads.append(key)
        return key * 4

    for key in (b"a", b"b", b"a", b"c", b"a", b"b"):
        cache.get(key, lambda key=key: load(key))  # type: ignore[misc]
    assert loads == [b"a", b"b", b"c", b"b"]
