"""docs/the-whole-way.md is what both machines print: for real, and in part on every run."""

import re
from pathlib import Path

import pytest

from tests.support import kits, sides, transcript, whole_way
from tests.support.sides import REPOSITORY, Side, Site
from tests.support.transcript import Step

DOCUMENT = REPOSITORY / "docs" / "the-whole-way.md"


def steps() -> list[Step]:
    return list(transcript.steps_of(DOCUMENT.read_text()))


def step(start: str) -> Step:
    """The one step whose command begins so."""
    (found,) = [step for step in steps() if step.command.startswith(start)]
    return found


@pytest.mark.servers
@pytest.mark.bentoml
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "index",
    ["of the tests", pytest.param("configured", marks=pytest.mark.slow)],
)
def test_a_bento_goes_from_an_index_to_a_prediction_on_an_empty_machine(
    index: str, debian_tar: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if reason := whole_way.why_not():
        pytest.skip(reason)
    packages = request.getfixturevalue("packages") if index == "of the tests" else None
    with whole_way.set_up(tmp_path, debian_tar, packages) as machines:
        for each in steps():
            printed = machines.run(each.machine, each.command)

            assert whole_way.mask(printed) == whole_way.mask(each.printed), each.command


def test_the_page_shows_the_service_and_its_answers() -> None:
    assert step("cat service.py").printed == whole_way.SERVICE
    answers = [each.printed for each in steps() if "ask.py" in each.command]
    assert [re.findall(r'"tone": "(\w+)"', answer) for answer in answers] == [["glad"], ["sad"]]


def test_the_page_shows_what_an_installer_prints(
    kit_of_tiny_wheels: Path, site: Site, tmp_path: Path
) -> None:
    folder = tmp_path / "airgap"

    done = kits.install(kit_of_tiny_wheels, site.fingerprint, folder, path=str(tmp_path))

    assert done.returncode == 0, done.stderr
    printed = done.stdout.replace(str(folder), "/root/airgap").replace(" ward,", " ward-7,")
    printed = printed.replace(str(kit_of_tiny_wheels), f"{whole_way.STICK}/kit")
    shown = step(f"python3 {whole_way.STICK}/kit/install.py").printed
    assert whole_way.mask(printed) == whole_way.mask(shown)


def test_the_page_shows_what_the_making_of_a_kit_prints(kit_of_tiny_wheels: Path) -> None:
    targets = re.compile(r"cp3\w+-\w+")
    printed, shown = (
        [targets.sub("TARGET", line) for line in whole_way.mask(text)]
        for text in (
            kit_of_tiny_wheels.with_name("notes.txt").read_text(),
            step("airgap kit").printed,
        )
    )
    units = re.compile(r" [kM]?B\b")
    medium = re.compile(r"\S+/kit(?=/install\.py|\S* \(DISK\))")
    lines = {medium.sub("KIT", units.sub(" B", line)) for line in printed}
    told = (medium.sub("KIT", units.sub(" B", line)) for line in shown[2:])
    assert [line for line in told if line not in lines] == []


def test_the_page_shows_what_a_pinned_root_prints(tmp_path: Path) -> None:
    side = Side(tmp_path / "side")
    site = sides.make_site(tmp_path / "site")

    ran = side.run("trust", "init", site.root, "--fingerprint", site.fingerprint)

    shown = step("airgap trust init").printed.replace("ward-7", "ward")
    assert whole_way.mask(ran.out + ran.err) == whole_way.mask(shown)
