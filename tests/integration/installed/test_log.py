"""``airgap log``: the ledger, read by a person or a program."""

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from airgap.server.intake.event_schema import find_event_problem
from airgap.state.removals import find_user
from tests.support import forge
from tests.support.forge import Forge
from tests.support.sides import Side, Site


@pytest.fixture
def location(site: Site, tmp_path: Path) -> Callable[[int], Path]:
    """Bundles of one channel, by number; each has one model."""
    forged = Forge(tmp_path, forge.load_signer(site.key()))

    def make(number: int) -> Path:
        model = forge.model({"w": b"x"}, f"ranker:v{number}")
        return forged.depot(forge.draft(model, sequence=number, channel="nightly"))

    return make


@pytest.fixture
def used(isolated: Side, location: Callable[[int], Path]) -> Side:
    """A side that has imported numbers 1 and 3, and refused 2."""
    for number, code in ((1, 0), (3, 0), (2, 12)):
        assert isolated.run("import", location(number)).code == code
    return isolated


def test_each_entry_says_what_it_held_and_who_signed_it(used: Side, site: Site) -> None:
    log = used.run("log", "--json").json

    assert [(row["number"], row["event"], row["sequence"]) for row in log["entries"]] == [
        (4, "refused", 2),
        (3, "imported", 3),
        (2, "imported", 1),
        (1, "begun", 0),
    ]
    newest, third, *_, first = log["entries"]
    key = used.run("key", "fingerprint", site.key().with_suffix(".pub"), "--json").json["key_id"]
    assert third["items"] == [{"kind": "model", "tag": "ranker:v3"}]
    assert third["signed_by"] == newest["signed_by"] == {"builder": [key]}
    assert third["note"] == "number 2 did not come"
    assert newest["items"] is None
    assert "this site has number 3" in newest["note"]
    assert (first["bundle"], first["signed_by"]) == (None, {})
    assert (log["site"], log["intact"], log["fault"], log["undecided"]) == ("ward", True, None, 0)


def test_filters_choose_entries(used: Side) -> None:
    def numbers(*options: str) -> list[int]:
        ran = used.run("log", "--json", *options)
        assert ran.code == 0
        return [row["number"] for row in ran.json["entries"]]

    assert numbers("ranker:v1") == [2]
    assert numbers("ranker") == [3, 2]
    assert numbers("other") == []
    assert numbers("--event", "refused", "--event", "begun") == [4, 1]
    assert numbers("--limit", "2") == [4, 3]
    assert numbers("--since", "1d") == [4, 3, 2, 1]
    assert numbers("--since", "2999-01-01") == []


def test_a_time_after_the_newest_entry_says_that_nothing_happened_since(used: Side) -> None:
    newest = used.run("log", "--json").json["entries"][0]["at"]

    assert used.run("log", "--since", "2999-01-01").out == (
        "Nothing happened at site ward since 2999-01-01T00:00:00Z:"
        f" the newest entry is of {newest}.\n"
    )
    for option in (("other",), ("--event", "waived")):
        assert "no such entry" in used.run("log", "--since", "2999-01-01", *option).out


def test_entries_whose_items_are_not_remembered_are_counted(used: Side) -> None:
    assert used.run("log", "ranker:v1", "--json").json["undecided"] == 1

    shutil.rmtree(used.state / "manifests")
    ran = used.run("log", "ranker:v1")

    assert "3 entries more of bundles whose items are not remembered here" in ran.out
    assert "its items are not remembered here" in used.run("log").out


def test_a_manifest_that_was_changed_names_no_items(used: Side) -> None:
    for path in (used.state / "manifests").iterdir():
        path.write_bytes(path.read_bytes().replace(b"ranker", b"banker"))

    assert {row["items"] is None for row in used.run("log", "--json").json["entries"]} == {True}


def test_the_lines_fit_into_eighty_columns_and_begin_with_the_time(used: Side) -> None:
    lines = used.run("log").out.splitlines()

    assert max(map(len, lines)) <= 80
    assert [line.split()[1] for line in lines if line[0] != " "] == [
        *("refused", "imported", "imported", "begun")
    ]


def test_a_history_that_is_not_intact_is_shown_and_reported(used: Side) -> None:
    ledger = used.state / "sites/ward/ledger"
    raw = ledger.read_bytes()
    ledger.write_bytes(raw[:-9] + b"\0" + raw[-8:])

    ran = used.run("log", "--json")

    assert (ran.code, ran.json["intact"], ran.json["fault"]["kind"]) == (12, False, "damaged")
    assert [row["number"] for row in ran.json["entries"]] == [3, 2, 1]
    assert "NOT INTACT" in used.run("log").out


def test_a_machine_that_trusts_nobody_has_no_log(connected: Side) -> None:
    assert connected.run("log").code == 3


def test_what_cannot_be_a_tag_is_refused(used: Side) -> None:
    assert used.run("log", "no tag").code == 2
    assert used.run("log", "--since", "yesterday").code == 2
    assert used.run("log", "Acme/Tiny").code == 0


def test_removals_are_in_the_log_with_who_and_what(used: Side) -> None:
    assert used.run("remove", "ranker:v1", "--yes").code == 0

    log = used.run("log", "--json").json
    (removed,) = log["removals"]
    assert removed["items"] == [{"kind": "model", "tag": "ranker:v1", "outcome": "removed"}]
    assert removed["user"] == find_user()
    assert f"  removed  by {find_user()}\n  model ranker:v1\n" in used.run("log").out
    assert used.run("log", "ranker:v3", "--json").json["removals"] == []
    assert len(used.run("log", "ranker", "--json").json["removals"]) == 1


def test_removals_alone_can_be_asked_for(used: Side) -> None:
    assert used.run("remove", "ranker:v1", "--yes").code == 0

    assert used.run("log", "--event", "removed").out.count("\n") == 2
    assert used.run("log", "--event", "imported", "--json").json["removals"] == []
    assert used.run("log", "--since", "2100-01-01", "--json").json["removals"] == []
    assert used.run("log", "--limit", "1").out.count("Z  ") == 1


def test_a_dry_run_and_a_refusal_leave_no_trace(used: Side) -> None:
    used.run("remove", "ranker:v1", "--dry-run")
    used.run("remove", "ranker:v9", "--yes")
    used.run("prune", "--yes")

    assert used.run("log", "--json").json["removals"] == []


def test_nothing_is_removed_that_cannot_be_recorded(used: Side) -> None:
    (used.state / "removals.jsonl").mkdir()

    ran = used.run("remove", "ranker:v1", "--yes")

    assert ran.code == 15
    assert (used.bentoml / "models" / "ranker" / "v1").is_dir()


def test_a_removal_is_sent_to_a_syslog_server(used: Side) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        url = f"udp://127.0.0.1:{server.getsockname()[1]}"

        assert used.run("remove", "ranker:v1", "--yes", "--syslog", url).code == 0

        text = server.recv(65_536).decode()
    event = json.loads(text[text.index("{") :])
    assert find_event_problem(event, is_logged=False) == ""
    assert (event["event"], event["items"][0]["tag"]) == ("removed", "ranker:v1")


def test_an_item_that_no_entry_is_about_is_named(used: Side) -> None:
    out = used.run("log", "rankr:v1").out

    assert out.startswith("The ledger of site ward has no such entry about rankr:v1: `airgap list`")
