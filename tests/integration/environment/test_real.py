"""The real thing: built by BentoML, carried with its packages, served without a network."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from airgap.errors import MissingError
from airgap.store.wheelhouses import list_wheelhouses
from airgap.wheels.targets import runs_on
from tests.support import environments, real_packages, whole_way
from tests.support.package_index import PackageIndex, make_wheel
from tests.support.sides import Ran, Side, Site

FOR_ARM = "humanize==4.9.0"

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


def build(side: Side, project: Path, version: str) -> None:
    """Build a version of the Bento of docs/the-whole-way.md, which needs a package on ARM only."""
    project.mkdir()
    more = f'"scikit-learn", \'{FOR_ARM}; platform_machine == "aarch64"\''
    service = whole_way.SERVICE.replace('"scikit-learn"', more) + f"# {version}\n"
    (project / "service.py").write_text(service)
    (project / "build.py").write_text(whole_way.BUILD)
    subprocess.run(
        [sys.executable, "build.py", version],
        cwd=project,
        env={**os.environ, **side.environment, "HF_HUB_OFFLINE": ""},
        check=True,
        timeout=300,
    )


def scikit_learn_wheel(folder: Path, version: str, target: str) -> Path:
    """A stand-in for the wheel that a site builds: PyPI has none of scikit-learn for musl."""
    python, platform = target.split("-")
    needed = real_packages.NEEDED_BY_SCIKIT_LEARN
    name, data = make_wheel("scikit_learn", version, f"{python}-{python}-{platform}", needed)
    (folder / name).write_bytes(data)
    return folder / name


def measure(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.servers
@pytest.mark.bentoml
def test_a_bento_resolves_for_other_processors_and_for_musl(
    connected: Side, site: Site, real_index: PackageIndex, tmp_path: Path
) -> None:
    build(connected, tmp_path / "v1", "v1")
    medium = tmp_path / "medium"
    targets = (real_packages.ARM, *real_packages.MUSL)

    def export(version: str, *wheels: Path) -> Ran:
        words = [word for target in targets for word in ("--target", target)]
        words += [word for wheel in wheels for word in ("--wheel", str(wheel))]
        words += ["--key", str(site.key()), "-o", str(medium)]
        return connected.run("export", f"tone:{version}", "--with-env", *words)

    refused = export("v1")
    lock = (connected.bentoml / "bentos/tone/v1/env/python/requirements.txt").read_text()
    (version,) = re.findall(r"^scikit-learn==([\w.]+)", lock, re.MULTILINE)
    wheels = [scikit_learn_wheel(tmp_path, version, target) for target in real_packages.MUSL]
    exported = export("v1", *wheels)
    build(connected, tmp_path / "v2", "v2")
    before = measure(medium)
    real_index.requests.clear()
    again = export("v2", *wheels)

    assert refused.code == MissingError.exit_code
    assert re.search("scikit-learn .* has no wheel for cp311-musllinux", refused.err), refused.err
    assert exported.code == 0, exported.err
    with connected.here():
        locks = {str(stored.lock.target): stored.lock for stored in list_wheelhouses()}
    assert set(locks) == set(targets)
    names = {target: {package.name for package in lock.packages} for target, lock in locks.items()}
    common = {"bentoml", "huggingface-hub", "numpy", "pydantic-core", "scikit-learn", "scipy"}
    assert common <= set.intersection(*names.values())
    assert [target for target in targets if "humanize" in names[target]] == [
        target for target in targets if target.endswith("aarch64")
    ]
    for stored in locks.values():
        assert all(runs_on(package.file, stored.target) for package in stored.packages)
    assert again.code == 0, again.err
    assert real_index.requests == []
    assert measure(medium) - before < 1_000_000
