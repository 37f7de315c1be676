"""Holders of keys sign the bundle, or the root, that they named, and nothing else."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.carrier.local_depot import DepotReader
from airgap.cli import signing, terminal
from airgap.disk.part_file import write_atomically
from airgap.errors import AirgapError, MissingError, NotTrustedError, UsageError
from airgap.flow.trust import roots as proposals
from airgap.format import attestation
from airgap.format import envelope as dsse
from airgap.format import root as roots
from airgap.format import waiver as waivers
from airgap.format.attestation import Attestation
from airgap.format.envelope import PAYLOAD_TYPES
from airgap.format.manifest import bundle_id
from airgap.format.waiver import Waiver
from airgap.signing.public_keys import verifies
from airgap.signing.signer import Signer
from tests.support import forge, refusals, signers, stores
from tests.support.sides import Ran, Side
from tests.support.signers import make_root, person, team
from tests.support.terminal import run_at_terminal

WAIVED = ("--site", "ward", "--reason", "x", "--expires", "7d")
SIGNING: dict[str, tuple[str, ...]] = {
    "sign": (),
    "approve": (),
    "attest": ("--role", "scanner", "--findings", "KEY"),
    "waive": (*WAIVED, "-o", "NEW.waiver"),
}
each_command = pytest.mark.parametrize("command", SIGNING)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def good(small: Side, keys: Path, tmp_path: Path) -> str:
    """The bundle that was looked at; ``bob`` built it."""
    key = signers.write_key(keys, "bob")
    words = ("--key", key, "--channel", "prod", "--sequence", "7", "--json")
    return str(small.run("export", "shop:v1", "-o", tmp_path / "depot", *words).json["bundle"])


@pytest.fixture
def evil(small: Side, keys: Path, good: str, tmp_path: Path) -> str:
    """A bundle that somebody added since, and that calls itself newer; ``eve`` built it."""
    stores.add_bento(small, "evil:v1", {"src/x": b"evil"})
    words = ("--key", signers.write_key(keys, "eve"), "--channel", "prod", "--sequence", "8")
    ran = small.run("export", "evil:v1", "-o", tmp_path / "depot", *words, "--json")
    bundle = str(ran.json["bundle"])
    assert bundle != good
    return bundle


def typed(command: str, source: str | Path, keys: Path, name: str = "dan") -> list[str]:
    """The command line with which somebody signs."""
    key = str(signers.write_key(keys, name))
    options = [word.replace("KEY", key) for word in SIGNING[command]]
    options = [word.replace("NEW", str(keys / "new")) for word in options]
    return [command, str(source), "--key", key, *options]


def envelopes(depot: Path, bundle: str) -> list[str]:
    return sorted(file.name for file in (depot / "bundles" / bundle).glob("*.dsse"))


@each_command
@pytest.mark.parametrize("beginning", [0, 8, 12, 63])
def test_of_several_bundles_none_is_chosen(
    command: str, beginning: int, small: Side, keys: Path, good: str, evil: str, tmp_path: Path
) -> None:
    depot = tmp_path / "depot"
    before = stores.snapshot(depot)
    source = f"{depot}#{good[:beginning]}" if beginning else depot

    ran = refusals.expect_refusal(small, *typed(command, source, keys), error=UsageError)

    assert stores.snapshot(depot) == before
    assert not list(keys.glob("new*"))
    assert f"{depot}#{good}" in ran.json["error"]["details"]
    assert (f"{depot}#{evil}" in ran.json["error"]["details"]) == (not beginning)
    assert "64 digits" in ran.json["error"]["hint"]


@each_command
@pytest.mark.parametrize("form", ["#", "--bundle", "both"])
def test_a_full_id_names_the_bundle(
    command: str, form: str, small: Side, keys: Path, good: str, evil: str, tmp_path: Path
) -> None:
    depot = tmp_path / "depot"
    source = depot if form == "--bundle" else f"{depot}#{good if form == '#' else good[:8]}"
    words = () if form == "#" else ("--bundle", good)
    before = envelopes(depot, evil)

    ran = small.run(*typed(command, source, keys), *words, "--json")

    assert ran.code == 0, ran.err
    assert ran.json["bundle"] == good
    assert envelopes(depot, evil) == before


@each_command
@pytest.mark.parametrize(
    ("bundle", "error"),
    [
        pytest.param("{evil}", MissingError, id="another"),
        pytest.param("{good:.63}", UsageError, id="not all of it"),
        pytest.param("{good}0", UsageError, id="more than it"),
        pytest.param("", UsageError, id="empty"),
    ],
)
@pytest.mark.parametrize("form", ["depot", "shop.airgap", "shop.tar"])
@pytest.mark.usefixtures("good")
def test_the_id_is_compared_with_the_only_bundle(
    form: str,
    bundle: str,
    error: type[AirgapError],
    command: str,
    small: Side,
    keys: Path,
    tmp_path: Path,
) -> None:
    location = tmp_path / form
    if form != "depot":
        key = signers.write_key(keys, "bob")
        assert small.run("export", "shop:v1", "-o", location, "--key", key).code == 0
    named = small.run("inspect", location, "--json").json["bundle"]
    other = named[:-1] + ("0" if named[-1] != "0" else "1")
    option = ("--bundle", bundle.format(good=named, evil=other))

    refusals.expect_refusal(small, *typed(command, location, keys), *option, error=error)


def test_two_ids_that_differ_are_refused(
    small: Side, keys: Path, good: str, evil: str, tmp_path: Path
) -> None:
    words = typed("sign", f"{tmp_path / 'depot'}#{good[:16]}", keys)

    refusals.expect_refusal(small, *words, "--bundle", evil, error=UsageError)


@each_command
def test_what_is_signed_is_shown_first(
    command: str, small: Side, keys: Path, good: str, tmp_path: Path
) -> None:
    small.run(*typed("approve", tmp_path / "depot", keys, "sam"))

    ran = small.run(*typed(command, tmp_path / "depot", keys))

    shown = [line.strip() for line in ran.err.splitlines()]
    for line in (f"bundle {good}", "channel prod, number 7, for any site", "expires never"):
        assert line in shown
    assert any(line.startswith("bento shop:v1") for line in shown)
    assert any(line.startswith("model ranker:v1") for line in shown)
    titles = dict(zip(shown[1:], shown, strict=False))
    assert titles[person("bob").key.id] == "claims to be signed by builder"
    assert titles[person("sam").key.id] == "claims to be accepted by approver (review)"
    assert max(map(len, ran.err.splitlines())) <= 80


@pytest.mark.parametrize("command", ["sign", "approve", "attest"])
def test_what_is_signed_is_what_was_shown(
    command: str,
    small: Side,
    keys: Path,
    good: str,
    evil: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    depot = tmp_path / "depot"
    shutil.rmtree(depot / "bundles" / evil)
    manifest = depot / "bundles" / good / "manifest.msgpack"
    raw = manifest.read_bytes()
    show = signing.show

    def show_and_change(*words: object, **named: object) -> None:
        show(*words, **named)  # type: ignore[arg-type]
        manifest.write_bytes(raw.replace(b"shop", b"evil"))

    monkeypatch.setattr(signing, "show", show_and_change)

    assert small.run(*typed(command, depot, keys)).code == 0

    (file,) = (depot / "bundles" / good).glob(f"*.{person('dan').key.id}.dsse")
    signed = raw if command == "sign" else file.with_suffix(".attestation").read_bytes()
    envelope = dsse.decode(file.read_bytes())
    purpose = PAYLOAD_TYPES["builder" if command == "sign" else "approver"]
    message = dsse.signed_bytes(purpose, signed)
    assert verifies(person("dan").key, envelope.signature, message)
    assert command == "sign" or bytes.fromhex(bundle_id(raw)) in signed


@each_command
@pytest.mark.usefixtures("good")
def test_nothing_is_read_twice(
    command: str,
    small: Side,
    keys: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []
    manifest, envelopes_of = DepotReader.read_manifest, DepotReader.read_envelopes

    def read_manifest(reader: DepotReader) -> tuple[str, bytes]:
        read.append("manifest")
        return manifest(reader)

    def read_envelopes(reader: DepotReader, role: str) -> list[bytes]:
        read.append(role)
        return envelopes_of(reader, role)  # type: ignore[arg-type]

    monkeypatch.setattr(DepotReader, "read_manifest", read_manifest)
    monkeypatch.setattr(DepotReader, "read_envelopes", read_envelopes)

    assert small.run(*typed(command, tmp_path / "depot", keys)).code == 0

    assert read == ["manifest", "builder"]


# The builder threshold, where this machine has a root


@pytest.fixture
def ward(tmp_path: Path) -> Side:
    """A machine that demands two builders: ``bob`` and ``bea``."""
    side = Side(tmp_path / "ward")
    side.top.mkdir()
    signers.pin(side, make_root(builder=team("bob bea", 2), approver=team("dan")))
    return side


@pytest.mark.parametrize("command", ["approve", "attest", "waive"])
@pytest.mark.usefixtures("good")
def test_nobody_accepts_what_too_few_builders_signed(
    command: str, ward: Side, small: Side, keys: Path, tmp_path: Path
) -> None:
    depot = tmp_path / "depot"
    before = stores.snapshot(depot)

    refusals.expect_refusal(ward, *typed(command, depot, keys), error=NotTrustedError)

    assert stores.snapshot(depot) == before
    assert not list(keys.glob("new*"))
    assert small.run(*typed("sign", depot, keys, "bea")).code == 0
    assert ward.run(*typed(command, depot, keys)).code == 0


@pytest.mark.parametrize("command", ["approve", "attest"])
@pytest.mark.usefixtures("good")
def test_a_rejection_needs_no_builders(
    command: str, ward: Side, keys: Path, tmp_path: Path
) -> None:
    ran = ward.run(*typed(command, tmp_path / "depot", keys), "--reject", "--json")

    assert (ran.code, ran.json["decision"]) == (0, "reject")


@pytest.mark.parametrize("command", ["approve", "attest", "waive"])
def test_nobody_accepts_a_revoked_bundle(
    command: str, keys: Path, good: str, tmp_path: Path
) -> None:
    side = Side(tmp_path / "site")
    side.top.mkdir()
    signers.pin(side, make_root(revoked_bundles=(bytes.fromhex(good),)))

    words = typed(command, tmp_path / "depot", keys)

    refusals.expect_refusal(side, *words, error=NotTrustedError)


@pytest.mark.usefixtures("good")
def test_a_waiver_for_another_site_does_not_ask_this_machines_root(
    ward: Side, keys: Path, tmp_path: Path
) -> None:
    words = ["north" if word == "ward" else word for word in SIGNING["waive"]]
    words = [word.replace("NEW", str(keys / "new")) for word in words]
    key = signers.write_key(keys, "dan")

    assert ward.run("waive", tmp_path / "depot", "--key", key, *words).code == 0


# A person at a terminal


def at_terminal(side: Side, *words: str, answers: list[tuple[str, str]]) -> Ran:
    return run_at_terminal(side, *words, answers=answers)


def test_a_person_is_asked_which_of_several_it_is(
    small: Side, keys: Path, good: str, evil: str, tmp_path: Path
) -> None:
    depot = tmp_path / "depot"
    before = envelopes(depot, evil)
    words = typed("approve", depot, keys)

    ran = at_terminal(small, *words, answers=[("Full ID", f"{good}\n")])

    assert ran.code == 0, ran.err
    assert good in ran.err
    assert evil in ran.err
    assert "[y/N]" not in ran.err  # the full id says it
    assert f"approver.{person('dan').key.id}.dsse" in envelopes(depot, good)
    assert envelopes(depot, evil) == before


@pytest.mark.parametrize("answer", ["{good:.8}\n", "\n", "y\n"])
@pytest.mark.usefixtures("evil")
def test_the_answer_is_a_full_id(
    answer: str, small: Side, keys: Path, good: str, tmp_path: Path
) -> None:
    depot = tmp_path / "depot"
    before = stores.snapshot(depot)
    words = typed("sign", f"{depot}#{good[:8]}", keys)

    ran = at_terminal(small, *words, answers=[("Full ID", answer.format(good=good))])

    assert ran.code == UsageError.exit_code
    assert stores.snapshot(depot) == before


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 130), ("\n", 130)])
def test_a_person_confirms_what_was_not_named(
    answer: str, code: int, small: Side, keys: Path, good: str, tmp_path: Path
) -> None:
    depot = tmp_path / "depot"
    before = envelopes(depot, good)

    ran = at_terminal(small, *typed("sign", depot, keys), answers=[("as builder?", answer)])

    assert ran.code == code
    asked, _, _ = ran.err.replace("\r", "").partition(" [y/N]")
    assert asked.splitlines()[-2:] == [f"Sign bundle {good}", "as builder?"]
    assert (envelopes(depot, good) == before) == bool(code)


# Texts that a stranger chose


FALSE_LINES = ("To be signed as builder:", f"  bundle {'f' * 64}", "  claims no signatures")
FALSE = f"x{' ':60}{''.join(line.ljust(80) for line in FALSE_LINES)}".rstrip()
"""What airgap shows of another bundle, padded for a terminal to one text."""


@pytest.fixture
def _at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is printed here be laid out as on a terminal of 80 columns."""
    monkeypatch.setattr(terminal, "measure_columns", lambda *, err: 80)  # noqa: ARG005


def expect_own_lines(text: str) -> None:
    """Check that a terminal wraps nothing, and that only marked rows show the false id."""
    assert max(map(len, text.splitlines())) <= 80, text
    assert all("f" * 64 not in line or line.lstrip().startswith("… ") for line in text.splitlines())


def add_note(depot: Path, bundle: str, name: str, key_id: str = "") -> None:
    """Write an approval with a false note by somebody, or by somebody who claims another key."""
    signer = person(name)
    statement = Attestation(bytes.fromhex(bundle), "approver", "accept", 1767323045, FALSE, None)
    raw = attestation.encode(statement)
    envelope = replace(signer.sign("approver", raw), key_id=key_id or signer.key.id)
    file = depot / "bundles" / bundle / f"approver.{envelope.key_id}.attestation"
    file.write_bytes(raw)
    file.with_suffix(".dsse").write_bytes(dsse.encode(envelope))


@pytest.mark.usefixtures("_at_80_columns")
@pytest.mark.parametrize(
    ("name", "claimed", "shown"),
    [
        pytest.param("dan", "dan", True, id="of a key of the root"),
        pytest.param("eve", "eve", False, id="of another key"),
        pytest.param("eve", "dan", False, id="of another key that claims to be one of the root"),
        pytest.param("bob", "bob", False, id="of a key of another role"),
    ],
)
def test_a_note_cannot_look_like_what_is_signed(
    name: str,
    claimed: str,
    ward: Side,
    keys: Path,
    good: str,
    tmp_path: Path,
    *,
    shown: bool,
) -> None:
    depot = tmp_path / "depot"
    add_note(depot, good, name, person(claimed).key.id)

    ran = ward.run(*typed("sign", depot, keys, "bea"))

    assert ran.code == 0
    expect_own_lines(ran.err)
    assert ("2026-01-02T03:04:05Z: x To be signed" in ran.err) == shown
    assert ("  1 note is not shown: not signed by a key of" in ran.err) == (not shown)


@pytest.mark.usefixtures("_at_80_columns")
def test_without_a_root_no_note_is_shown(
    small: Side, keys: Path, good: str, tmp_path: Path
) -> None:
    for name in ("dan", "eve"):
        add_note(tmp_path / "depot", good, name)

    ran = small.run(*typed("sign", tmp_path / "depot", keys, "bea"))

    assert ran.code == 0
    expect_own_lines(ran.err)
    assert "  2 notes are not shown" in ran.err
    assert "x To be" not in ran.err


@pytest.mark.usefixtures("_at_80_columns")
def test_inspect_shows_a_note_in_marked_rows(small: Side, good: str, tmp_path: Path) -> None:
    add_note(tmp_path / "depot", good, "eve")

    shown = small.run("inspect", tmp_path / "depot").out
    expect_own_lines(shown)
    assert shown.count("\n      … ") == 2


def test_a_note_in_a_pipe_is_one_whole_line(small: Side, good: str, tmp_path: Path) -> None:
    add_note(tmp_path / "depot", good, "eve")

    assert f"Z: {' '.join(FALSE.split())}\n" in small.run("inspect", tmp_path / "depot").out
    (*_, claim) = small.run("inspect", tmp_path / "depot", "--json").json["signatures"]
    assert claim["note"] == FALSE


@pytest.mark.usefixtures("_at_80_columns")
@pytest.mark.parametrize("command", ["sign", "inspect", "get", "list"])
@pytest.mark.parametrize("fault", ["label", "label name", "tool", "audience"])
def test_a_manifest_cannot_look_like_another(
    fault: str, command: str, connected: Side, keys: Path, tmp_path: Path
) -> None:
    fields: dict[str, object] = {
        "label": {"labels": {"a": f"x{' ':68}  claims to be accepted"}, "reader": 2},
        "label name": {"labels": {"a" * 58: f"x{' ':9}  bundle {'f' * 64}"}, "reader": 2},
        "tool": {"tool": f"x{' ':40}bundle 0"},
        "audience": {"audience": sorted(f"site-{number}" for number in range(40))},
    }[fault]  # type: ignore[assignment]
    made = forge.draft(forge.bento({"src/a": b"evil"}), **fields)
    depot = forge.write_depot(tmp_path / "made", forge.members(made.raw(), {}, made.packs))
    words = {
        "sign": typed("sign", depot, keys),
        "get": ["get", "shop:v1", str(depot)],
    }.get(command, [command, str(depot)])

    ran = connected.run(*words)

    assert ran.code == 0, ran.err
    shown, _, _ = (ran.out + ran.err).partition("To see a bundle:")  # a path follows
    expect_own_lines(shown)


@pytest.mark.usefixtures("_at_80_columns")
def test_a_path_that_fills_a_row_does_not_begin_the_next(connected: Side, tmp_path: Path) -> None:
    made = forge.draft(forge.bento({f"a{' ' * 75}bundle {'f' * 64}": b"evil"}))
    depot = forge.write_depot(tmp_path / "made", forge.members(made.raw(), {}, made.packs))

    expect_own_lines(connected.run("inspect", depot, "--files").out)


# Roots and waivers


@pytest.fixture
def proposal(keys: Path) -> Path:
    """A root that ``ann`` and ``amy`` sign; nobody has."""
    signers.write_root(keys / "root.msgpack", make_root(root=team("ann amy", 2)), "")
    return keys / "root.msgpack"


def test_a_root_is_signed_by_its_fingerprint_and_no_other(
    proposal: Path, keys: Path, connected: Side
) -> None:
    fingerprint = roots.fingerprint(proposal.read_bytes())
    words = ("root", "sign", str(proposal), "--key", str(signers.write_key(keys, "ann")))
    other = fingerprint[:-1] + ("0" if fingerprint[-1] != "0" else "1")

    refusals.expect_refusal(connected, *words, error=UsageError)
    for wrong, error in (
        (other, NotTrustedError),
        (fingerprint[:-1], UsageError),
        (fingerprint[:23], UsageError),
        ("SHA256:", UsageError),
    ):
        refusals.expect_refusal(connected, *words, "--fingerprint", wrong, error=error)
    assert list(keys.glob("*.dsse")) == []

    assert connected.run(*words, "--fingerprint", fingerprint).code == 0
    assert [file.name for file in keys.glob("*.dsse")] == [f"root.{person('ann').key.id}.dsse"]


def test_a_person_types_the_fingerprint_from_the_sheet(
    proposal: Path, keys: Path, connected: Side
) -> None:
    fingerprint = roots.fingerprint(proposal.read_bytes())
    words = ("root", "sign", str(proposal), "--key", str(signers.write_key(keys, "ann")))
    digits = fingerprint.removeprefix("SHA256:")
    groups = " ".join(digits[at : at + 4] for at in range(0, 64, 4))

    ran = at_terminal(connected, *words, answers=[("ceremony sheet", f"{groups}\n")])

    assert ran.code == 0, ran.err
    assert "root: 2 of 2" in ran.err
    asked, _, _ = ran.err.partition("ceremony sheet")
    assert digits not in asked  # it comes from the sheet, not from the screen


def test_the_root_that_is_signed_is_the_one_that_was_compared(
    proposal: Path, keys: Path, monkeypatch: pytest.MonkeyPatch, connected: Side
) -> None:
    raw = proposal.read_bytes()
    other = roots.encode(make_root(root=team("ann amy", 2), builder=team("eve")))
    read = proposals.read_proposal

    def read_and_change(path: Path, before: Path | None) -> proposals.Proposal:
        result = read(path, before)
        proposal.write_bytes(other)
        return result

    monkeypatch.setattr(proposals, "read_proposal", read_and_change)
    words = ("--key", signers.write_key(keys, "ann"), "--fingerprint", roots.fingerprint(raw))

    ran = connected.run("root", "sign", proposal, *words, "--json")

    assert ran.json["fingerprint"] == roots.fingerprint(raw)
    (file,) = keys.glob("*.dsse")
    envelope = dsse.decode(file.read_bytes())
    message = dsse.signed_bytes(PAYLOAD_TYPES["root"], raw)
    assert verifies(person("ann").key, envelope.signature, message)


@pytest.mark.parametrize("is_signed", [False, True])
def test_the_fingerprint_that_is_told_is_of_the_root_that_was_made(
    is_signed: bool,  # noqa: FBT001
    proposal: Path,
    keys: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody swaps the file as soon as it is written."""
    if is_signed:
        signers.write_signatures(proposal, "ann amy")
    output = keys / "next.msgpack" if is_signed else None
    other = roots.encode(make_root(2, builder=team("eve")))

    def write_and_change(folder: Path, name: str, pieces: list[bytes]) -> None:
        write_atomically(folder, name, pieces)
        (folder / name).write_bytes(other)

    monkeypatch.setattr("airgap.flow.trust.roots.write_atomically", write_and_change)

    made = proposals.edit_root(proposal, lambda root: replace(root, not_after=2**32), output)

    assert made.root.not_after == 2**32
    assert made.fingerprint == roots.fingerprint(roots.encode(made.root))


def test_what_changed_is_told_against_the_root_that_is_trusted(
    keys: Path, ward: Side, connected: Side
) -> None:
    other = keys / "old.msgpack"  # in which mallory was a builder all along
    changed = make_root(builder=team("bob bea mallory", 2), approver=team("dan"))
    signers.write_root(other, changed, "ann")
    following = make_root(2, builder=team("bob bea mallory", 2), approver=team("dan"))
    signers.write_root(keys / "next.msgpack", following, "")
    pin = ("--fingerprint", roots.fingerprint((keys / "next.msgpack").read_bytes()))
    signing_it = ("root", "sign", keys / "next.msgpack", "--key", signers.write_key(keys, "ann"))

    for command in (("root", "show", keys / "next.msgpack"), (*signing_it, *pin)):
        refusals.expect_refusal(ward, *command, "--from", other, error=NotTrustedError)
    assert not list(keys.glob("next.*.dsse"))

    assert connected.run("root", "show", keys / "next.msgpack", "--from", other).code == 0


def test_a_new_root_is_signed_as_it_was_made(keys: Path) -> None:
    path, other = keys / "new.msgpack", roots.encode(make_root(builder=team("eve")))
    ann, signed = person("ann"), []

    class Swapper(Signer):
        def _sign_bytes(self, message: bytes) -> bytes:
            path.write_bytes(other)
            signed.append(message)
            return ann._sign_bytes(message)

    keys.mkdir()
    new = proposals.NewRoot("ward", {"root": [ann.key], "builder": [person("bob").key]}, {})
    made = proposals.create_root(new, [Swapper(ann.key), Swapper(ann.key)], path)

    assert signed == [dsse.signed_bytes(PAYLOAD_TYPES["root"], made.raw)]
    assert made.raw != other


def test_a_waiver_is_signed_for_the_bundle_that_is_named(
    small: Side, keys: Path, good: str, tmp_path: Path
) -> None:
    assert small.run(*typed("waive", tmp_path / "depot", keys)).code == 0
    digest = small.run("inspect", keys / "new.waiver", "--json").json["digest"]
    key = signers.write_key(keys, "eve")
    words = ("waive", keys / "new.waiver", "--digest", digest, "--key", key)

    refusals.expect_refusal(small, *words, "--bundle", "0" * 64, error=MissingError)

    ran = small.run(*words, "--bundle", good)
    assert ran.code == 0
    assert f"bundle {good}" in ran.err
    assert "reason: x" in ran.err


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 130)])
@pytest.mark.usefixtures("good")
def test_a_person_confirms_the_waiver_that_is_shown(
    answer: str, code: int, small: Side, keys: Path, tmp_path: Path
) -> None:
    assert small.run(*typed("waive", tmp_path / "depot", keys)).code == 0
    path = keys / "new.waiver"
    raw, before = path.read_bytes(), sorted(keys.glob("new.*.dsse"))
    words = ("waive", str(path), "--key", str(signers.write_key(keys, "eve")))

    ran = at_terminal(small, *words, answers=[(" [y/N]", answer)])

    assert ran.code == code, ran.err
    asked, _, _ = ran.err.partition(" [y/N]")
    assert f"digest SHA256:{forge.sha256(raw).hex()}" in asked
    assert len([*keys.glob("new.*.dsse")]) == len(before) + (code == 0)


@pytest.mark.usefixtures("good")
def test_the_waiver_that_is_signed_is_the_one_that_was_shown(
    small: Side, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert small.run(*typed("waive", tmp_path / "depot", keys)).code == 0
    path = keys / "new.waiver"
    raw = path.read_bytes()
    other = replace(waivers.decode(raw), expires_at=4_000_000_000)
    real = signing.show

    def show_and_change(*words: object, **options: object) -> None:
        real(*words, **options)  # type: ignore[arg-type]
        path.write_bytes(waivers.encode(other))

    monkeypatch.setattr("airgap.cli.waive.show", show_and_change)
    digest = f"SHA256:{forge.sha256(raw).hex()}"
    key = signers.write_key(keys, "eve")
    assert small.run("waive", path, "--digest", digest, "--key", key).code == 0

    envelope = dsse.decode((keys / f"new.{person('eve').key.id}.dsse").read_bytes())
    message = dsse.signed_bytes(PAYLOAD_TYPES["waiver"], raw)
    assert verifies(person("eve").key, envelope.signature, message)


@pytest.mark.usefixtures("_at_80_columns")
def test_a_reason_cannot_look_like_another_waiver(
    connected: Side, keys: Path, tmp_path: Path
) -> None:
    path, bundle = tmp_path / "evil.waiver", "0" * 64
    waiver = Waiver(bytes(32), "ward", FALSE, 1767323045, 4102444800)
    path.write_bytes(waivers.encode(waiver))
    words = ("waive", str(path), "--key", str(signers.write_key(keys, "dan")))

    ran = at_terminal(connected, *words, answers=[(" [y/N]", "n\n")])

    assert ran.code == 130
    asked, _, _ = ran.err.replace("\r", "").partition(" [y/N]")
    expect_own_lines(asked)
    assert asked.splitlines()[-2:] == [
        f"Waive bundle {bundle}",
        "for site ward until 2100-01-01T00:00:00Z?",
    ]
    expect_own_lines(connected.run("inspect", path).out)
    assert connected.run("inspect", path, "--json").json["reason"] == FALSE
