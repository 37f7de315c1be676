"""What every transport does alike, each against a server that runs.

``kinds.QUICK`` is part of ``make test``, ``kinds.REAL`` of ``make test-servers``.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from airgap.errors import AirgapError, CorruptError, MissingError, TransportError
from airgap.transport.names import name_part
from airgap.transport.port import Stored, TransientError, Transport
from tests.servers import kinds
from tests.servers.folder_on_server import FolderOnServer, Server
from tests.servers.proxy import Direction, Fault, Proxy
from tests.support import stores

NAME = "packs/ab/abcd.pack"
PART = f"{NAME}.0123456789abcdef.part"
CONTENT = stores.noise(3_000_000, 7)
_NUMBERS = count()
BAD_NAMES = [
    "",
    "a\0b",
    "a\nDELE b",
    "a\rb",
    "..",
    "../a",
    "packs/../a",
    "./a",
    "/a",
    "a//b",
    "a/",
    "ü",
    "a\\b",
    "-a",
    "a" * 600,
]


_REAL = [pytest.param(name, marks=pytest.mark.servers) for name in kinds.REAL]
over_a_network = pytest.mark.parametrize(
    "server",
    [*(name for name in kinds.QUICK if name not in kinds.LOCAL), *_REAL],
    indirect=True,
)


class FullError(OSError):
    """What a sink's own disk raises: not a reason to reconnect."""


@pytest.fixture(scope="module", params=[*kinds.QUICK, *_REAL])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A running server of each kind."""
    start = {**kinds.QUICK, **kinds.REAL}[request.param]
    with start(tmp_path_factory.mktemp(str(request.param))) as one:
        yield one


@pytest.fixture
def remote_folder(server: Server) -> FolderOnServer:
    """A folder of that server which no other test uses, and which is not there yet."""
    return FolderOnServer(server, f"depot{next(_NUMBERS)}")


@pytest.fixture
def transport(remote_folder: FolderOnServer) -> Iterator[Transport]:
    """A connection to it."""
    one = remote_folder.open()
    yield one
    one.close()


@pytest.fixture
def proxy(remote_folder: FolderOnServer) -> Iterator[Proxy]:
    """A way to the server that can be broken."""
    one = remote_folder.server.proxy()
    assert one is not None
    with one:
        yield one


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file to be uploaded: ``CONTENT``."""
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


def fetch(transport: Transport, name: str, offset: int = 0, length: int | None = None) -> bytes:
    found = bytearray()
    assert transport.get(name, found.extend, offset, length) == len(found)
    return bytes(found)


def test_its_location_has_a_name(transport: Transport) -> None:
    assert transport.location


def test_a_file_that_was_put_is_there(
    remote_folder: FolderOnServer, transport: Transport, source: Path
) -> None:
    assert transport.put(NAME, source, len(CONTENT)) == "stored"

    assert remote_folder.files() == {NAME: CONTENT}


def test_a_file_that_is_there_is_not_sent_again(
    remote_folder: FolderOnServer, transport: Transport, source: Path
) -> None:
    remote_folder.plant(NAME, bytes(len(CONTENT)))

    assert transport.put(NAME, source, len(CONTENT)) == "exists"

    assert remote_folder.files() == {NAME: bytes(len(CONTENT))}


@pytest.mark.parametrize("size", [0, 5, len(CONTENT) + 1])
def test_a_file_of_another_size_is_replaced(
    size: int, remote_folder: FolderOnServer, transport: Transport, source: Path
) -> None:
    remote_folder.plant(NAME, bytes(size))

    assert transport.put(NAME, source, len(CONTENT)) == "stored"

    assert remote_folder.files() == {NAME: CONTENT}


def test_an_empty_file_can_be_put_and_got(
    remote_folder: FolderOnServer, transport: Transport, tmp_path: Path
) -> None:
    (tmp_path / "empty").touch()

    assert transport.put(NAME, tmp_path / "empty", 0) == "stored"

    assert remote_folder.files() == {NAME: b""}
    assert transport.size(NAME) == 0
    assert fetch(transport, NAME) == b""


@pytest.mark.parametrize("part", [None, PART])
@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (1, "resumed"),
        (1_234_567, "resumed"),
        (len(CONTENT), "resumed"),
        (0, "stored"),
        (len(CONTENT) + 1, "stored"),
    ],
)
def test_an_upload_resumes_where_it_broke(
    there: int,
    expected: Stored,
    part: str | None,
    remote_folder: FolderOnServer,
    transport: Transport,
    source: Path,
) -> None:
    if not transport.capabilities.resumes_uploads:
        pytest.skip("a file is its unit of resuming")
    begun = CONTENT[:there] + bytes(max(0, there - len(CONTENT)))
    remote_folder.plant(part or name_part(NAME), begun)

    assert transport.put(NAME, source, len(CONTENT), part) == expected

    assert remote_folder.files() == {NAME: CONTENT}


def test_an_upload_is_announced_before_it_is_sent(
    remote_folder: FolderOnServer, transport: Transport, source: Path
) -> None:
    counts: list[int] = []

    transport.put(NAME, source, len(CONTENT), PART, counts.append)
    transport.put(NAME, source, len(CONTENT), PART, counts.append)

    assert sum(counts) == len(CONTENT)
    assert max(counts) <= 1024 * 1024
    assert remote_folder.files() == {NAME: CONTENT}


def test_an_upload_can_be_stopped_and_resumes(
    remote_folder: FolderOnServer, transport: Transport, source: Path
) -> None:
    counts: list[int] = []

    def stop(count: int) -> None:
        if sum(counts) > 1_500_000:
            raise ZeroDivisionError
        counts.append(count)

    with pytest.raises(ZeroDivisionError):
        transport.put(NAME, source, len(CONTENT), PART, stop)
    assert NAME not in remote_folder.files()
    transport.close()

    counts.clear()
    other = transport.clone()
    other.put(NAME, source, len(CONTENT), PART, counts.append)
    other.close()
    assert remote_folder.files() == {NAME: CONTENT}
    if other.capabilities.resumes_uploads:
        assert sum(counts) < len(CONTENT)


def test_a_part_of_another_writer_stays(
    remote_folder: FolderOnServer, transport: Transport, source: Path
) -> None:
    remote_folder.plant(PART, b"of another client")

    transport.put(NAME, source, len(CONTENT), f"{NAME}.fedcba9876543210.part")

    assert remote_folder.files()[NAME] == CONTENT
    assert remote_folder.files().get(PART) == b"of another client"


def test_sizes_are_reported(remote_folder: FolderOnServer, transport: Transport) -> None:
    remote_folder.plant(NAME, b"12345")
    remote_folder.plant("top", b"1")

    assert transport.size(NAME) == 5
    assert transport.size("top") == 1


def test_what_is_not_there_has_no_size(remote_folder: FolderOnServer, transport: Transport) -> None:
    assert transport.size(NAME) is None
    remote_folder.plant(NAME, b"12345")
    assert transport.size("packs/ab/other.pack") is None
    assert transport.size("nowhere/at/all") is None


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, None), (0, 1), (1, None), (1_000_001, 1_000_000), (0, 9_999_999), (2_999_999, 1)],
)
def test_any_range_can_be_got(
    offset: int, length: int | None, remote_folder: FolderOnServer, transport: Transport
) -> None:
    remote_folder.plant(NAME, CONTENT)

    end = None if length is None else offset + length
    assert fetch(transport, NAME, offset, length) == CONTENT[offset:end]


def test_one_connection_gets_range_after_range(
    remote_folder: FolderOnServer, transport: Transport
) -> None:
    remote_folder.plant(NAME, CONTENT)

    for offset in range(0, 3_000_000, 500_000):
        assert fetch(transport, NAME, offset, 1000) == CONTENT[offset : offset + 1000]
    assert transport.size(NAME) == len(CONTENT)


def test_at_its_end_a_file_has_no_more(remote_folder: FolderOnServer, transport: Transport) -> None:
    remote_folder.plant(NAME, CONTENT)

    assert fetch(transport, NAME, len(CONTENT)) == b""


def test_what_is_not_there_is_missing(remote_folder: FolderOnServer, transport: Transport) -> None:
    remote_folder.plant("packs/ab/other", b"1")

    with pytest.raises(MissingError):
        fetch(transport, NAME)
    with pytest.raises(MissingError):
        fetch(transport, "nowhere/at/all", 5, 5)
    assert fetch(transport, "packs/ab/other") == b"1"


@pytest.mark.parametrize("error", [ZeroDivisionError, FullError])
def test_a_sink_that_refuses_is_heard(
    error: type[Exception], remote_folder: FolderOnServer, transport: Transport
) -> None:
    remote_folder.plant(NAME, CONTENT)

    def refuse(_: memoryview) -> None:
        raise error

    with pytest.raises(error):
        transport.get(NAME, refuse)

    other = transport.clone()
    assert fetch(other, NAME, 0, 10) == CONTENT[:10]
    other.close()


def test_a_folder_is_listed(remote_folder: FolderOnServer, transport: Transport) -> None:
    for name in ["bundles/bb/x", "bundles/aa/y", "bundles/file", "packs/z", "top"]:
        remote_folder.plant(name, b"1")

    assert transport.list("bundles", 10) == ["aa", "bb", "file"]
    assert transport.list("bundles/aa", 10) == ["y"]
    assert transport.list("", 10) == ["bundles", "packs", "top"]


def test_a_folder_that_is_not_there_has_no_names(
    remote_folder: FolderOnServer, transport: Transport
) -> None:
    assert transport.list("bundles", 10) == []
    assert transport.list("", 10) == []
    remote_folder.plant("bundles/aa", b"1")
    assert transport.list("bundles/bb", 10) == []


def test_many_names_are_listed(remote_folder: FolderOnServer, transport: Transport) -> None:
    with ThreadPoolExecutor(8) as pool:  # one page of S3 has 1,000
        list(pool.map(lambda number: remote_folder.plant(f"bundles/{number:04}", b""), range(1100)))

    assert transport.list("bundles", 1100) == [f"{number:04}" for number in range(1100)]


def test_more_names_than_wanted_are_refused(
    remote_folder: FolderOnServer, transport: Transport
) -> None:
    for name in "abc":
        remote_folder.plant(f"bundles/{name}", b"")

    assert transport.list("bundles", 3) == ["a", "b", "c"]
    with pytest.raises(CorruptError):
        transport.list("bundles", 2)


def test_a_small_file_is_published(remote_folder: FolderOnServer, transport: Transport) -> None:
    assert transport.publish("bundles/aa/manifest.msgpack", b"12345") is True
    assert transport.publish("top", b"") is True

    assert remote_folder.files() == {"bundles/aa/manifest.msgpack": b"12345", "top": b""}


def test_a_published_file_is_only_replaced_on_request(
    remote_folder: FolderOnServer, transport: Transport
) -> None:
    remote_folder.plant(NAME, b"old")

    assert transport.publish(NAME, b"newer") is False
    assert remote_folder.files() == {NAME: b"old"}
    assert transport.publish(NAME, b"newer", replace=True) is True
    assert remote_folder.files() == {NAME: b"newer"}


def test_one_of_many_publishers_wins(remote_folder: FolderOnServer, transport: Transport) -> None:
    if not transport.capabilities.creates_exclusively:
        pytest.skip("it asks first")
    made: list[tuple[bool, bytes]] = []
    start = threading.Barrier(4)

    def publish(data: bytes) -> None:
        one = transport.clone()
        start.wait(60)
        made.append((one.publish(NAME, data), data))
        one.close()

    together(
        [threading.Thread(target=publish, args=(bytes([n]) * 999,), daemon=True) for n in range(4)]
    )

    assert [created for created, _ in made].count(True) == 1
    assert remote_folder.files() == {NAME: dict(made)[True]}


def test_a_reader_never_sees_a_mix(transport: Transport) -> None:
    if not transport.capabilities.replaces_atomically:
        pytest.skip("it cannot")
    reader = transport.clone()
    seen: set[bytes] = set()
    transport.publish(NAME, b"a" * 9_999)
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.add(fetch(reader, NAME))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    for letter in b"bcdefgh":
        transport.publish(NAME, bytes([letter]) * 9_999, replace=True)
    over.set()
    thread.join(60)
    reader.close()

    assert seen <= {bytes([letter]) * 9_999 for letter in b"abcdefgh"}


def test_a_file_can_be_deleted(remote_folder: FolderOnServer, transport: Transport) -> None:
    remote_folder.plant(NAME, b"1")
    remote_folder.plant("packs/ab/other", b"2")

    transport.delete(NAME)

    assert remote_folder.files() == {"packs/ab/other": b"2"}
    assert transport.size(NAME) is None


def test_deleting_what_is_not_there_is_fine(
    remote_folder: FolderOnServer, transport: Transport
) -> None:
    transport.delete(NAME)
    remote_folder.plant("packs/ab/other", b"2")
    transport.delete(NAME)

    assert remote_folder.files() == {"packs/ab/other": b"2"}


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: repr(name)[:20])
def test_names_that_could_mean_something_else_are_refused(
    name: str, remote_folder: FolderOnServer, transport: Transport, source: Path
) -> None:
    attempts: list[Callable[[], object]] = [
        lambda: transport.size(name),
        lambda: transport.get(name, len),
        lambda: transport.put(name, source, len(CONTENT)),
        lambda: transport.put(NAME, source, len(CONTENT), name or "a//b"),
        lambda: transport.publish(name, b"1"),
        lambda: transport.delete(name),
        lambda: transport.list(name or "a//b", 10),
    ]

    for attempt in attempts:
        with pytest.raises(TransportError, match="name"):
            attempt()
    assert remote_folder.files() == {}


def test_clones_work_side_by_side(
    remote_folder: FolderOnServer, transport: Transport, source: Path
) -> None:
    remote_folder.plant("shared", CONTENT)
    errors: list[BaseException] = []

    def work(number: int) -> None:
        one = transport.clone()
        try:
            assert one.put(f"packs/{number}", source, len(CONTENT)) == "stored"
            assert fetch(one, "shared") == CONTENT
            assert one.publish(f"small/{number}", b"1")
        except BaseException as error:  # noqa: BLE001  (raised by the test's own thread)
            errors.append(error)
        finally:
            one.close()

    together([threading.Thread(target=work, args=(number,), daemon=True) for number in range(4)])

    assert errors == []
    assert len(remote_folder.files()) == 9


def test_it_may_be_closed_twice(transport: Transport) -> None:
    transport.size(NAME)

    transport.close()
    transport.close()


def test_one_that_was_never_used_may_be_closed(transport: Transport) -> None:
    transport.clone().close()


@over_a_network
def test_a_dead_connection_is_reported_and_a_clone_works(
    remote_folder: FolderOnServer, proxy: Proxy
) -> None:
    remote_folder.plant(NAME, CONTENT)
    connection = remote_folder.open(proxy)
    assert connection.size(NAME) == len(CONTENT)

    proxy.sever()

    hint = ""
    try:
        size = connection.size(NAME)
    except TransientError as error:
        hint = error.hint
    else:  # a library that reconnects by itself is fine too
        assert size == len(CONTENT)
        hint = "not needed"
    other = connection.clone()
    connection.close()
    connection.close()
    assert hint
    assert fetch(other, NAME, 5, 10) == CONTENT[5:15]
    other.close()


@over_a_network
@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_a_download_that_broke_resumes(
    kind: str, remote_folder: FolderOnServer, proxy: Proxy
) -> None:
    remote_folder.plant(NAME, CONTENT)
    proxy.faults.append(fault(kind, "down", 1_000_000))
    found = bytearray()
    one = remote_folder.open(proxy)

    tries = 0
    while len(found) < len(CONTENT) and tries < 3:
        tries += 1
        try:
            one.get(NAME, found.extend, len(found))
        except TransientError:
            broken, one = one, one.clone()
            broken.close()
    one.close()

    assert proxy.faults[0].times == 0
    assert tries == 2
    assert found == CONTENT
    lost = 1_000_000 if kind == "reset" else 0  # what was under way when the reset came
    assert proxy.down < 1.1 * len(CONTENT) + lost


@over_a_network
@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_an_upload_that_broke_resumes(
    kind: str, remote_folder: FolderOnServer, proxy: Proxy, source: Path
) -> None:
    one = remote_folder.open(proxy)
    proxy.faults.append(fault(kind, "up", 1_500_000, tries(one)))

    with pytest.raises(TransientError):
        one.put(NAME, source, len(CONTENT))
    proxy.faults.clear()
    assert NAME not in remote_folder.files()
    other = one.clone()
    one.close()

    stored = other.put(NAME, source, len(CONTENT))
    other.close()
    assert remote_folder.files() == {NAME: CONTENT}
    if other.capabilities.resumes_uploads and kind == "cut":  # a reset may lose what is under way
        assert stored == "resumed"
        assert proxy.up < 1.5 * len(CONTENT)


@over_a_network
def test_a_manifest_that_broke_is_not_there(remote_folder: FolderOnServer, proxy: Proxy) -> None:
    one = remote_folder.open(proxy)
    proxy.faults.append(fault("cut", "up", 200_000, tries(one)))

    with pytest.raises(TransientError):
        one.publish(NAME, CONTENT[:900_000])

    proxy.faults.clear()
    other = one.clone()
    one.close()
    assert NAME not in remote_folder.files()
    assert other.publish(NAME, CONTENT[:900_000]) is True
    other.close()
    assert remote_folder.files()[NAME] == CONTENT[:900_000]


@over_a_network
def test_a_server_that_is_gone_is_reported(remote_folder: FolderOnServer, proxy: Proxy) -> None:
    one = remote_folder.open(proxy)
    proxy.__exit__()

    with pytest.raises(AirgapError) as caught:
        one.size(NAME)
    one.close()

    assert isinstance(caught.value, TransportError)
    assert caught.value.hint


def fault(kind: str, direction: Direction, after: int, times: int = 1) -> Fault:
    return Fault("reset" if kind == "reset" else "cut", direction, after, times)


def tries(transport: Transport) -> int:
    """How often a road is to break before a transport says so.

    Where uploads are not resumed, a library may send a part of one again by itself.
    """
    return 1 if transport.capabilities.resumes_uploads else 9


def together(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
