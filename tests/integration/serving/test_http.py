"""What a mirror answers to plain HTTP: ranges, reasons, and nothing that changes anything."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from airgap.errors import UsageError
from airgap.server.mirror.sending import parse_range
from airgap.server.mirror.server import ClientTerms, parse_address
from tests.support.mirrors import (
    RunningMirror,
    find_pack,
    flip_byte,
    revoke_bundle,
    running,
    serving,
)
from tests.support.sides import Side, Site

MODEL = "/api/v1/model_repositories/ranker/models/v1"


@pytest.fixture
def mirror(isolated: Side, depot: Path) -> Iterator[RunningMirror]:
    with running(isolated, depot) as mirror:
        yield mirror


def ask(
    mirror: RunningMirror, path: str, method: str = "GET", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(urlsplit(mirror.url).netloc, timeout=60)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=named)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def test_a_download_can_be_resumed(mirror: RunningMirror) -> None:
    answer, whole = ask(mirror, f"{MODEL}/download")
    etag = answer.getheader("ETag") or ""
    assert answer.status == 200
    assert answer.getheader("Content-Length") == str(len(whole))

    answer, rest = ask(mirror, f"{MODEL}/download", Range="bytes=200000-", If_Range=etag)
    assert answer.status == 206
    assert answer.getheader("Content-Range") == f"bytes 200000-{len(whole) - 1}/{len(whole)}"
    assert rest == whole[200_000:]

    answer, changed = ask(mirror, f"{MODEL}/download", Range="bytes=5-", If_Range='"other"')
    assert (answer.status, changed) == (200, whole)


def test_what_a_client_has_is_not_sent_again(mirror: RunningMirror) -> None:
    answer, data = ask(mirror, f"{MODEL}/download", "HEAD")
    assert (answer.status, data) == (200, b"")
    assert int(answer.getheader("Content-Length") or 0) > 400_000
    etag = answer.getheader("ETag") or ""
    answer, data = ask(mirror, f"{MODEL}/download", If_None_Match=f'"other", {etag}')
    assert (answer.status, data) == (304, b"")


def test_a_range_beyond_the_end_is_refused(mirror: RunningMirror) -> None:
    answer, data = ask(mirror, f"{MODEL}/download", Range="bytes=9999999999-")
    assert (answer.status, data) == (416, b"")
    assert (answer.getheader("Content-Range") or "").startswith("bytes */")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("bytes=0-", range(10)),
        ("bytes=2-3", range(2, 4)),
        ("bytes=2-99", range(2, 10)),
        ("bytes=-4", range(6, 10)),
        ("bytes=-99", range(10)),
        ("bytes=10-", range(0)),
        ("bytes=-0", range(0)),
        *((text, None) for text in ("", "bytes=-", "bytes=3-2", "bytes=1-2,4-5", "items=1-2")),
        *(
            (text, None)
            for text in ("bytes=+1-2", "bytes=1- 2", "bytes=\u0661-", "bytes=" + "9" * 40)
        ),
    ],
)
def test_a_range_of_ten_bytes(text: str, part: range | None) -> None:
    assert parse_range(text, 10) == part


def test_a_damaged_download_is_broken_off_before_its_length(isolated: Side, depot: Path) -> None:
    with serving(isolated, depot):
        pass
    with running(isolated, depot) as mirror:
        flip_byte(find_pack(depot), 300_000)
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            ask(mirror, f"{MODEL}/download")
        assert any("is damaged or gone" in line for line in mirror.lines)
        answer, _ = ask(mirror, f"{MODEL}/download")
        assert answer.status == 404


def test_what_is_revoked_is_not_found_and_the_reason_is_given(
    connected: Side, site: Site, isolated: Side, depot: Path, tmp_path: Path
) -> None:
    with running(isolated, depot) as mirror:
        (bundle,) = (path.name for path in (depot / "bundles").iterdir())
        revoke_bundle(connected, site, bundle, tmp_path / "next.msgpack")
        assert isolated.run("trust", "update", tmp_path / "next.msgpack").code == 0
        mirror.server.examine()
        for path in (MODEL, f"{MODEL}/download"):
            answer, data = ask(mirror, path)
            assert answer.status == 404
            assert "revoked by the site's root" in (answer.getheader("X-Airgap-Reason") or "")
            assert b"revoked" in data
        listed = json.loads(ask(mirror, "/api/v1/models")[1])
    assert listed["items"] == []


def test_lists_have_pages(mirror: RunningMirror) -> None:
    answer, data = ask(mirror, "/api/v1/model_repositories/ranker/models?start=0&count=10")
    page = json.loads(data)
    assert [item["version"] for item in page["items"]] == ["v1"]
    assert (page["count"], page["total"]) == (1, 1)
    answer, data = ask(mirror, "/api/v1/model_repositories/ranker/models?start=1&count=1")
    assert (answer.status, json.loads(data)["items"]) == (200, [])


@pytest.mark.parametrize("query", ["start=-1", "count=many", "count=" + "9" * 30, "q=a:b"])
def test_a_malformed_question_is_refused(mirror: RunningMirror, query: str) -> None:
    answer, _ = ask(mirror, f"/api/v1/model_repositories/ranker/models?{query}")
    assert answer.status == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/v1/model_repositories", 403),
        ("POST", "/api/v1/bento_repositories/shop/bentos", 403),
        ("PUT", f"{MODEL}/upload", 403),
        ("PATCH", f"{MODEL}/start_upload", 403),
        ("DELETE", MODEL, 405),
        ("PUT", f"{MODEL}/download", 405),
    ],
)
def test_nothing_can_be_changed(mirror: RunningMirror, method: str, path: str, status: int) -> None:
    answer, _ = ask(mirror, path, method)
    assert answer.status == status


@pytest.mark.parametrize(
    "path",
    [
        *("/api/v1", "//", "/..", "/api/v1/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd"),
        "/api/v1/model_repositories/..%2f..%2fetc/models/passwd/download",
        "/api/v1/model_repositories/%00/models/v1",
        "/api/v1/model_repositories/ranker/models/' or 1=1 --".replace(" ", "%20"),
        "/api/v1/model_repositories/" + "a" * 5000 + "/models/v1",
    ],
)
def test_strange_paths_are_not_found(mirror: RunningMirror, path: str) -> None:
    answer, _ = ask(mirror, path)
    assert answer.status in {400, 404}


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "localhost:1", "127.0.0.1:-1", ":80", "127.0.0.1:65536"]
)
def test_an_address_has_a_port(text: str) -> None:
    with pytest.raises(UsageError, match="not an address with a port"):
        parse_address(text)


def test_without_tls_and_tokens_only_this_machine_is_answered() -> None:
    assert parse_address("[::1]:80") == ("::1", 80)
    one = Path("one.pem")
    for terms in (ClientTerms(), ClientTerms(tokens=one), ClientTerms(one, one)):
        terms.refuse_open("127.0.0.2")
        terms.refuse_open("::1")
        with pytest.raises(UsageError, match="TLS and tokens are needed"):
            terms.refuse_open("0.0.0.0")  # noqa: S104
    ClientTerms(one, one, one).refuse_open("0.0.0.0")  # noqa: S104
