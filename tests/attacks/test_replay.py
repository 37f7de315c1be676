"""Threat model, replay: old bundles, reused numbers, and clocks (format §17.1, §17.2)."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from airgap.errors import AirgapError, CorruptError, NotTrustedError, PolicyError, StorageError
from airgap.flow.importing import install_bundle
from airgap.format import limits
from airgap.format.ledger import Entry
from airgap.format.root import Root
from airgap.ledger import log
from airgap.ledger.check import read_entries
from tests.support import forge, refusals, sides, signers, store_invariants, stores
from tests.support.forge import Draft, Forge
from tests.support.sides import Side
from tests.support.signers import make_root

DAY = 24 * 3600
NOON = 1_800_000_000  # in 2027


def bundle(letter: str, sequence: int, channel: str = "nightly", **fields: object) -> Draft:
    content = {"weights.bin": letter.encode() * 50}
    model = forge.model(content, f"{letter}:v1")
    return forge.draft(model, sequence=sequence, channel=channel, **fields)


def id_of(made: Draft) -> str:
    return forge.names_of(made.raw())[0]


def entries(side: Side) -> list[Entry]:
    raw = (side.state / "sites/ward/ledger").read_bytes()
    return [entry for entry, _ in read_entries("ward", raw)]


@pytest.fixture
def have(forged: Forge, isolated: Side) -> Callable[..., None]:
    """Imports that must succeed."""

    def bring(*drafts: Draft) -> None:
        for made in drafts:
            ran = isolated.run("import", forged.depot(made))
            assert ran.code == 0, ran.err

    return bring


@pytest.mark.parametrize(
    ("old", "error"),
    [
        pytest.param(bundle("b", 4), PolicyError, id="lower"),
        pytest.param(bundle("b", 1), PolicyError, id="the first again"),
        pytest.param(bundle("b", 0), PolicyError, id="without a number"),
        pytest.param(bundle("b", 5), NotTrustedError, id="equal with other content"),
        pytest.param(bundle("a", 5, created_at=9), NotTrustedError, id="equal with other time"),
        pytest.param(bundle("b", 2**63), CorruptError, id="2^63"),
        pytest.param(bundle("b", 2**53), CorruptError, id="2^53"),
    ],
)
def test_what_is_not_newer_is_refused_before_any_pack_is_read(
    old: Draft,
    error: type[AirgapError],
    have: Callable[..., None],
    forged: Forge,
    isolated: Side,
) -> None:
    have(bundle("a", 5))
    location = forged.depot(old)
    shutil.rmtree(location / "packs")

    refusals.expect_refusal(isolated, "verify", location, error=error)
    refusals.expect_refusal(isolated, "import", location, error=error)


def test_the_highest_number_is_accepted_and_nothing_comes_after_it(
    have: Callable[..., None], forged: Forge, isolated: Side
) -> None:
    have(bundle("a", 2**53 - 1))

    refusals.expect_refusal(isolated, "import", forged.depot(bundle("b", 1)), error=PolicyError)


def test_the_same_bundle_again_is_harmless_and_leaves_no_trace(
    have: Callable[..., None], isolated: Side
) -> None:
    have(bundle("a", 5))
    before = stores.snapshot(isolated.top)

    have(bundle("a", 5))

    assert stores.snapshot(isolated.top) == before


def test_the_same_bundle_again_puts_back_what_was_deleted(
    have: Callable[..., None], isolated: Side
) -> None:
    have(bundle("a", 5))
    shutil.rmtree(isolated.bentoml / "models/a")

    have(bundle("a", 5))

    assert (isolated.bentoml / "models/a/v1/weights.bin").exists()
    assert [one.event for one in entries(isolated)] == ["begun", "imported", "imported"]


def test_a_gap_is_told_and_recorded(forged: Forge, isolated: Side) -> None:
    assert isolated.run("import", forged.depot(bundle("a", 2))).code == 0

    ran = isolated.run("import", forged.depot(bundle("b", 6)), "--json")

    assert ran.json["missing_numbers"] == [3, 5]
    assert "numbers 3 to 5 did not come" in ran.err
    assert entries(isolated)[-1].note == "numbers 3 to 5 did not come"


def test_the_first_of_a_channel_is_no_gap(forged: Forge, isolated: Side) -> None:
    ran = isolated.run("import", forged.depot(bundle("a", 7)), "--json")

    assert (ran.json["missing_numbers"], ran.json["last_sequence"]) == (None, 0)


def test_channels_count_for_themselves(have: Callable[..., None]) -> None:
    have(bundle("a", 5), bundle("b", 1, "weekly"), bundle("c", 2, "weekly"), bundle("d", 6))


def test_a_channel_without_numbers_takes_all_its_bundles(have: Callable[..., None]) -> None:
    have(bundle("a", 0), bundle("b", 0), bundle("a", 0))


def test_what_was_only_looked_at_may_still_be_imported(
    have: Callable[..., None], forged: Forge, isolated: Side
) -> None:
    new = forged.depot(bundle("b", 9))
    before = stores.snapshot(isolated.top)
    assert isolated.run("verify", new).code == 0
    assert isolated.run("import", new, "--dry-run").code == 0
    assert stores.snapshot(isolated.top) == before

    have(bundle("a", 5))


def test_a_dry_run_and_verify_refuse_a_replay_and_write_nothing(
    have: Callable[..., None], forged: Forge, isolated: Side
) -> None:
    have(bundle("a", 5))
    old = forged.depot(bundle("b", 4))

    for words in (("import", old, "--dry-run"), ("verify", old)):
        before = stores.snapshot(isolated.top)
        assert isolated.run(*words).code == PolicyError.exit_code
        assert stores.snapshot(isolated.top) == before


def test_of_a_depot_what_is_older_is_passed_over(
    have: Callable[..., None], forged: Forge, isolated: Side
) -> None:
    have(bundle("a", 5))
    top = forged.folder / "joined"
    for made in (bundle("b", 4), bundle("c", 2), bundle("d", 6)):
        shutil.copytree(forged.depot(made), top, dirs_exist_ok=True)

    ran = isolated.run("import", top, "--json")

    assert ran.json["bundle"] == id_of(bundle("d", 6))
    assert len(ran.json["passed_over"]) == 2


def test_a_second_bundle_with_one_number_ends_the_search_in_a_depot(
    have: Callable[..., None], forged: Forge, isolated: Side
) -> None:
    have(bundle("a", 5))
    top = forged.folder / "joined"
    for made in (bundle("b", 5), bundle("d", 6)):
        shutil.copytree(forged.depot(made), top, dirs_exist_ok=True)

    refusals.expect_refusal(isolated, "import", top, error=NotTrustedError)


# ---- wrong channel, wrong audience


def test_a_channel_that_was_not_demanded_is_refused_before_any_pack_is_read(
    forged: Forge, isolated: Side
) -> None:
    location = forged.depot(bundle("a", 1, "old-tests"))
    shutil.rmtree(location / "packs")

    refusals.expect_refusal(
        isolated, "import", location, "--channel", "releases", error=PolicyError
    )


def test_the_channel_may_be_demanded_by_the_config_file(forged: Forge, isolated: Side) -> None:
    (isolated.state / "config.toml").write_text('[import]\nchannel = "releases"\n')

    refused = isolated.run("import", forged.depot(bundle("a", 1, "old-tests")))
    taken = isolated.run("import", forged.depot(bundle("b", 1, "releases")))

    assert (refused.code, taken.code) == (PolicyError.exit_code, 0)


def test_another_audience_is_refused_before_any_pack_is_read(forged: Forge, isolated: Side) -> None:
    location = forged.depot(bundle("a", 1, audience=["attic"]))
    shutil.rmtree(location / "packs")

    refusals.expect_refusal(isolated, "import", location, error=PolicyError)


# ---- what the ledger tells


def test_the_ledger_tells_what_was_imported_and_what_was_refused(
    have: Callable[..., None], forged: Forge, isolated: Side
) -> None:
    have(bundle("a", 5), bundle("b", 0, "other"))
    isolated.run("import", forged.depot(bundle("c", 4)))
    isolated.run("import", forged.depot(bundle("d", 5)))
    isolated.run("import", forged.depot(bundle("e", 9, audience=["attic"])))

    told = [(one.event, one.channel, one.sequence, one.bundle) for one in entries(isolated)]

    wanted = [
        ("imported", bundle("a", 5)),
        ("imported", bundle("b", 0, "other")),
        ("refused", bundle("c", 4)),
        ("refused", bundle("d", 5)),
        ("refused", bundle("e", 9, audience=["attic"])),
    ]
    assert told == [
        ("begun", None, 0, None),
        *(
            (event, made.manifest["channel"], made.manifest["sequence"], bytes.fromhex(id_of(made)))
            for event, made in wanted
        ),
    ]
    assert "for attic" in entries(isolated)[-1].note


def test_a_refusal_that_is_repeated_is_told_once(forged: Forge, isolated: Side) -> None:
    location = forged.depot(bundle("e", 9, audience=["attic"]))
    for _ in range(3):
        assert isolated.run("import", location).code == PolicyError.exit_code

    assert [one.event for one in entries(isolated)] == ["begun", "refused"]


def test_old_bundles_that_are_sent_in_turn_are_told_once_each(
    have: Callable[..., None], forged: Forge, isolated: Side
) -> None:
    have(bundle("a", 5))
    old = [forged.depot(bundle("b", 4)), forged.depot(bundle("c", 3))]

    for location in 3 * old:
        assert isolated.run("import", location).code == PolicyError.exit_code
        have(bundle("a", 5))

    assert [one.event for one in entries(isolated)] == ["begun", "imported", "refused", "refused"]


def test_refusals_leave_half_of_the_ledger_to_imports(
    have: Callable[..., None], forged: Forge, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    have(bundle("a", 5))
    size = (isolated.state / "sites/ward/ledger").stat().st_size
    monkeypatch.setattr(log, "_ROOM", {**log._ROOM, "refused": size + 100})

    ran = isolated.run("import", forged.depot(bundle("b", 4)))

    assert ran.code == PolicyError.exit_code
    assert "could not be recorded in the ledger" in ran.err
    have(bundle("c", 6))
    assert [one.event for one in entries(isolated)] == ["begun", "imported", "imported"]


def test_what_a_full_ledger_could_not_remember_is_not_installed(
    have: Callable[..., None], forged: Forge, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    have(bundle("a", 5))
    size = (isolated.state / "sites/ward/ledger").stat().st_size
    full = dict.fromkeys(log._ROOM, size + 100)
    monkeypatch.setattr(log, "_ROOM", full)

    refusals.expect_refusal(
        isolated, "import", forged.depot(bundle("b", 9)), error=StorageError, staging=True
    )

    assert [one.event for one in entries(isolated)] == ["begun", "imported"]


def test_a_channel_that_the_state_has_no_room_for_is_refused_before_anything_is_installed(
    have: Callable[..., None], forged: Forge, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    have(bundle("a", 5))
    monkeypatch.setattr(limits, "CHANNELS", 1)

    for number in (9, 1):
        other = forged.depot(bundle("b", number, "another"))
        ran = refusals.expect_refusal(isolated, "import", other, error=PolicyError)
        assert "no room for another one, another" in ran.json["error"]["message"]

    have(bundle("c", 6))


def test_what_no_builder_signed_does_not_fill_the_ledger(isolated: Side, tmp_path: Path) -> None:
    stranger = sides.make_site(tmp_path / "stranger")
    theirs = Forge(tmp_path / "theirs", forge.load_signer(stranger.key()))
    before = stores.snapshot(isolated.top)

    ran = isolated.run("import", theirs.depot(bundle("a", 1, audience=["attic"])))

    assert ran.code == NotTrustedError.exit_code
    assert stores.snapshot(isolated.top) == before


def test_damage_is_no_refusal_for_the_ledger(forged: Forge, isolated: Side) -> None:
    location = forged.depot(bundle("a", 1))
    (pack,) = location.glob("packs/*/*")
    pack.write_bytes(bytes(pack.stat().st_size))

    assert isolated.run("import", location).code == CorruptError.exit_code

    assert [one.event for one in entries(isolated)] == ["begun"]


# ---- clocks


def site_with(tmp_path: Path, root: Root) -> Side:
    side = Side(tmp_path / "dated")
    side.top.mkdir()
    signers.pin(side, root)
    return side


def dated_root(version: int, created_at: int) -> Root:
    made = make_root(version)
    return Root(
        made.site, made.version, made.keys, made.roles, made.channels, created_at=created_at
    )


def built(tmp_path: Path, made: Draft) -> Path:
    """Sign a bundle as ``bob``."""
    return Forge(tmp_path, signers.person("bob")).depot(made)


@pytest.mark.parametrize("clock", [0, NOON - 3650 * DAY, NOON - 1])
def test_a_clock_that_is_set_back_does_not_make_an_expired_bundle_fresh(
    clock: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = site_with(tmp_path, dated_root(1, NOON))
    location = built(tmp_path, bundle("a", 1, expires_at=NOON - 1))
    monkeypatch.setattr(time, "time", lambda: float(clock))

    refusals.expect_refusal(side, "verify", location, error=PolicyError)
    refusals.expect_refusal(side, "import", location, error=PolicyError)


def test_a_clock_that_is_ahead_refuses_what_expires_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = site_with(tmp_path, dated_root(1, NOON))
    location = built(tmp_path, bundle("a", 1, expires_at=NOON + DAY))
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: float(NOON + 2 * DAY))
        refusals.expect_refusal(side, "import", location, error=PolicyError)

        # Nor does it raise the floor: only what root keys signed does.
        assert side.run("import", built(tmp_path, bundle("b", 1))).code == 0
    monkeypatch.setattr(time, "time", lambda: float(NOON))

    newer = built(tmp_path, bundle("a", 2, expires_at=NOON + DAY))
    assert side.run("import", newer).code == 0


def test_a_site_without_approvers_is_not_told_to_waive(tmp_path: Path) -> None:
    side = site_with(tmp_path, make_root())
    assert side.run("import", built(tmp_path / "new", bundle("a", 2))).code == 0

    ran = refusals.expect_refusal(
        side, "import", built(tmp_path / "old", bundle("b", 1)), error=PolicyError
    )

    assert "ask the sender to export its items again" in ran.json["error"]["hint"]
    assert "waive" not in ran.json["error"]["hint"]


@pytest.mark.parametrize("command", ["verify", "import"])
def test_a_clock_before_the_creation_of_the_bundle_is_noted(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = site_with(tmp_path, dated_root(1, 0))
    location = built(tmp_path, bundle("a", 1, created_at=NOON))
    monkeypatch.setattr(time, "time", lambda: float(NOON))
    assert "clock" not in side.run("verify", location).out
    monkeypatch.setattr(time, "time", lambda: float(NOON - 3650 * DAY))

    ran = side.run(command, location)

    assert ran.code == 0
    assert "NOTE: this machine's clock says 2017-01-17T08:00:00Z, but the bundle was" in ran.out


def test_the_floor_stays_where_the_newest_date_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = site_with(tmp_path, dated_root(1, NOON))
    for version, date in ((2, NOON + 9 * DAY), (3, NOON + DAY)):
        signers.write_root(tmp_path / "next.msgpack", dated_root(version, date), "ann")
        ran = side.run("trust", "update", tmp_path / "next.msgpack")
        assert ran.code == 0, ran.err
    monkeypatch.setattr(time, "time", lambda: 0.0)
    location = built(tmp_path, bundle("a", 1, expires_at=NOON + 8 * DAY))

    refusals.expect_refusal(side, "import", location, error=PolicyError)
    assert side.run("trust", "show", "--json").json["history"]["time_floor"][:10] == "2027-01-24"


def test_a_root_that_was_left_out_of_time_does_not_come_back_with_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = site_with(tmp_path, dated_root(1, NOON))
    made = make_root(2)
    expired = Root(
        made.site, 2, made.keys, made.roles, made.channels, not_after=NOON - 1, created_at=0
    )
    signers.write_root(tmp_path / "next.msgpack", expired, "ann")
    monkeypatch.setattr(time, "time", lambda: 0.0)

    refusals.expect_refusal(side, "trust", "update", tmp_path / "next.msgpack", error=PolicyError)


# ---- imports that overtake each other


class SecondHome(Side):
    """The same machine, with another BentoML home: imports into the two do not wait for another."""

    @property
    def bentoml(self) -> Path:
        return self.top / "second"


def test_what_was_overtaken_while_its_packs_were_read_is_refused(
    forged: Forge, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = forged.depot(bundle("a", 5)), forged.depot(bundle("b", 6))
    ended: list[int] = []

    def overtake(_: Path) -> None:
        ended.append(SecondHome(isolated.top).process("import", newer).returncode)

    monkeypatch.setattr(install_bundle, "sync_file_system", overtake)
    ran = isolated.run("import", older)

    assert (ended, ran.code) == ([0], PolicyError.exit_code)
    assert store_invariants.store_contents(isolated) == {}
    assert [one.event for one in entries(isolated)] == ["begun", "imported", "refused"]


def test_what_another_import_brought_meanwhile_is_the_same_still(
    forged: Forge, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = forged.depot(bundle("a", 5))
    other = SecondHome(isolated.top)
    monkeypatch.setattr(
        install_bundle, "sync_file_system", lambda _: other.process("import", location)
    )

    assert isolated.run("import", location).code == 0

    assert store_invariants.items(isolated).keys() == {"bentoml/models/a/v1"}
    assert (other.bentoml / "models/a/v1").is_dir()
