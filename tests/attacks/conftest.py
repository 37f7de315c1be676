"""A site's own builder as the attacker: what is signed is then refused for its one fault alone."""

from pathlib import Path

import pytest

from airgap.format.root import Root
from airgap.signing.trust import Verified
from tests.support import forge
from tests.support.forge import Forge
from tests.support.sides import Site


@pytest.fixture
def forged(tmp_path: Path, site: Site) -> Forge:
    """Writes bundles that ``site``'s builder has signed."""
    return Forge(tmp_path, forge.load_signer(site.key()))


@pytest.fixture(scope="session")
def root(site: Site) -> Verified[Root]:
    """The root of ``site``, accepted."""
    return forge.trusted(site)
