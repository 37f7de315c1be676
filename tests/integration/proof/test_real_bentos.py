"""Bentos that fetch when they start, at the first request, and never, built by BentoML."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airgap.flow.proof import sandbox
from tests.support import sides
from tests.support.sides import Side, Site

SERVICE = """\
import urllib.request
import bentoml
from pydantic import Field

def fetch(path):
    try:
        return urllib.request.urlopen("https://hub.example/" + path, timeout=5).read()
    except OSError:
        return b""

image = bentoml.images.Image(python_version="3.{minor}")

@bentoml.service(image=image.python_packages("bentoml", "humanize==4.9.0"))
class Shop:
    def __init__(self):
        if {kind!r} == "start":
            fetch("encodings.bin")

    @bentoml.api
    def words(self, count: int = Field(examples=[1200000])) -> str:
        import humanize  # the machine that builds does not have it

        if {kind!r} == "request":
            fetch("lazy.bin")
        return humanize.intword(count)
"""


@pytest.mark.servers
@pytest.mark.bentoml
@pytest.mark.usefixtures("real_index")
def test_bentos_that_fetch_are_told_apart_with_the_line(
    connected: Side, site: Site, tmp_path: Path
) -> None:
    if not sandbox.find_namespaces():
        pytest.skip("this host gives no namespaces")
    kinds = ("never", "start", "request")
    for kind in kinds:
        project = tmp_path / kind
        project.mkdir()
        text = SERVICE.format(kind=kind, minor=sys.version_info.minor)
        (project / "service.py").write_text(text)
        subprocess.run(
            [sys.executable, "-m", "bentoml", "build", "--version", "v1", "--name", kind, project],
            env={**os.environ, **connected.environment},
            check=True,
            timeout=600,
        )
    sides.trust(connected, site)
    tags = [f"{kind}:v1" for kind in kinds]
    words = ("--with-env", "-o", tmp_path / "medium", "--key", site.key())
    assert connected.run("export", *tags, *words).code == 0

    ran = connected.run("rehearse", tmp_path / "medium", "--json")

    assert ran.code == 13, ran.err
    proofs = {proof["bento"]: proof for proof in ran.json["proofs"]}
    assert [proofs[tag]["verdict"] for tag in tags] == [
        "served",
        "served, but asked for",
        "served, but asked for",
    ]
    for kind, caller in (("start", "17 in __init__"), ("request", "24 in words")):
        (request,) = proofs[f"{kind}:v1"]["requests"]
        assert request["host"] == "hub.example"
        assert request["lines"] == [f"service.py:7 in fetch, service.py:{caller}"]
    assert all(proof["answers"][0]["status"] == 200 for proof in proofs.values())
