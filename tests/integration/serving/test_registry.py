"""Stock skopeo copies images from a mirror, digest by digest."""

import http.client
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support import closure_items, oci_images
from tests.support.closure_items import hex_of
from tests.support.mirrors import (
    RunningMirror,
    find_pack,
    flip_byte,
    forge_depot,
    running,
    serving,
)
from tests.support.sides import Side, Site

LAYER = oci_images.tar_of({"etc/name": b"base"})
AMD, AMD_BLOBS = oci_images.image_for("amd64", LAYER)
ARM, ARM_BLOBS = oci_images.image_for("arm64", LAYER)
INDEX = oci_images.index_of((AMD, "linux/amd64"), (ARM, "linux/arm64"))
BLOBS = list({hex_of(blob): blob for blob in [INDEX, *AMD_BLOBS, *ARM_BLOBS]}.values())
MANIFEST = "/v2/team/shop/manifests"


@pytest.fixture
def depot(site: Site, tmp_path: Path) -> Path:
    reference, media_type = "registry.example:5000/team/shop:1.4", closure_items.INDEX_TYPE
    item = closure_items.image_of(INDEX, BLOBS, reference, media_type=media_type)
    return forge_depot(tmp_path / "depot", site, item)


@pytest.fixture
def mirror(isolated: Side, depot: Path) -> Iterator[RunningMirror]:
    with running(isolated, depot) as mirror:
        yield mirror


def ask(
    mirror: RunningMirror, path: str, method: str = "GET"
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(urlsplit(mirror.url).netloc, timeout=60)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def skopeo(mirror: RunningMirror, tag: str, folder: Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("skopeo") is None:
        pytest.skip("not installed: skopeo")
    source = f"docker://{urlsplit(mirror.url).netloc}/team/shop{tag}"
    words = ("copy", "--all", "--preserve-digests", "--src-tls-verify=false", source)
    return subprocess.run(
        ["skopeo", "--insecure-policy", *words, f"oci:{folder}:got"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("tag", [":1.4", ":latest", f"@sha256:{hex_of(INDEX)}"])
def test_skopeo_copies_an_image_of_all_platforms(
    mirror: RunningMirror, tmp_path: Path, tag: str
) -> None:
    ran = skopeo(mirror, tag, tmp_path / "got")
    assert ran.returncode == 0, ran.stderr
    got = {path.name: path.read_bytes() for path in (tmp_path / "got/blobs/sha256").iterdir()}
    assert got == {hex_of(blob): blob for blob in BLOBS}


def test_a_layer_that_is_damaged_while_it_is_served_is_not_copied(
    isolated: Side, depot: Path, tmp_path: Path
) -> None:
    with serving(isolated, depot):
        pass
    with running(isolated, depot) as mirror:
        pack = find_pack(depot)
        flip_byte(pack, pack.read_bytes().index(LAYER) + 5)
        ran = skopeo(mirror, ":1.4", tmp_path / "got")
    assert ran.returncode != 0
    assert not (tmp_path / "got/blobs/sha256" / hex_of(LAYER)).exists()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_manifest_has_its_own_type_and_digest(mirror: RunningMirror, method: str) -> None:
    for reference, document, media_type in (
        ("1.4", INDEX, closure_items.INDEX_TYPE),
        (f"sha256:{hex_of(INDEX)}", INDEX, closure_items.INDEX_TYPE),
        (f"sha256:{hex_of(AMD)}", AMD, closure_items.MANIFEST_TYPE),
    ):
        answer, data = ask(mirror, f"{MANIFEST}/{reference}", method)
        assert answer.status == 200
        assert answer.getheader("Content-Type") == media_type
        assert answer.getheader("Docker-Content-Digest") == f"sha256:{hex_of(document)}"
        assert answer.getheader("Content-Length") == str(len(document))
        assert data == (document if method == "GET" else b"")


def test_what_there_is_is_listed(mirror: RunningMirror) -> None:
    assert json.loads(ask(mirror, "/v2/_catalog")[1]) == {"repositories": ["team/shop"]}
    assert json.loads(ask(mirror, "/v2/team/shop/tags/list")[1])["tags"] == ["1.4"]
    assert ask(mirror, "/v2/")[0].status == 200
    answer, data = ask(mirror, f"/v2/team/shop/referrers/sha256:{hex_of(INDEX)}")
    assert (answer.status, json.loads(data)["manifests"]) == (200, [])


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v2/none/manifests/1", "NAME_UNKNOWN"),
        ("/v2/none/tags/list", "NAME_UNKNOWN"),
        (f"{MANIFEST}/2", "MANIFEST_UNKNOWN"),
        (f"{MANIFEST}/sha256:{hex_of(LAYER)}", "MANIFEST_UNKNOWN"),
        (f"/v2/team/shop/blobs/sha256:{'0' * 64}", "BLOB_UNKNOWN"),
        ("/v2/team/shop/blobs/index.json", "BLOB_UNKNOWN"),
        ("/v2/team/shop/blobs/..%2f..%2findex.json", "NAME_UNKNOWN"),
    ],
)
def test_what_is_not_there_is_not_found(mirror: RunningMirror, path: str, code: str) -> None:
    answer, data = ask(mirror, path)
    assert answer.status == 404
    assert json.loads(data)["errors"][0]["code"] == code


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/team/shop/blobs/uploads/"),
        ("PUT", f"{MANIFEST}/1.5"),
        ("DELETE", f"{MANIFEST}/sha256:{hex_of(INDEX)}"),
    ],
)
def test_pushes_are_refused(mirror: RunningMirror, method: str, path: str) -> None:
    answer, data = ask(mirror, path, method)
    assert (answer.status, json.loads(data)["errors"][0]["code"]) == (403, "DENIED")
