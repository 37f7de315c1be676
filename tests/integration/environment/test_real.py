"""The real thing: built by BentoML, carried with its packages, served without a network."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from airgap.store.wheelhouses import list_wheelhouses
from airgap.wheels.targets import runs_on
from tests.support import environments
from tests.support.sides import Side, Site

SERVICE = f"""\
import bentoml

image = bentoml.images.Image(python_version="3.{sys.version_info.minor}")

@bentoml.service(image=image.python_packages("bentoml", "humanize==4.9.0"))
class Shop:
    @bentoml.api
    def words(self, count: int) -> str:
        import humanize  # the machine that builds does not have it

        return humanize.intword(count)
"""
ASK = """\
import fcntl, json, signal, socket, struct, subprocess, sys, time, urllib.request

with socket.socket() as loopback:  # bring it up: ifreq with IFF_UP
    fcntl.ioctl(loopback, 0x8914, struct.pack("16sH22x", b"lo", 1))
command = [sys.executable, "-m", "airgap", "env", "run", "shop", "--", "serve", "--port", "3000"]
service = subprocess.Popen(command, stdout=sys.stderr)
url = "http://127.0.0.1:3000"
for _ in range(600):
    try:
        urllib.request.urlopen(f"{url}/readyz", timeout=10).close()
        break
    except OSError:
        assert service.poll() is None, service.returncode
        time.sleep(0.2)
headers = {"Content-Type": "application/json"}
request = urllib.request.Request(f"{url}/words", b'{"count": 1200000}', headers)
answer = urllib.request.urlopen(request, timeout=120).read().decode()
service.send_signal(signal.SIGTERM)
print(json.dumps([answer, service.wait(60)]))
"""


def run(
    side: Side, prefix: list[str], *arguments: str | Path
) -> "subprocess.CompletedProcess[bytes]":
    """Run Python on a side; ``prefix`` is a command that starts it."""
    return subprocess.run(
        [*prefix, sys.executable, *map(str, arguments)],
        env={**os.environ, **side.environment},
        capture_output=True,
        check=False,
        timeout=600,
    )


@pytest.mark.slow
@pytest.mark.bentoml
def test_a_bento_with_a_package_of_its_own_is_served_without_a_network(
    connected: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    offline = environments.without_network()
    if not offline:
        pytest.skip("this system does not let us take a process's network away")
    project = tmp_path / "project"
    project.mkdir()
    (project / "service.py").write_text(SERVICE)
    subprocess.run(
        [sys.executable, "-m", "bentoml", "build", "--version", "v1", project],
        env={**os.environ, **connected.environment},
        check=True,
        timeout=600,
    )
    medium = tmp_path / "medium"
    words = ("--with-env", "-o", medium, "--key", site.key())

    exported = run(connected, [], "-m", "airgap", "export", "shop:v1", *words)
    imported = run(isolated, offline, "-m", "airgap", "import", medium)
    made = run(isolated, offline, "-m", "airgap", "env", "create", "shop", "--json")
    asked = run(isolated, offline, "-c", ASK)

    assert exported.returncode == 0, exported.stderr
    assert imported.returncode == 0, imported.stderr
    assert made.returncode == 0, made.stderr
    about = json.loads(made.stdout)
    assert about["packages"] > 50
    assert about["bundle"] is not None
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout) == ["1.2 million", 0]


ELSEWHERE = (
    "cp311-manylinux_2_28_aarch64",
    "cp311-musllinux_1_2_x86_64",
    "cp311-musllinux_1_2_aarch64",
)


@pytest.mark.slow
@pytest.mark.bentoml
def test_a_bento_resolves_for_other_processors_and_for_musl(
    connected: Side, site: Site, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    packages = 'python_packages("bentoml", "humanize==4.9.0", "tokenizers")'
    text = re.sub(r"python_packages\(.*?\)", packages, SERVICE)
    text = re.sub(r'python_version="[^"]*"', 'python_version="3.11"', text)
    (project / "service.py").write_text(text)
    subprocess.run(
        [sys.executable, "-m", "bentoml", "build", "--version", "v1", project],
        env={**os.environ, **connected.environment},
        check=True,
        timeout=300,
    )
    words = [word for target in ELSEWHERE for word in ("--target", target)]

    key = ("--key", site.key())
    exported = connected.run(
        "export", "shop:v1", "--with-env", *words, *key, "-o", tmp_path / "medium"
    )

    assert exported.code == 0, exported.err
    with connected.here():
        locks = {str(stored.lock.target): stored.lock for stored in list_wheelhouses()}
    assert set(locks) == set(ELSEWHERE)
    names = [{package.name for package in lock.packages} for lock in locks.values()]
    assert {"bentoml", "tokenizers", "numpy", "pydantic-core"} <= set.intersection(*names)
    for lock in locks.values():
        assert all(runs_on(package.file, lock.target) for package in lock.packages)
