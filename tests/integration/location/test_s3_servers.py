"""What real servers that speak S3 do where the contract does not look."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.carrier.depot import Depot
from airgap.errors import TransportError
from airgap.transport.port import TransientError
from airgap.transport.s3.options import S3Keys
from airgap.transport.s3.transport import S3Transport
from tests.servers import rgw, swift
from tests.servers.proxy import Fault
from tests.servers.s3 import S3Server
from tests.support import stores

pytestmark = pytest.mark.servers

LARGE = 20 * 1024 * 1024
SERVERS = {"rgw": rgw.serve, "swift": swift.serve}


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[S3Server]:
    """Each of them, running."""
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as one:
        yield one


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file that goes up in three parts."""
    path = tmp_path / "source"
    path.write_bytes(stores.noise(LARGE))
    return path


def test_a_large_file_goes_in_parts_and_comes_back(server: S3Server, source: Path) -> None:
    transport, found = server.open("parts"), bytearray()

    assert transport.put("packs/file", source, LARGE) == "stored"

    assert transport.get("packs/file", found.extend) == LARGE
    assert found == source.read_bytes()
    assert server.unfinished() == []


@pytest.mark.parametrize("after", [2_000_000, 12_000_000])
def test_a_byte_that_changes_on_the_way_is_refused(
    after: int, server: S3Server, source: Path
) -> None:
    with server.proxy() as proxy:
        proxy.faults.append(Fault("flip", "up", after % 8_000_000, times=3))

        with pytest.raises(TransientError):
            server.open(f"flip{after}", proxy).put("packs/file", source, LARGE)

    assert server.files(f"flip{after}") == {}


def test_a_cut_costs_a_part_and_not_the_pack(server: S3Server, source: Path) -> None:
    with server.proxy() as proxy:
        proxy.faults.append(Fault("cut", "up", 4_000_000, times=2))

        assert server.open("cut", proxy).put("packs/file", source, LARGE) == "stored"

        assert proxy.faults[0].times == 0
        assert proxy.up < LARGE + 2 * 8 * 1024 * 1024
    assert server.files("cut") == {"packs/file": source.read_bytes()}


def test_the_parts_of_an_upload_that_broke_are_removed(server: S3Server, source: Path) -> None:
    with server.proxy() as proxy:
        proxy.faults.append(Fault("cut", "up", 4_000_000, times=20))

        with pytest.raises(TransientError):
            server.open("broken", proxy).put("packs/file", source, LARGE)

    assert server.unfinished() == []
    assert server.open("broken").put("packs/file", source, LARGE) == "stored"


def test_a_server_tells_whether_it_knows_conditions(server: S3Server) -> None:
    transport = S3Transport(replace(server.options("conditions", server.port), conditional=True))

    assert transport.publish("file", b"1") is True

    assert transport.capabilities.creates_exclusively is server.conditional
    assert transport.publish("file", b"2") is False
    assert server.files("conditions") == {"file": b"1"}


ACTS: list[tuple[str, Callable[[S3Transport], object]]] = [
    ("s3:GetObject", lambda one: one.size("file")),
    ("s3:GetObject", lambda one: one.get("file", len)),
    ("s3:ListBucket", lambda one: one.list("", 10)),
    ("s3:PutObject", lambda one: one.publish("file", b"1", replace=True)),
    ("s3:DeleteObject", lambda one: one.delete("file")),
]


@pytest.mark.parametrize(("permission", "act"), ACTS, ids=["size", "get", "list", "put", "delete"])
def test_a_missing_permission_is_named(
    permission: str, act: Callable[[S3Transport], object], server: S3Server
) -> None:
    server.plant("closed", "file", b"1")
    stranger = S3Transport(replace(server.options("closed", server.port), keys=server.stranger))

    with pytest.raises(TransportError) as caught:
        act(stranger)

    assert "s3://depots/closed" in str(caught.value)
    assert permission in caught.value.hint


@pytest.mark.parametrize(
    ("flaw", "says"), [("secret", "secret key"), ("identity", "access key"), ("bucket", "bucket")]
)
def test_wrong_settings_are_distinguished(flaw: str, says: str, server: S3Server) -> None:
    right = server.options("wrong", server.port)
    wrong = {
        "secret": replace(right, keys=S3Keys(server.keys.identity, "hidden")),
        "identity": replace(right, keys=S3Keys("unknown", server.keys.secret)),
        "bucket": replace(right, bucket="another"),
    }[flaw]

    with pytest.raises(TransportError) as caught:
        S3Transport(wrong).publish("file", b"", replace=True)

    assert says in f"{caught.value} {caught.value.hint}"
    assert "hidden" not in f"{caught.value} {caught.value.hint}"


def test_a_bucket_without_object_lock_has_none(server: S3Server) -> None:
    """Whether the server knows of locks, and says no, or knows nothing of them."""
    with closing(Depot(server.open("lockless"))) as depot:
        depot.transport.publish("file", b"1")

        assert depot.find_lock() is None

        depot.transport.delete("file")
    assert server.files("lockless") == {}
