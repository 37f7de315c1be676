"""Attacks on the inbox of a mirror: what is pushed is hostile, and so may be who pushes."""

import socket
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from airgap.flow.inbox.inbox import Inbox, PushedTag
from airgap.server.mirror.server import ClientTerms
from tests.support.mirrors import RunningMirror, running
from tests.support.pushes import DESCRIPTION, MODEL, TOP, file, pack
from tests.support.sides import Side

TAG = PushedTag("model", "m", "v1")


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "inbox")


@pytest.fixture
def mirror(isolated: Side, depot: Path, inbox: Inbox) -> Iterator[RunningMirror]:
    with running(isolated, depot, ClientTerms(inbox=inbox.folder)) as mirror:
        yield mirror


def ask(mirror: RunningMirror, method: str, path: str, **more: object) -> httpx.Response:
    return httpx.request(method, mirror.url + path, timeout=60, **more)  # type: ignore[arg-type]


def register(mirror: RunningMirror) -> None:
    created = ask(mirror, "POST", TOP, json={"version": "v1", "manifest": {}})
    assert created.status_code == 200, created.text


HOSTILE = {
    "climbs": pack(MODEL, file("../../outside")),
    "absolute": pack(MODEL, file("/outside")),
    "link out": pack(MODEL, ("link", tarfile.SYMTYPE, b"../../../outside")),
    "through a link": pack(MODEL, ("link", tarfile.SYMTYPE, b"."), file("link/x")),
    "hard link": pack(MODEL, ("hard", tarfile.LNKTYPE, b"model.yaml")),
    "device": pack(MODEL, ("null", tarfile.CHRTYPE, b"")),
    "twice": pack(MODEL, MODEL),
    "two cases": pack(MODEL, file("a"), file("A")),
    "another name": pack(file("model.yaml", DESCRIPTION.replace(b"name: m", b"name: n"))),
    "no description": pack(file("weights.bin")),
    "not DESCRIPTION": pack(file("model.yaml", b"\x00{")),
    "a Bento": pack(file("bento.yaml", b"name: m\nversion: v1\nservice: a:b\n")),
    "GNU": pack(MODEL, form=tarfile.GNU_FORMAT),
    "cut off": pack(MODEL, file("weights.bin", b"x" * 9000))[:4096],
    "more behind": pack(MODEL) + b"x" * 20_000,
    "no tar": b"hello",
    "nothing": b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(
    mirror: RunningMirror, inbox: Inbox, name: str
) -> None:
    register(mirror)
    answer = ask(mirror, "PUT", f"{TOP}/v1/upload", content=HOSTILE[name])
    assert answer.status_code in (409, 422), answer.text
    assert inbox.list_items() == []
    assert not [path for path in inbox.home.rglob("*") if path.is_file()]
    assert not list(inbox.uploads.iterdir())
    found = ask(mirror, "GET", f"{TOP}/v1").json()
    assert found["upload_status"] == "failed"
    assert found["upload_finished_reason"]


REQUESTS: dict[str, tuple[str, str, dict[str, object], int]] = {
    "not JSON": ("POST", TOP, {"content": b"{"}, 400),
    "not an object": ("POST", TOP, {"json": []}, 400),
    "nested": ("POST", TOP, {"content": b"[" * 100_000}, 400),
    "too long": ("POST", TOP, {"content": b" " * (5 << 20)}, 413),
    "no version": ("POST", TOP, {"json": {}}, 400),
    "a path": ("POST", TOP, {"json": {"version": "../../x"}}, 400),
    "a folder": ("POST", TOP, {"json": {"version": "a/b"}}, 400),
    "labels": ("POST", TOP, {"json": {"version": "v1", "labels": [1]}}, 400),
    "manifest": ("POST", TOP, {"json": {"version": "v1", "manifest": 1}}, 400),
    "unregistered": ("PUT", f"{TOP}/v2/upload", {"content": b"x"}, 404),
    "no length": ("PUT", f"{TOP}/v1/upload", {"content": iter([b"x"])}, 411),
    "upload": (
        "PATCH",
        f"{TOP}/v1/presign_multipart_upload_url",
        {"json": {"upload_id": "x"}},
        404,
    ),
    "complete": ("PATCH", f"{TOP}/v1/complete_multipart_upload", {"json": {"parts": []}}, 404),
    "address": ("PUT", "/-/upload/0123/1", {"content": b"x"}, 404),
    "finish": ("PATCH", f"{TOP}/v1/finish_upload", {"json": {"status": "success"}}, 404),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_malformed_request_is_refused(mirror: RunningMirror, inbox: Inbox, name: str) -> None:
    method, path, more, status = REQUESTS[name]
    register(mirror)
    assert ask(mirror, method, path, **more).status_code == status
    assert inbox.list_items() == []


@pytest.fixture
def parts(mirror: RunningMirror) -> Callable[[], tuple[str, str]]:
    """Begin an upload in parts: its id, and the address of its first part without its number."""

    def begin() -> tuple[str, str]:
        register(mirror)
        upload = ask(mirror, "PATCH", f"{TOP}/v1/start_multipart_upload").json()["upload_id"]
        return upload, f"/-/upload/{upload}/"

    return begin


def complete(mirror: RunningMirror, upload: str, *etags: str) -> httpx.Response:
    named = [{"part_number": at, "etag": etag} for at, etag in enumerate(etags, 1)]
    body = {"upload_id": upload, "parts": named}
    return ask(mirror, "PATCH", f"{TOP}/v1/complete_multipart_upload", json=body)


def test_parts_come_in_any_order_and_again(
    mirror: RunningMirror, inbox: Inbox, parts: Callable[[], tuple[str, str]]
) -> None:
    upload, address = parts()
    data = pack(MODEL, file("weights.bin", bytes(range(256)) * 400))
    cut = [data[:5000], data[5000:70_000], data[70_000:]]
    etags = {}
    for number in (3, 1, 1, 2):
        sent = ask(mirror, "PUT", f"{address}{number}", content=cut[number - 1])
        etags[number] = sent.headers["etag"]
    assert ask(mirror, "PUT", f"{address}2", content=b"others").status_code == 409

    assert complete(mirror, upload, etags[1], etags[3], etags[2]).status_code == 400
    assert complete(mirror, upload, *(etags[at] for at in (1, 2, 3))).status_code == 200
    assert inbox.list_items() == []  # not before the client says that it has ended
    ended = ask(mirror, "PATCH", f"{TOP}/v1/finish_upload", json={"status": "success"})
    assert ended.json()["upload_status"] == "success"
    weights = inbox.find_folder(TAG) / "weights.bin"
    assert weights.read_bytes() == bytes(range(256)) * 400


def test_an_upload_that_lacks_a_part_never_arrives(
    mirror: RunningMirror, inbox: Inbox, parts: Callable[[], tuple[str, str]]
) -> None:
    upload, address = parts()
    data = pack(MODEL)
    etag = ask(mirror, "PUT", f"{address}2", content=data).headers["etag"]
    assert complete(mirror, upload, etag, etag).status_code == 400
    failed = ask(mirror, "PATCH", f"{TOP}/v1/finish_upload", json={"status": "failed"})
    assert failed.json()["upload_status"] == "failed"
    ended = ask(mirror, "PATCH", f"{TOP}/v1/finish_upload", json={"status": "success"})
    assert ended.status_code == 404
    assert inbox.list_items() == []


def test_of_two_pushes_at_once_the_later_replaces_nothing(
    mirror: RunningMirror, inbox: Inbox, parts: Callable[[], tuple[str, str]]
) -> None:
    (first, one), (second, two) = parts(), parts()
    for upload, address, data in ((first, one, b"first"), (second, two, b"second")):
        sent = ask(mirror, "PUT", f"{address}1", content=pack(MODEL, file("weights.bin", data)))
        assert complete(mirror, upload, sent.headers["etag"]).status_code == 200
    ended = ask(mirror, "PATCH", f"{TOP}/v1/finish_upload", json={"status": "success"})
    assert ended.status_code == 409
    assert "with other content" in ended.text
    assert (inbox.find_folder(TAG) / "weights.bin").read_bytes() == b"first"


def test_a_push_that_breaks_off_leaves_nothing(mirror: RunningMirror, inbox: Inbox) -> None:
    register(mirror)
    host, _, port = mirror.url.removeprefix("http://").partition(":")
    data = pack(MODEL, file("weights.bin", b"x" * 300_000))
    head = f"PUT {TOP}/v1/upload HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(data)}\r\n\r\n"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + data[:200_000])
        for _ in range(1200):  # until the server has begun to write
            if any(inbox.uploads.rglob("1.*")):
                break
            threading.Event().wait(0.05)
        else:
            raise AssertionError("nothing has arrived")
    for _ in range(1200):
        if not list(inbox.uploads.iterdir()):
            break
        threading.Event().wait(0.05)
    assert not list(inbox.uploads.iterdir())
    assert inbox.list_items() == []
    assert ask(mirror, "PUT", f"{TOP}/v1/upload", content=data).status_code == 200


def test_what_a_killed_server_left_is_removed_when_it_starts_again(
    isolated: Side, depot: Path, inbox: Inbox
) -> None:
    left = [inbox.uploads / "abc" / "1.part", inbox.home / ".airgap/staging/push-abc-tree/x"]
    for path in left:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"half")
    (inbox.folder / "uploads").chmod(0o700)
    with running(isolated, depot, ClientTerms(inbox=inbox.folder)):
        assert not any(path.exists() for path in left)


def test_a_record_that_was_changed_is_not_believed(mirror: RunningMirror, inbox: Inbox) -> None:
    register(mirror)
    assert ask(mirror, "PUT", f"{TOP}/v1/upload", content=pack(MODEL)).status_code == 200
    (record,) = inbox.folder.glob("records/*/*/*.json")
    record.rename(record.with_name("v2.json"))
    assert ask(mirror, "GET", f"{TOP}/v2").status_code == 502


def test_an_inbox_takes_no_more_than_it_may(isolated: Side, depot: Path, inbox: Inbox) -> None:
    data = pack(MODEL, file("weights.bin", b"x" * 30_000))
    with running(isolated, depot, ClientTerms(inbox=inbox.folder, inbox_bytes=50_000)) as mirror:
        register(mirror)
        assert ask(mirror, "PUT", f"{TOP}/v1/upload", content=data).status_code == 200
        created = ask(mirror, "POST", TOP, json={"version": "v2", "manifest": {}})
        assert created.status_code == 200
        full = ask(mirror, "PUT", f"{TOP}/v2/upload", content=data)
    assert full.status_code == 507
    assert "of its 50,000 bytes are used" in full.text
    assert [item.tag for item in inbox.list_items()] == [TAG]
