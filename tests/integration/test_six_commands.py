"""docs/six-commands.md is what two machines print that have nothing but what is installed."""

import os
import shutil
from pathlib import Path

import pytest

from tests.support import six_commands, transcript, whole_way
from tests.support.sides import REPOSITORY
from tests.support.transcript import Step

DOCUMENT = REPOSITORY / "docs" / "six-commands.md"


def steps() -> list[Step]:
    return list(transcript.steps_of(DOCUMENT.read_text()))


def test_two_commands_on_each_side_and_two_to_a_prediction() -> None:
    assert [each.command.split()[:2] for each in steps()] == [
        ["airgap", "init"],
        ["airgap", "export"],
        ["airgap", "trust"],
        ["airgap", "import"],
        ["bentoml", "serve"],
        ["curl", "--silent"],
    ]
    assert '"mood":"glad"' in steps()[-1].printed.replace(" ", "")


@pytest.mark.servers
@pytest.mark.bentoml
def test_what_is_typed_prints_what_the_page_shows(tmp_path: Path) -> None:
    missing = [name for name in six_commands.PROGRAMS if shutil.which(name) is None]
    if missing or os.geteuid():
        pytest.skip(f"needs root, and: {' '.join(missing) or 'nothing else'}")
    with six_commands.set_up(tmp_path) as machines:
        for each in steps():
            printed = machines.run(each.machine, each.command)

            assert whole_way.mask(printed) == whole_way.mask(each.printed), each.command
