"""A bundle with data, one with a program in a model, and the site that admits both."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import stores
from tests.support.sides import Side, Site, trust
from tests.unit.scan.files import call, safetensors

SERVICE = b"import bentoml\n"
PICKLE = call("os", "system")


@dataclass(frozen=True)
class Scanned:
    """Where the bundles are, who made them, and who may import them."""

    builder: Side
    site: Site
    calm: Path
    evil: Path


@pytest.fixture
def scanned(connected: Side, site: Site, tmp_path: Path) -> Scanned:
    trust(connected, site)
    stores.add_model(connected, "calm:v1", {"a.safetensors": safetensors({})})
    stores.add_model(connected, "evil:v1", {"model.pkl": PICKLE, "hooks/load.py": SERVICE})
    stores.add_bento(connected, "shop:v1", {"src/service.py": SERVICE}, models=["calm:v1"])
    stores.add_bento(connected, "trap:v1", {"src/service.py": SERVICE}, models=["evil:v1"])
    for tag in ("shop:v1", "trap:v1"):
        depot = tmp_path / tag[:4]
        ran = connected.run("export", tag, "-o", depot, "--key", site.key())
        assert ran.code == 0, ran.err
    return Scanned(connected, site, tmp_path / "shop", tmp_path / "trap")
