"""Images from a registry by skopeo, which is also the oracle for digests."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from airgap.errors import MissingError, TransportError
from airgap.flow.exporting.images import make_source, parse_image, parse_platforms
from airgap.store.source_tree import read_stable
from tests.servers.registry import Registry
from tests.support import closure_items, oci_images
from tests.support.closure_items import hex_of

pytestmark = pytest.mark.servers

AMD, AMD_BLOBS = oci_images.image_for("amd64", b"base", b"bento")
ARM, ARM_BLOBS = oci_images.image_for("arm64", b"base")
INDEX = oci_images.index_of((AMD, "linux/amd64"), (ARM, "linux/arm64/v8"))


@pytest.fixture(scope="module")
def pushed(docker_registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The reference of an index that skopeo pushed."""
    if shutil.which("skopeo") is None:
        pytest.skip("not installed: skopeo")
    layout = tmp_path_factory.mktemp("layout")
    blobs = [INDEX, *AMD_BLOBS, *ARM_BLOBS]
    item = closure_items.image_of(INDEX, blobs, "1", media_type=closure_items.INDEX_TYPE)
    oci_images.write_layout(layout, item)
    reference = f"{docker_registry.host}/team/shop:1"
    skopeo("copy", "--all", "--preserve-digests", "--dest-tls-verify=false", f"oci:{layout}:1",
           f"docker://{reference}")  # fmt: skip
    return reference


def skopeo(*arguments: str) -> bytes:
    return subprocess.run(
        ["skopeo", *arguments], check=True, capture_output=True, timeout=600
    ).stdout


def fetched(text: str, tmp_path: Path, *platforms: str) -> dict[str, bytes]:
    source = make_source(parse_image(text), parse_platforms(platforms), tmp_path)
    assert source.name == "shop"
    blobs = {file.path: b"".join(read_stable(file)) for file in source.tree.files}
    assert source.version == hex_of(blobs["index.json"])[:32]
    assert hex_of(INDEX).encode() in blobs["index.json"]
    return blobs


def test_every_digest_is_that_of_the_registry(pushed: str, tmp_path: Path) -> None:
    blobs = fetched(pushed, tmp_path)

    expected = {f"blobs/sha256/{hex_of(blob)}" for blob in [INDEX, *AMD_BLOBS, *ARM_BLOBS]}
    assert blobs.keys() == {"index.json", "oci-layout", *expected}
    assert all(
        path.endswith(hashlib.sha256(data).hexdigest())
        for path, data in blobs.items()
        if path.startswith("blobs/")
    )
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{pushed}")
    assert blobs[f"blobs/sha256/{hex_of(INDEX)}"] == raw


def test_a_platform_is_fetched_alone(pushed: str, tmp_path: Path) -> None:
    blobs = fetched(f"docker://{pushed}", tmp_path, "linux/arm64")
    assert f"blobs/sha256/{hex_of(ARM)}" in blobs
    assert f"blobs/sha256/{hex_of(AMD)}" not in blobs
    with pytest.raises(MissingError, match="linux/s390x"):
        fetched(pushed, tmp_path, "linux/s390x")


def test_what_skopeo_says_is_passed_on(docker_registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(TransportError, match="skopeo could not fetch") as failed:
        make_source(parse_image(f"{docker_registry.host}/team/none:1"), [], tmp_path)
    assert "manifest unknown" in " ".join(failed.value.details)
