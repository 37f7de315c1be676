"""Images go to a real registry and come back through other tools, with the same digest."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import bcrypt
import pytest

from tests.integration.image.test_push import (
    AMD,
    AMD_BLOBS,
    ARM_BLOBS,
    INDEX,
)
from tests.servers import registry as registries
from tests.servers.certificates import Authority
from tests.servers.registry import Registry
from tests.support import oci_images, stores
from tests.support.closure_items import hex_of
from tests.support.oci_images import install
from tests.support.sides import Side

pytestmark = pytest.mark.servers

BIG = oci_images.tar_of({"big": stores.noise(200) * 400_000})  # more than two chunks
LARGE, LARGE_BLOBS = oci_images.image_for("amd64", BIG)


def skopeo(*arguments: str) -> bytes:
    if shutil.which("skopeo") is None:
        pytest.skip("not installed: skopeo")
    done = subprocess.run(["skopeo", *arguments], check=False, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_digest_in_the_registry_is_the_one_that_travelled(
    docker_registry: Registry, isolated: Side
) -> None:
    for top, blobs, name in [
        (LARGE, LARGE_BLOBS, "large"),
        (INDEX, [INDEX, *AMD_BLOBS, *ARM_BLOBS], "index"),
    ]:
        install(isolated, top, blobs, name)
        reference = f"{docker_registry.host}/team/{name}:1"
        first = isolated.run("image", "push", name, reference, "--json")
        again = isolated.run("image", "push", name, reference, "--json")

        assert first.code == 0, first.err
        assert docker_registry.manifest(f"team/{name}", "1") == top
        assert again.json["blobs_sent"] == 0
        raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{reference}")
        assert f"sha256:{hashlib.sha256(raw).hexdigest()}" == first.json["digest"]
    elsewhere = ("image", "push", "large", f"{docker_registry.host}/new/large:1")
    mounted = isolated.run(*elsewhere, "--mount-from", "team/large", "--json")
    assert mounted.json["blobs_sent"] == 0


def test_other_tools_read_what_was_saved(isolated: Side, tmp_path: Path) -> None:
    install(isolated, LARGE, LARGE_BLOBS)
    for name, source in [("x.tar", "docker-archive"), ("x.tar", "oci-archive"), ("dir", "oci")]:
        destination = tmp_path / name
        if not destination.exists():
            assert isolated.run("image", "save", "shop", destination).code == 0
        said = json.loads(skopeo("inspect", f"{source}:{destination}"))
        assert said["Layers"] == [f"sha256:{hex_of(BIG)}"]
        if source != "docker-archive":  # which has no manifest
            assert said["Digest"] == f"sha256:{hex_of(LARGE)}"


def test_umoci_unpacks_what_was_saved(isolated: Side, tmp_path: Path) -> None:
    if shutil.which("umoci") is None:
        pytest.skip("not installed: umoci")
    layer = oci_images.tar_of({"etc/shop": b"hello"})
    manifest, blobs = oci_images.image_for("amd64", layer)
    install(isolated, manifest, blobs)
    saved = tmp_path / "layout"
    assert isolated.run("image", "save", "shop", saved, "--reference", "one").code == 0
    command = ["umoci", "unpack", "--rootless", "--image", f"{saved}:one", str(tmp_path / "out")]
    done = subprocess.run(command, check=False, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/rootfs/etc/shop").read_bytes() == b"hello"


def test_a_registry_with_passwords_and_a_private_ca(isolated: Side, tmp_path: Path) -> None:
    install(isolated, AMD, AMD_BLOBS)
    authority = Authority(tmp_path)
    issued = authority.issue("registry")
    users = tmp_path / "users"
    users.write_bytes(b"anna:" + bcrypt.hashpw(b"secret", bcrypt.gensalt(4)) + b"\n")
    auth = f"auth: {{htpasswd: {{realm: shop, path: {users}}}}}"
    tls = f", tls: {{certificate: {issued.certificate}, key: {issued.key}}}"
    password = tmp_path / "password"
    password.write_text("secret\n")
    with registries.serve(tmp_path / "registry", auth, tls) as served:
        reference = f"https://{served.host}/team/shop:1"
        command = ("image", "push", "shop", reference, "--ca", authority.file)
        assert "asks for a user" in isolated.run(*command).err
        login = ("--user", "anna", "--password-file", password)
        done = isolated.run(*command, *login)
        assert done.code == 0, done.err
        refused = isolated.run(*command[:-2], *login)
        assert "no certificate that is trusted" in refused.err
