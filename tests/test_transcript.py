"""What docs/two-person-site.md shows is what is printed today."""

from pathlib import Path

from tests.support import transcript
from tests.support.sides import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "two-person-site.md"


def test_what_two_people_type_prints_what_is_told(tmp_path: Path) -> None:
    names = transcript.Names()
    with transcript.staged(tmp_path) as stage:
        for step in transcript.steps_of(DOCUMENT.read_text()):
            printed = stage.run(step.machine, names.put_into(step.command))

            told = transcript.without_digests(step.printed)
            assert transcript.without_digests(printed) == told, step.command
            names.learn(step.printed, printed)
