"""Export, inspect, import and doctor say which Python packages a Bento names and lacks."""

from pathlib import Path

import pytest

from tests.support import environments, forge
from tests.support.forge import Forge, Item
from tests.support.sides import Ran, Side, Site

OTHER = "cp399-manylinux_2_28_x86_64"


@pytest.fixture
def forged(tmp_path: Path, site: Site) -> Forge:
    return Forge(tmp_path, forge.load_signer(site.key()))


def doctor_notes(side: Side) -> list[str]:
    findings = side.run("doctor", "--json").json["findings"]
    return [finding["message"] for finding in findings if finding["about"] == "wheelhouses"]


def depot(forged: Forge, *items: Item) -> Path:
    reader = {"reader": 2} if items else {}  # wheelhouses came with the second one
    return forged.depot(forge.draft(*items, environments.bento(), **reader))


def text(ran: Ran) -> str:
    assert ran.code == 0, ran.err
    return " ".join((ran.out + ran.err).split())


def test_without_its_packages_each_command_says_so(
    isolated: Side, forged: Forge, site: Site, tmp_path: Path
) -> None:
    source = depot(forged)

    assert "the Python packages of bento shop:v1 are neither in it nor here" in text(
        isolated.run("inspect", source)
    )
    assert (
        "The bundle has no Python packages for shop:v1. If it does not start here, export it with"
        " --with-env." in text(isolated.run("import", source))
    )
    assert doctor_notes(isolated) == [
        "No wheelhouse here has the Python packages of these Bentos: shop:v1."
    ]
    exported = isolated.run("export", "shop", "-o", tmp_path / "out", "--key", site.key())
    assert "The bento shop:v1 names 1 Python package, and the bundle does not carry them" in text(
        exported
    )


def test_with_its_packages_each_command_is_quiet_or_says_what_to_do(
    isolated: Side, forged: Forge, tmp_path: Path
) -> None:
    house = environments.wheelhouse()
    source = depot(forged, house)

    assert "neither in it nor here" not in text(isolated.run("inspect", source))
    imported = isolated.run("import", source, "--json")
    assert imported.json["packages"] == [
        {
            "bento": "shop:v1",
            "packages": 1,
            "wheelhouses": [f"{house.name}:{house.version}"],
            "problem": None,
        }
    ]
    assert "`airgap env create shop:v1` installs them" in text(isolated.run("import", source))
    assert doctor_notes(isolated) == []
    later = tmp_path / "later"
    later.mkdir()
    alone = depot(Forge(later, forged.signer))
    assert "neither in it nor here" not in text(isolated.run("inspect", alone))


def test_packages_for_another_host_are_told_apart(isolated: Side, forged: Forge) -> None:
    ran = isolated.run("import", depot(forged, environments.wheelhouse(target=OTHER)))

    assert "not for this host: the 1 Python package of bento shop:v1." in text(ran)
    assert "Python 3.99" in text(ran)


def test_a_bento_that_names_no_packages_is_not_mentioned(isolated: Side, forged: Forge) -> None:
    plain = forge.bento({}, "plain:v1")

    ran = isolated.run("import", forged.depot(forge.draft(plain)), "--json")

    assert ran.json["packages"] == []
    assert doctor_notes(isolated) == []
