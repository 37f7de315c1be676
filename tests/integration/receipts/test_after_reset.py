"""After a reset, a site still confirms what it had before (format §17.7, §29.2)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airgap.errors import PolicyError
from tests.integration.receipts.test_receipts import Story, make_story
from tests.support.sides import Ran
from tests.support.signers import make_root, team


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """Numbers 1, 2 and 4 were imported, and the receipt of none left; then came a reset."""
    story = make_story(tmp_path, replace(make_root(recorder=team("ray")), created_at=7))
    for version, number in (("v1", 1), ("v2", 2), ("v4", 4)):
        assert story.take(story.export(version, sequence=number)).code == 0
    head = story.isolated.run("trust", "show", "--json").json["history"]["head"]
    reset = ("trust", "reset-state", "--reason", "restored", "--yes", head)
    assert story.isolated.run(*reset).code == 0
    return story


def read(story: Story, taken: Ran) -> dict[str, Any]:
    assert taken.code == 0, taken.err
    return story.isolated.run("receipt", "show", taken.json["receipt"]["file"], "--json").json


def find_missing(story: Story) -> list[int]:
    ran = story.connected.run("receipt", "list", "--missing", "--json")
    return [row["sequence"] for row in ran.json["missing"]]


def test_the_next_receipt_says_what_the_site_had_before(story: Story) -> None:
    taken = story.take(story.export("v6", sequence=6))

    receipt = read(story, taken)
    assert receipt["gaps"] == [[3, 3], [5, 5]]
    assert len(receipt["holds"]) == 4
    assert find_missing(story) == [1, 2, 4, 6]
    accepted = story.accept(Path(taken.json["receipt"]["file"]))
    assert accepted.code == 0, accepted.err
    assert find_missing(story) == []


def test_what_was_removed_since_is_not_confirmed(story: Story) -> None:
    assert story.isolated.run("remove", "ranker:v2", "--yes").code == 0
    taken = story.take(story.export("v6", sequence=6))
    assert story.accept(Path(taken.json["receipt"]["file"])).code == 0
    assert find_missing(story) == [2]


def test_the_last_number_may_come_again_and_gets_a_receipt_in_the_new_ledger(story: Story) -> None:
    receipt = read(story, story.take(story.top / "depot-v4"))

    assert (receipt["event"], receipt["sequence"], len(receipt["holds"])) == ("imported", 4, 3)
    events = [one["event"] for one in story.isolated.run("log", "--json").json["entries"]]
    assert events == ["receipt-made", "imported", *["carried"] * 3, "reset"]
    again = story.take(story.top / "depot-v4")
    assert read(story, again)["ledger"] == receipt["ledger"]


def test_a_lower_number_is_a_replay_as_before(story: Story) -> None:
    ran = story.take(story.top / "depot-v2")
    assert ran.code == PolicyError.exit_code
    assert "this site has number 4" in ran.err


def test_a_receipt_of_the_ledger_before_is_accepted_late(story: Story) -> None:
    """The courier brings it after the one of the new ledger."""
    old = sorted(story.receipts.glob("*.receipt.json"))
    taken = story.take(story.export("v6", sequence=6))
    assert story.accept(old[0]).code == 0
    newer = Path(taken.json["receipt"]["file"])
    assert story.accept(newer).code == PolicyError.exit_code
    assert story.accept(newer, "--new-ledger", "replaces").code == 0

    for path in old[1:]:
        late = story.accept(path)
        assert late.code == 0, late.err
    holds = story.connected.run("receipt", "holds", "ward", "--json").json
    assert len(holds["bundles"]) == 4
