"""What BentoML itself shows at the moments of an import at which it could stumble."""

import json
from pathlib import Path

import pytest

from tests.support import interruptions
from tests.support.faults import Fault, Launcher
from tests.support.python_scripts import Scripts
from tests.support.sides import Side, Site

pytestmark = [
    pytest.mark.bentoml,
    pytest.mark.xdist_group("bentoml"),
]

MOMENTS = {
    # scenario, step before which the import is killed, Bentos and models that are listed then
    "a folder for the model's name is there, and nothing in it": (
        ("fresh", r"^rename .*/models/ranker/v1$"),
        ([], []),
    ),
    "the model is in place, the Bento is not": (
        ("fresh", r"^rename .*/bentos/shop/v1$"),
        ([], ["ranker:v1"]),
    ),
    "both are in place, and neither has a `latest`": (
        ("fresh", "^open .*/latest$"),
        (["shop:v1"], ["ranker:v1"]),
    ),
    "the model has been swapped, the Bento has not": (
        ("replacing", "^exchange .*/shop/v1$"),
        (["shop:v1", "shop:v10"], ["ranker:v1"]),
    ),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_bentoml_lists_nothing_or_the_whole_when_an_import_is_killed(
    moment: str, site: Site, launcher: Launcher, scripts: Scripts, tmp_path: Path
) -> None:
    (name, before), listed = MOMENTS[moment]
    scenario = interruptions.make(name, tmp_path / "made", site)
    side = scenario.begin(tmp_path / "side")
    assert launcher.run(side, *scenario.arguments, fault=Fault(before=before)).killed

    assert (_list(scripts, side, "list"), _list(scripts, side, "models", "list")) == listed


def _list(scripts: Scripts, side: Side, *words: str) -> list[str]:
    """Return the tags that ``bentoml list`` prints."""
    printed = scripts.bentoml(side.environment, *words, "-o", "json")
    return sorted(one["tag"] for one in json.loads(printed))
