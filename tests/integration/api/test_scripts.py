"""Scripts that were written for BentoML, with one import changed: they run, and type-check.

``make types`` checks them with ``mypy --strict``, like all tests.
"""

from pathlib import Path

import pytest

from tests.support.python_scripts import Scripts
from tests.support.sides import Side, Site

pytestmark = pytest.mark.bentoml

SCRIPTS = Path(__file__).parent / "scripts"
SHIPPED = """\
weights:v1
True adder:v1 test anna 7
adder.bento adder-v1.gz weights.bentomodel
['adder:v1'] ['weights:v1']
1 1
NotFound 404
"""
RECEIVED = """\
weights v1
adder:v1 adder True
adder:v1
0 0
True
"""


def test_what_one_script_ships_another_receives(
    scripts: Scripts, connected: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    folder, depot = tmp_path / "out", tmp_path / "depot"
    folder.mkdir()
    variables = {"AIRGAP_KEY": str(site.key()), "AIRGAP_DEPOT": str(depot)}
    office, ward = ({**side.environment, **variables} for side in (connected, isolated))
    ship, receive, share = ((SCRIPTS / f"{name}.py").read_text() for name in NAMES)

    assert scripts.print(ship, office, folder) == SHIPPED
    assert scripts.print(receive, ward, folder) == RECEIVED
    assert scripts.print(share, office, "push") == "adder v1 20\n"
    printed = scripts.print(share, ward, "pull")
    assert printed == "adder:v1 weights:v1 v1\nadder:v1 weights:v1\nNotFound\n"


def test_bentoml_itself_runs_the_same_script(
    scripts: Scripts, connected: Side, tmp_path: Path
) -> None:
    changed = (SCRIPTS / "ship.py").read_text()
    script = changed.replace("import airgap as bentoml", "import bentoml")

    printed = scripts.print(script, connected.environment, tmp_path)

    assert printed == SHIPPED


NAMES = ("ship", "receive", "share")
