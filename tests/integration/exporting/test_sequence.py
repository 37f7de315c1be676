"""The same export twice is one bundle, and no number is given to two (format §17.8)."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from airgap.cli import times
from airgap.errors import AirgapError, ConfigurationError, StorageError, UsageError
from airgap.format import ledger as ledger_format
from tests.support import stores
from tests.support.faults import Fault, Launcher
from tests.support.sides import Ran, Side, Site

NIGHTLY = ("--channel", "nightly")
Export = Callable[..., Ran]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def export(connected: Side, site: Site, out: Path) -> Export:
    """Exports one of three models."""
    for name in ("a", "b", "c"):
        stores.add_model(connected, f"{name}:v1", {"w": name.encode() * 9})

    def run(name: str, *words: str | Path) -> Ran:
        key = ("--key", site.key(), "--jobs", "1", "--json")
        return connected.run("export", "--model", f"{name}:v1", "-o", out / name, *words, *key)

    return run


def numbered(ran: Ran) -> tuple[str, int]:
    assert ran.code == 0, ran.err
    return ran.json["channel"], ran.json["sequence"]


def remembered(side: Side, channel: str = "nightly") -> Path:
    return side.state / "channels" / channel


def test_each_other_bundle_of_a_channel_gets_the_next_number(export: Export) -> None:
    given = [numbered(export(name, *NIGHTLY)) for name in ("a", "b", "c", "a")]

    assert given == [("nightly", 1), ("nightly", 2), ("nightly", 3), ("nightly", 4)]


def test_channels_count_for_themselves(export: Export) -> None:
    assert numbered(export("a", *NIGHTLY)) == ("nightly", 1)
    assert numbered(export("b", "--channel", "weekly")) == ("weekly", 1)


def test_the_same_export_twice_is_the_same_bundle(export: Export, connected: Side) -> None:
    export("a", *NIGHTLY)
    first = export("b", *NIGHTLY)
    before = stores.snapshot(connected.state / "channels")

    again = export("b", *NIGHTLY)

    assert again.json["bundle"] == first.json["bundle"]
    assert stores.snapshot(connected.state / "channels") == before


def test_an_archive_for_stock_bentoml_is_numbered_too(export: Export, tmp_path: Path) -> None:
    words = ("--format", "tar", *NIGHTLY)

    assert numbered(export("a", "-o", tmp_path / "a.bentomodel", *words)) == ("nightly", 1)
    assert numbered(export("b", "-o", tmp_path / "b.bentomodel", *words)) == ("nightly", 2)


def test_the_config_file_may_name_the_channel(export: Export, connected: Side) -> None:
    connected.state.mkdir()
    (connected.state / "config.toml").write_text('[export]\nchannel = "releases"\n')

    assert numbered(export("a")) == ("releases", 1)


def test_without_a_channel_nothing_is_numbered_or_remembered(
    export: Export, connected: Side
) -> None:
    ran = export("a")

    assert numbered(ran) == ("default", 0)
    assert "channel default, no number" in ran.err
    assert not (connected.state / "channels").exists()


def test_a_number_that_is_given_is_taken_and_remembered(export: Export) -> None:
    assert numbered(export("a", *NIGHTLY, "--sequence", "40")) == ("nightly", 40)
    assert numbered(export("a", *NIGHTLY, "--sequence", "40")) == ("nightly", 40)
    assert numbered(export("b", *NIGHTLY)) == ("nightly", 41)


def test_a_lower_number_that_is_given_does_not_set_the_channel_back(export: Export) -> None:
    export("a", *NIGHTLY, "--sequence", "40")
    assert numbered(export("b", *NIGHTLY, "--sequence", "7")) == ("nightly", 7)

    assert numbered(export("c", *NIGHTLY)) == ("nightly", 41)


def test_a_number_of_nought_is_none(export: Export, connected: Side) -> None:
    assert numbered(export("a", *NIGHTLY, "--sequence", "0")) == ("nightly", 0)
    assert not remembered(connected).exists()


def test_the_last_number_is_not_given_to_another_bundle(
    export: Export, connected: Side, out: Path
) -> None:
    export("a", *NIGHTLY)
    before = stores.snapshot(connected.state)

    ran = export("b", *NIGHTLY, "--sequence", "1")

    assert ran.code == UsageError.exit_code
    assert stores.snapshot(connected.state) == before
    assert not [*(out / "b").rglob("manifest.msgpack")]


def test_after_the_last_number_there_is_no_other(export: Export) -> None:
    assert numbered(export("a", *NIGHTLY, "--sequence", str(2**53 - 1))) == ("nightly", 2**53 - 1)

    assert export("b", *NIGHTLY).code == UsageError.exit_code


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("--channel", "No Name"), id="channel"),
        pytest.param(("--channel", "../up"), id="a channel that is a path"),
        pytest.param(("--audience", "Ward"), id="site"),
        pytest.param(("--sequence", "-1"), id="below nought"),
        pytest.param(("--sequence", str(2**53)), id="beyond all numbers"),
        pytest.param(("--expires", "2020-01-01"), id="expired already"),
        pytest.param(("--expires", "soon"), id="no time"),
    ],
)
def test_what_no_site_could_import_is_not_exported(
    words: tuple[str, ...], export: Export, out: Path, connected: Side
) -> None:
    assert export("a", *words).code == UsageError.exit_code
    assert not any(out.iterdir())
    assert not connected.state.exists()


def test_audience_and_end_are_in_the_manifest(export: Export) -> None:
    words = ("--audience", "ward", "--audience", "attic", "--expires", "2031-05-06")

    about = export("a", *words).json

    assert about["audience"] == ["attic", "ward"]
    assert about["expires_at"] == "2031-05-06T23:59:59Z"


def test_a_bundle_for_this_site_and_time_comes_in(
    export: Export, isolated: Side, out: Path
) -> None:
    export("a", *NIGHTLY, "--audience", "ward", "--expires", "90d")

    assert isolated.run("import", out / "a").code == 0


@pytest.mark.parametrize(
    ("text", "first", "last", "end"),
    [
        ("90d", "2026-03-01T00:00:00Z", "2026-03-01T23:59:59Z", "2026-05-30T23:59:59Z"),
        ("2w", "2026-03-01T00:00:00Z", "2026-03-01T23:59:59Z", "2026-03-15T23:59:59Z"),
        ("36h", "2026-03-01T05:00:00Z", "2026-03-01T05:59:59Z", "2026-03-02T17:59:59Z"),
    ],
)
def test_a_span_ends_alike_however_late_in_the_day_or_hour_one_exports(
    text: str, first: str, last: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = times.read_moment(end)
    for now in map(times.read_moment, (first, last)):
        assert now is not None
        monkeypatch.setattr(time, "time", lambda now=now: float(now))
        assert times.read_expiry(text) == wanted


def test_never_is_no_end() -> None:
    assert times.read_expiry("never") is None
    assert times.read_expiry(None) is None


# ---- damage, kills and company


def test_damaged_memory_is_told_and_nothing_is_guessed(
    export: Export, connected: Side, out: Path
) -> None:
    export("a", *NIGHTLY)
    raw = remembered(connected).read_bytes()
    other = ledger_format.encode_issued_sequence(
        ledger_format.IssuedSequence("weekly", 9, bytes(32))
    )
    bad = [raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :] for at in range(0, len(raw), 9)]
    for content in (b"", raw[:-1], raw + b"\0", other, *bad):
        remembered(connected).write_bytes(content)
        ran = export("b", *NIGHTLY)
        assert ran.code == ConfigurationError.exit_code
        assert "--sequence" in ran.json["error"]["hint"]
    assert not [*(out / "b").rglob("manifest.msgpack")]
    doctor = connected.run("doctor", "--json").json
    assert "numbers" in {one["about"] for one in doctor["findings"] if one["level"] == "problem"}


def test_the_doctor_tells_the_numbers_that_were_given(export: Export, connected: Side) -> None:
    export("a", *NIGHTLY)
    export("b", "--channel", "weekly", "--sequence", "7")

    found = connected.run("doctor", "--json").json["findings"]

    told = [one["message"] for one in found if one["about"] == "numbers"]
    assert [re.findall(r"channel (\S+) are at number (\d+)", one)[0] for one in told] == [
        ("nightly", "1"),
        ("weekly", "7"),
    ]


def published(top: Path, side: Side) -> dict[int, set[str]]:
    """The bundles of a folder's depots, by number."""
    found: dict[int, set[str]] = {}
    for manifest in top.glob("*/bundles/*/manifest.msgpack"):
        about = side.run("inspect", manifest.parents[2], "--json").json
        found.setdefault(about["sequence"], set()).add(about["bundle"])
    return found


def test_a_kill_at_any_step_never_gives_one_number_to_two_bundles(
    export: Export, connected: Side, site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    assert numbered(export("a", *NIGHTLY)) == ("nightly", 1)
    key = ("--key", site.key(), "--jobs", "1", *NIGHTLY)
    step = 0
    while True:
        name, top = "bc"[step % 2], tmp_path / "tops"
        top.mkdir(exist_ok=True)
        words = ("export", "--model", f"{name}:v1", "-o", top / str(step), *key)
        ended = launcher.run(connected, *words, fault=Fault(at=step))
        if not ended.killed:
            break
        step += 1

    assert ended.code == 0, ended.err
    assert step > 30
    assert numbered(export("a", *NIGHTLY))[1] > 2
    assert all(len(bundles) == 1 for bundles in published(top, connected).values())


def test_of_two_exports_that_are_numbered_at_once_one_waits(
    export: Export, connected: Side, site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    assert numbered(export("a", *NIGHTLY)) == ("nightly", 1)
    key = ("--key", site.key(), "--jobs", "1", *NIGHTLY)
    words = [("export", "--model", f"{name}:v1", "-o", tmp_path / name, *key) for name in "bc"]
    renaming = Fault(signal.SIGSTOP, before=r"^rename .*channels/nightly$")

    first = launcher.start(connected, *words[0], fault=renaming).stopped()
    begun = Fault(signal.SIGSTOP, at=0)
    second = launcher.start(connected, *words[1], fault=begun).stopped().go_on()
    for _ in range(1_000_000):  # it will say so, or it has ended
        if "Another export" in second.told():
            break
        os.sched_yield()
    assert first.go_on().end().code == 0
    assert second.end().code == 0

    assert sorted(published(tmp_path, connected)) == [2, 3]


def test_a_full_disk_where_numbers_are_kept_is_told_and_nothing_is_published(
    export: Export, connected: Side, site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    assert numbered(export("a", *NIGHTLY)) == ("nightly", 1)
    words = ("--model", "b:v1", "-o", tmp_path / "b", "--key", site.key(), *NIGHTLY)
    full = Fault(before=r"^open .*channels/nightly", full=True)

    ended = launcher.run(connected, "export", *words, fault=full)

    assert ended.code == StorageError.exit_code
    assert not [*(tmp_path / "b").rglob("manifest.msgpack")]
    assert numbered(export("b", *NIGHTLY)) == ("nightly", 2)


def test_what_is_no_file_is_not_waited_for(export: Export, connected: Side) -> None:
    export("a", *NIGHTLY)
    remembered(connected).unlink()
    remembered(connected).mkdir()

    error: type[AirgapError] = StorageError
    assert export("b", *NIGHTLY).code == error.exit_code
