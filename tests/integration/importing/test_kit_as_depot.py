"""A kit is a depot with an installer: not taken for a release, and none is put into it."""

from pathlib import Path

from airgap.errors import UsageError
from airgap.format import layout
from tests.support import refusals, stores
from tests.support.sides import Side, Site


def make_kit(depot: Path) -> Path:
    for name in layout.KIT_NAMES:
        (depot / name).write_text("")
    return depot


def test_a_kit_is_imported_only_if_that_is_asked_for(depot: Path, isolated: Side) -> None:
    kit = make_kit(depot)
    before = stores.snapshot(isolated.top)

    ran = refusals.expect_refusal(isolated, "import", kit, error=UsageError)

    assert f"python3 {kit}/install.py" in ran.json["error"]["hint"]
    assert stores.snapshot(isolated.top) == before
    assert isolated.run("import", "--kit", kit).code == 0


def test_nothing_is_exported_into_a_kit(depot: Path, small: Side, site: Site) -> None:
    words = ("export", "shop:v1", "-o", make_kit(depot), "--key", site.key())

    ran = refusals.expect_refusal(small, *words, error=UsageError)

    assert ran.json["error"]["message"] == f"{depot} is a kit."
