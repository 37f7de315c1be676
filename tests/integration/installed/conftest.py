"""Bundles of the site's own builder."""

from pathlib import Path

import pytest

from tests.support import forge
from tests.support.forge import Forge
from tests.support.sides import Site


@pytest.fixture
def forged(tmp_path: Path, site: Site) -> Forge:
    """Writes bundles that ``site``'s builder has signed."""
    return Forge(tmp_path, forge.load_signer(site.key()))
