"""The second verifier, ``airgap verify`` and ``airgap import`` agree on bundles of every shape.

``AIRGAP_EXAMPLES=5000`` makes more of them.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.errors import AirgapError, CorruptError
from airgap.format import canonical, limits, manifest
from airgap.format import root as roots
from airgap.format.root import Key, Root
from airgap.signing import trust
from airgap.signing.public_keys import verifies
from airgap.signing.signer import Signer
from airgap.signing.trust import Verified
from tests.support import bundle_strategies, forge, root_strategies, second_verifier, sides, signers
from tests.support.bundle_strategies import Fault
from tests.support.forge import Draft
from tests.support.mutations import FEW
from tests.support.sides import Side, Site

EXAMPLES = settings(FEW, max_examples=int(os.environ.get("AIRGAP_EXAMPLES", "25")))


@dataclass(frozen=True)
class Verdict:
    """What each of the three says: "accepted", or the kind of the refusal."""

    second: str
    verified: str
    imported: str
    is_partial: bool
    """Whether the second verifier could not compare every file: some are compressed."""


@dataclass(frozen=True)
class Verifiers:
    """Three that judge the same file, each from nothing."""

    folder: Path
    side: Side
    site: Site
    signer: Signer
    root: Verified[Root]

    def judge(self, made: Draft) -> Verdict:
        """Let all three judge a bundle."""
        return self.judge_members(self.sign(made))

    def judge_by(self, raw_root: bytes, members: list[tuple[str, bytes]]) -> Verdict:
        """Let all three judge a .airgap file by a root that ``ann`` signs."""
        path, place = self.folder / "root-2" / "root.msgpack", self.folder / "made.airgap"
        path.parent.mkdir(exist_ok=True)
        forge.put(path, raw_root)
        (envelope,) = signers.signatures("root", raw_root, "ann")
        forge.put(path.with_name(f"root.{signers.person('ann').key.id}.dsse"), envelope)
        forge.put(place, forge.tar(members))
        fingerprint = roots.fingerprint(raw_root)
        second, _ = second_verifier.verify(place, path, fingerprint)
        try:
            root = trust.accept_root(raw_root, [envelope], fingerprint)
        except AirgapError as error:
            return Verdict(second, error.kind, error.kind, is_partial=False)
        verified = self._run(forge.verify_in_process, place, root)
        imported = self._run(forge.import_in_process, place, root)
        return Verdict(second, verified, imported, is_partial=False)

    def sign(self, made: Draft) -> list[tuple[str, bytes]]:
        """Return the files of a bundle."""
        raw = made.raw()
        return forge.members(raw, forge.sign(raw, self.signer), made.packs)

    def judge_members(self, members: list[tuple[str, bytes]]) -> Verdict:
        """Let all three judge a .airgap file with these members."""
        path = self.folder / "made.airgap"
        forge.put(path, forge.tar(members))
        return self.judge_location(path)

    def judge_location(self, path: Path) -> Verdict:
        """Let all three judge a location."""
        second, printed = second_verifier.verify(path, self.site.root, self.site.fingerprint)
        counts = re.search(r"; (\d+) of (\d+) files compared", printed)
        return Verdict(
            second,
            self._run(forge.verify_in_process, path),
            self._run(forge.import_in_process, path),
            is_partial=counts is not None and counts[1] != counts[2],
        )

    def _run(self, work: object, path: Path, root: Verified[Root] | None = None) -> str:
        """Run with empty stores: else a chunk that is missing may be in an earlier item."""
        for home in (self.side.bentoml, self.side.hugging_face, self.side.state):
            shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(self.folder / "state", self.side.state)
        try:
            work(path, root or self.root)  # type: ignore[operator]
        except AirgapError as error:
            return error.kind
        return "accepted"


def _is_sound(
    check: Callable[[dict[str, Any]], bool], results: dict[bytes, bool], key: dict[str, Any]
) -> bool:
    """Check a key once only: the second verifier multiplies points in Python."""
    if key["spki"] not in results:
        results[key["spki"]] = check(key)
    return results[key["spki"]]


@pytest.fixture(scope="module")
def verifiers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verifiers]:
    folder = tmp_path_factory.mktemp("three")
    site = sides.make_site(folder / "site")
    side = Side(folder / "side")
    side.top.mkdir()
    sides.trust(side, site)
    shutil.copytree(side.state, folder / "state")
    program = second_verifier.program()

    def check(key: dict[str, object], signature: bytes, text: bytes) -> bool:
        return verifies(Key(algorithm=key["algorithm"], spki=key["spki"]), signature, text)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch, side.here():
        patch.setattr(program, "verifies", check)  # openssl takes longer than all the rest
        patch.setattr(program, "is_sound", partial(_is_sound, program.is_sound, {}))
        patch.setattr(os, "fsync", lambda _: None)
        signer = forge.load_signer(site.key())
        yield Verifiers(folder, side, site, signer, forge.trusted(site))


@EXAMPLES
@given(made=bundle_strategies.bundles())
def test_they_agree_on_every_good_bundle(made: Draft, verifiers: Verifiers) -> None:
    verdict = verifiers.judge(made)

    assert verdict.second == verdict.verified == verdict.imported
    assert verdict.second in ("accepted", "missing")


@EXAMPLES
@given(
    made=bundle_strategies.bundles(complete=True), fault=bundle_strategies.faults(), data=st.data()
)
def test_they_agree_on_every_fault(
    made: Draft, fault: Fault, data: st.DataObject, verifiers: Verifiers
) -> None:
    before = _list_closure(made)
    fault(made, data.draw)
    try:
        made.raw()
    except (KeyError, ValueError, OverflowError, AttributeError, TypeError):
        return  # not even canonical msgpack: tests/fuzz/test_second_verifier.py has those

    verdict = verifiers.judge(made)

    if verdict.second == verdict.verified == verdict.imported:
        return
    assert verdict.imported == "corrupt"
    assert _is_left_out(made, verdict) or not _list_closure(made) <= before
    assert {verdict.second, verdict.verified} <= {"accepted", "corrupt"}


def _list_closure(made: Draft) -> set[bytes]:
    """Return the items whose description only airgap compares with them (format §25 to §27)."""
    items = (item for item in made.manifest["items"] if isinstance(item, dict))
    return {
        forge.pack(item) for item in items if item.get("kind") in bundle_strategies.CLOSURE_KINDS
    }


@EXAMPLES
@given(
    made=bundle_strategies.bundles(complete=True),
    raw_root=root_strategies.roots(),
    said=st.lists(root_strategies.attestations(), max_size=5),
)
def test_they_agree_on_roots_of_format_2_and_what_is_attested(
    made: Draft, raw_root: bytes, said: list[root_strategies.Statement], verifiers: Verifiers
) -> None:
    raw = made.raw()
    members = forge.members(raw, forge.sign(raw, signers.person("bob")), made.packs)
    pairs = dict(pair for statement in said for pair in statement.files(raw))
    files = sorted(pairs.items(), key=lambda pair: pair[0].rpartition(".")[::2])  # in pairs
    members[2:2] = files

    verdict = verifiers.judge_by(raw_root, members)

    assert verdict.second == verdict.verified == verdict.imported


def _is_left_out(made: Draft, verdict: Verdict) -> bool:
    """Tell whether format §11 lets a verifier accept what an import refuses."""
    return verdict.is_partial or _has_files_out_of_order(made) or _has_another_description(made)


def _has_files_out_of_order(made: Draft) -> bool:
    for entry in (entry for item in made.manifest["items"] for entry in item["entries"]):
        column = entry.get("chunks", b"")
        chunks = [column[at : at + 4] for at in range(0, len(column), 4)]
        if chunks != sorted(chunks):
            return True
    return False


def _has_another_description(made: Draft) -> bool:
    """Tell whether YAML gives an item another name: the second verifier does not read it."""
    for item in made.manifest["items"]:
        make = {"model": forge.model, "bento": forge.bento}.get(item["kind"])
        if make is not None:
            text = make({}, f"{item['name']}:{item['version']}").entries[f"{item['kind']}.yaml"]
            assert isinstance(text, bytes)
            digests = [entry.get("digest") for entry in item["entries"]]
            if forge.sha256(text) not in digests:
                return True
    return False


# Single faults that a generator seldom meets


def _wrong_chunk(chunks: tuple[bytes, ...], number: int) -> Draft:
    """A model with a file of these chunks; the digest of one is wrong, that of the file right."""
    made = forge.draft(forge.model({"w.bin": forge.File(chunks)}))
    digests = bytearray(made.manifest["chunks"]["digests"])
    at = 32 * (1 + sorted(set(chunks), key=chunks.index).index(chunks[number]))
    digests[at] ^= 1
    made.manifest["chunks"]["digests"] = bytes(digests)
    return made


@pytest.mark.parametrize(
    ("chunks", "verdict"),
    [
        pytest.param((b"one",), "corrupt", id="all of a file"),
        pytest.param((b"one", b"one"), "accepted", id="twice in a file"),
        pytest.param((b"one", b"two"), "accepted", id="one of two"),
        pytest.param((b"one", b"two", b"one"), "corrupt", id="out of order"),
    ],
)
def test_they_agree_on_a_chunk_with_a_wrong_digest(
    chunks: tuple[bytes, ...], verdict: str, verifiers: Verifiers
) -> None:
    judged = verifiers.judge(_wrong_chunk(chunks, 0))

    assert (judged.second, judged.verified, judged.imported) == (verdict,) * 3


@pytest.mark.parametrize("codec", [0, 1, 9])
def test_they_agree_on_a_block_that_no_file_uses(codec: int, verifiers: Verifiers) -> None:
    made = forge.stored_block(b"junk" * 9, bytes(36), codec=codec)
    del made.entries[1]
    made.digest_items()

    judged = verifiers.judge(made)

    assert (judged.second, judged.verified, judged.imported) == ("accepted",) * 3


@pytest.mark.parametrize(("field", "most"), [("audience", 1000), ("items", 10_000)])
@pytest.mark.parametrize("more", [0, 1])
def test_they_agree_on_limits(field: str, most: int, more: int) -> None:
    made = forge.draft()
    made.manifest["audience"] = ["ward"]
    if field == "audience":
        made.manifest["audience"] = [f"s{number:05}" for number in range(most + more)]
    else:
        for number in range(most + more):
            item = {"kind": "hugging-face", "name": f"h{number:05}", "version": "0" * 40}
            made.manifest["items"].append({**item, "entries": [], "digest": b""})
        made.digest_items()
    program = second_verifier.program()

    if more:
        with pytest.raises(CorruptError):
            manifest.decode(made.raw())
        with pytest.raises(program.Refused):
            program.check_manifest(made.manifest)
    else:
        manifest.decode(made.raw())
        program.check_manifest(made.manifest)


# Beside the manifest (format §8, §9)

SMALL = limits.KIB


@pytest.fixture
def low_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let large members have 1 KiB only, so that tests need not write 256 MiB."""
    program = second_verifier.program()
    changed = {"PADDING_BYTES": "padding", "TEXT_MEMBER_BYTES": "txt"}
    changed |= {"ROOT_BYTES": "root.msgpack", "MODEL_SIGNATURE_BYTES": "sig"}
    for name, end in changed.items():
        expected = program.LIMITS[end]
        assert getattr(limits, name) == expected
        monkeypatch.setattr(limits, name, SMALL)
        monkeypatch.setitem(program.LIMITS, end, SMALL)


@pytest.mark.usefixtures("low_limits")
@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("name", ["padding", "roots/1.root.msgpack", "model.sig", "README.txt"])
def test_they_agree_on_the_size_of_a_member(name: str, more: int, verifiers: Verifiers) -> None:
    members = verifiers.sign(forge.draft(forge.model({"w.bin": b"w"})))
    folder = members[0][0].rpartition("/")[0]
    at = 2 if name in ("padding", "roots/1.root.msgpack") else len(members)
    path = f"{folder}/{'a' * 64}.{name}" if name == "model.sig" else name
    members.insert(at, (path, bytes(SMALL + more)))

    judged = verifiers.judge_members(members)

    expected = "corrupt" if more else "accepted"
    assert (judged.second, judged.verified, judged.imported) == (expected,) * 3


@pytest.mark.parametrize("digits", ["ab", "ba", "aa"])
def test_they_agree_on_the_order_of_model_signatures(digits: str, verifiers: Verifiers) -> None:
    members = verifiers.sign(forge.draft(forge.model({"w.bin": b"w"})))
    folder = members[0][0].rpartition("/")[0]
    members += [(f"{folder}/{digit * 64}.model.sig", b"{}") for digit in digits]

    judged = verifiers.judge_members(members)

    expected = "accepted" if digits == "ab" else "corrupt"
    assert (judged.second, judged.verified, judged.imported) == (expected,) * 3


@pytest.mark.parametrize("count", [1, 2])
def test_they_agree_on_a_root_that_is_there_twice(count: int, verifiers: Verifiers) -> None:
    members = verifiers.sign(forge.draft(forge.model({"w.bin": b"w"})))
    members[2:2] = [("roots/1.root.msgpack", b"root")] * count

    judged = verifiers.judge_members(members)

    expected = "accepted" if count == 1 else "corrupt"
    assert (judged.second, judged.verified, judged.imported) == (expected,) * 3


@pytest.mark.parametrize("second", [2, 4, 5])
def test_they_agree_on_a_padding_that_is_there_twice(second: int, verifiers: Verifiers) -> None:
    members = verifiers.sign(forge.draft(forge.model({"w.bin": b"w"})))
    members[2:2] = [("padding", bytes(512)), ("roots/1.root.msgpack", b"root")]
    members.insert(second, ("padding", bytes(512)))

    judged = verifiers.judge_members(members)

    assert (judged.second, judged.verified, judged.imported) == ("corrupt",) * 3


@pytest.mark.parametrize("texts", [[], ["README.txt"]])
def test_they_agree_on_a_file_that_lacks_a_pack(texts: list[str], verifiers: Verifiers) -> None:
    members = verifiers.sign(forge.draft(forge.model({"w.bin": b"w"})))[:-1]

    judged = verifiers.judge_members([*members, *((name, b"text") for name in texts)])

    expected = "corrupt" if texts else "missing"
    assert (judged.second, judged.verified, judged.imported) == (expected,) * 3


@pytest.mark.parametrize("kind", ["folder", "link"])
@pytest.mark.parametrize("role", ["approver", "scanner", "builder"])
def test_they_agree_on_an_envelope_that_is_no_file(
    kind: str, role: str, verifiers: Verifiers, tmp_path: Path
) -> None:
    files = verifiers.sign(forge.draft(forge.model({"w.bin": b"w"})))
    depot = forge.write_depot(tmp_path / "depot", files)
    (folder,) = (depot / "bundles").iterdir()
    envelope = folder / f"{role}.{'0' * 64}.dsse"
    envelope.mkdir() if kind == "folder" else envelope.symlink_to("nowhere")

    judged = verifiers.judge_location(depot)

    expected = "corrupt" if role == "builder" else "accepted"
    assert (judged.second, judged.verified, judged.imported) == (expected,) * 3


def test_they_pass_over_a_bundle_that_has_no_manifest_yet(
    verifiers: Verifiers, tmp_path: Path
) -> None:
    files = verifiers.sign(forge.draft(forge.model({"w.bin": b"w"})))
    depot = forge.write_depot(tmp_path / "depot", files)
    (depot / "bundles" / ("0" * 64)).mkdir()
    (depot / "bundles" / ("1" * 64)).mkdir()
    (depot / "bundles" / ("1" * 64) / "manifest.msgpack").symlink_to("nowhere")

    judged = verifiers.judge_location(depot)

    assert (judged.second, judged.verified, judged.imported) == ("accepted",) * 3


def _over(root: dict[str, Any], field: str, most: int, more: int) -> None:
    match field:
        case "channels":
            names = [f"c{number:05}" for number in range(most + more)]
            root[field] = {name: {"minimum_sequence": 0} for name in names}
        case "revoked_keys":
            root[field] = [f"{number:064x}" for number in range(most + more)]
        case _:
            root[field] = [number.to_bytes(32) for number in range(most + more)]


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize(
    ("field", "most"), [("channels", 1000), ("revoked_keys", 1000), ("revoked_bundles", 10_000)]
)
def test_they_agree_on_limits_of_roots(
    field: str, most: int, more: int, verifiers: Verifiers
) -> None:
    tree = canonical.decode(verifiers.root.raw, limit=limits.ROOT_BYTES, what="root")
    _over(tree, field, most, more)
    _expect_root(canonical.encode(tree), is_good=not more)


def test_they_agree_on_a_role_with_a_revoked_key_that_the_root_lacks(verifiers: Verifiers) -> None:
    tree = canonical.decode(verifiers.root.raw, limit=limits.ROOT_BYTES, what="root")
    tree["revoked_keys"] = ["f" * 64]
    _expect_root(canonical.encode(tree), is_good=True)
    tree["roles"]["builder"]["keys"].append("f" * 64)
    tree["roles"]["builder"]["keys"].sort()
    _expect_root(canonical.encode(tree), is_good=False)


def _expect_root(raw: bytes, *, is_good: bool) -> None:
    """Let both read a root without signatures: the second verifier then misses them only."""
    program = second_verifier.program()
    with nullcontext() if is_good else pytest.raises(CorruptError):
        roots.decode(raw)
    with pytest.raises(program.Refused) as caught:
        program.check_root(raw, [], roots.fingerprint(raw))
    assert caught.value.args[0] == ("not-trusted" if is_good else "corrupt")
