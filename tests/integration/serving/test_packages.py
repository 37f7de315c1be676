"""Stock pip and uv install packages from a mirror, and refuse what is damaged."""

import http.client
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from airgap.server.mirror.simple_index import choose_form
from tests.support import closure_items
from tests.support.closure_items import hex_of
from tests.support.mirrors import (
    RunningMirror,
    find_pack,
    flip_byte,
    forge_depot,
    running,
    serving,
)
from tests.support.sides import Side, Site, unmeasured_environment

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
WHEELS = dict([closure_items.wheel("tiny"), closure_items.wheel("tiny", "2.0")])


def add_requirement(wheel: bytes, line: str) -> bytes:
    """Write a wheel again with one more line of METADATA."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(wheel)) as old, zipfile.ZipFile(made, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            new.writestr(info, data + line.encode() if "METADATA" in info.filename else data)
    return made.getvalue()


@pytest.fixture
def depot(site: Site, tmp_path: Path) -> Path:
    name, data = closure_items.wheel("later", "3.0")
    wheels = {"tiny-1.0-py3-none-any.whl": WHEELS["tiny-1.0-py3-none-any.whl"]}
    wheels[name] = add_requirement(data, "Requires-Python: >=3.99\nRequires-Dist: tiny\n")
    tool = {"tiny-2.0-py3-none-any.whl": WHEELS["tiny-2.0-py3-none-any.whl"]}
    return forge_depot(tmp_path / "depot", site, closure_items.wheelhouse(wheels, tools=tool))


@pytest.fixture
def mirror(isolated: Side, depot: Path) -> Iterator[RunningMirror]:
    with running(isolated, depot) as mirror:
        yield mirror


def ask(mirror: RunningMirror, path: str, accept: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(urlsplit(mirror.url).netloc, timeout=60)
    try:
        connection.request("GET", path, headers={"Accept": accept})
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def run(tmp_path: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    kept = {
        "PIP_CONFIG_FILE": os.devnull,
        "UV_NO_CONFIG": "1",
        "UV_CACHE_DIR": str(tmp_path / "uv"),
    }
    return subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        env={**unmeasured_environment(), **kept, "PIP_NO_CACHE_DIR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def pip(mirror: RunningMirror, tmp_path: Path, package: str) -> subprocess.CompletedProcess[str]:
    index = ("--index-url", f"{mirror.url}/simple", "--disable-pip-version-check")
    return run(tmp_path, "pip", "install", *index, "--target", tmp_path / "pip", package)


def test_pip_installs_the_newest_version(mirror: RunningMirror, tmp_path: Path) -> None:
    ran = pip(mirror, tmp_path, "Tiny")
    assert ran.returncode == 0, ran.stderr
    assert "2.0" in (tmp_path / "pip" / "tiny.py").read_text()


def test_pip_passes_over_what_is_for_another_python(mirror: RunningMirror, tmp_path: Path) -> None:
    ran = pip(mirror, tmp_path, "later")
    assert ran.returncode != 0
    assert ">=3.99" in ran.stderr


def test_uv_installs_a_version_by_its_time(mirror: RunningMirror, tmp_path: Path) -> None:
    where = ("--index-url", f"{mirror.url}/simple", "--target", tmp_path / "uv-target")
    words = ("uv", "pip", "install", *where, "--exclude-newer", "2026-06-01", "tiny<2")
    ran = run(tmp_path, *words)
    assert ran.returncode == 0, ran.stderr
    assert "1.0" in (tmp_path / "uv-target" / "tiny.py").read_text()


def test_a_wheel_that_is_damaged_while_it_is_served_is_not_installed(
    isolated: Side, depot: Path, tmp_path: Path
) -> None:
    with serving(isolated, depot):
        pass
    with running(isolated, depot) as mirror:
        pack = find_pack(depot)
        at = pack.read_bytes().index(WHEELS["tiny-2.0-py3-none-any.whl"])
        flip_byte(pack, at + 40)
        ran = pip(mirror, tmp_path, "tiny==2.0")
    assert ran.returncode != 0
    assert not (tmp_path / "pip" / "tiny.py").exists()


def test_pages_say_the_same_in_both_forms(mirror: RunningMirror) -> None:
    answer, data = ask(mirror, "/simple/tiny/", JSON)
    assert (answer.getheader("Content-Type"), answer.getheader("Vary")) == (JSON, "Accept")
    page = json.loads(data)
    assert page["versions"] == ["1.0", "2.0"]
    (first, second) = page["files"]
    assert first["hashes"] == {"sha256": hex_of(WHEELS[first["filename"]])}
    assert first["upload-time"] == "2026-01-02T03:04:05Z"
    assert second["size"] == len(WHEELS[second["filename"]])

    answer, html = ask(mirror, "/simple/tiny/", "text/html")
    assert (answer.getheader("Content-Type") or "").startswith("text/html")
    for file in page["files"]:
        assert f'{file["url"]}#sha256={file["hashes"]["sha256"]}"'.encode() in html
        assert file["core-metadata"]["sha256"].encode() in html
    assert b'data-requires-python="&gt;=3.99"' in ask(mirror, "/simple/later/", HTML)[1]

    path = first["url"].removeprefix("../..")
    _, metadata = ask(mirror, f"{path}.metadata", "*/*")
    assert hex_of(metadata) == first["core-metadata"]["sha256"]
    assert ask(mirror, path, "*/*")[1] == WHEELS[first["filename"]]


def test_every_package_is_listed(mirror: RunningMirror) -> None:
    _, data = ask(mirror, "/simple/", JSON)
    assert json.loads(data)["projects"] == [{"name": "later"}, {"name": "tiny"}]
    assert ask(mirror, "/simple/", "image/png")[0].status == 406


@pytest.mark.parametrize("path", ["/simple/TINY/", "/simple/tiny", "/simple/Tiny"])
def test_other_spellings_lead_to_the_one(mirror: RunningMirror, path: str) -> None:
    answer, _ = ask(mirror, path, JSON)
    assert (answer.status, answer.getheader("Location")) == (301, "/simple/tiny/")


@pytest.mark.parametrize(
    "path",
    [
        *("/simple/none/", "/files/00/tiny-1.0-py3-none-any.whl", "/files/00/tiny"),
        f"/files/{'0' * 64}/tiny-1.0-py3-none-any.whl",
        f"/files/{'0' * 64}/..%2f..%2fpylock.toml",
    ],
)
def test_what_is_not_there_is_not_found(mirror: RunningMirror, path: str) -> None:
    assert ask(mirror, path, "*/*")[0].status == 404


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (f"{JSON}, {HTML};q=0.2, text/html;q=0.01", JSON),
        (f"{JSON};q=0, text/html", "text/html"),
        (f"{HTML}", HTML),
        ("*/*", "text/html"),
        ("text/*;q=0.5", "text/html"),
        ("application/json", None),
        (f"{JSON};q=nonsense", None),
        ("", None),
    ],
)
def test_the_form_that_a_client_prefers(accept: str, form: str | None) -> None:
    assert choose_form(accept) == form
