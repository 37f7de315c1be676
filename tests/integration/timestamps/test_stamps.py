"""``airgap timestamp`` and ``airgap verify --as-of``: stamped, carried, renewed, judged later."""

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

import airgap
from airgap.errors import CorruptError, MissingError, UsageError
from airgap.format.root import Root
from airgap.format.site_rules import Recipient, SiteRules, TimestampAuthority
from airgap.sealing import identity_files
from tests.servers.scripted import Request, Scripted, reply
from tests.support import refusals, stores
from tests.support.recorded_site import make_recorded_site
from tests.support.sides import Side
from tests.support.signers import (
    make_root,
    person,
    pin,
    signatures,
    team,
    write_key,
    write_root,
)
from tests.support.stamp_authority import YEAR, StampAuthority
from tests.support.typed_dicts import find_problems

TSA = StampAuthority("Site", end=100 * YEAR, years=120)
OTHER = StampAuthority("Other", end=100 * YEAR, years=120)
BOB = person("bob").key.id
ENVELOPE, STAMP = f"builder.{BOB}.dsse", f"builder.1.{BOB}.tsr"
REPLY = "application/timestamp-reply"


def answer(request: Request) -> bytes:
    assert (request.method, request.target) == ("POST", "/tsr?x=1")
    assert request.headers["content-type"] == "application/timestamp-query"
    return reply("200 OK", TSA.answer(request.body, time.time() - 60), Content_Type=REPLY)


@pytest.fixture(scope="module")
def tsa() -> Iterator[str]:
    with Scripted(answer) as server:
        yield f"{server.url}/tsr?x=1"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A depot with a bundle that bob signed, a file of it, and a root that names the authority."""
    top = tmp_path_factory.mktemp("stamps")
    side = Side(top / "side")
    side.top.mkdir()
    stores.add_model(side, "ranker:v1", {"weights.bin": stores.noise(90_000)})
    write_root(top / "root.msgpack", make_site_root(), "ann")
    key = write_key(top, "bob")
    for name in ("depot", "ranker.airgap"):
        words = ("export", "--model", "ranker:v1", "-o", top / name, "--key", key)
        ran = side.run(*words, "--include-root", top / "root.msgpack")
        assert ran.code == 0, ran.err
    (top / "tsa.pem").write_bytes(TSA.pem)
    (top / "other.pem").write_bytes(OTHER.pem)
    return top


def make_site_root(version: int = 1, **changes: object) -> Root:
    rules = SiteRules(timestamp_authorities=(TimestampAuthority(TSA.digest),))
    root = make_root(version, builder=team("bob ben"), site="ward")
    return replace(root, created_at=1000 + version, rules=rules, **changes)  # type: ignore[arg-type]


@pytest.fixture
def top(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "top"))


@pytest.fixture
def ward(tmp_path: Path) -> Side:
    """A machine that trusts the site, with the authority in its root."""
    side = Side(tmp_path / "ward")
    side.top.mkdir()
    pin(side, make_site_root())
    return side


@pytest.fixture
def nobody(tmp_path: Path) -> Side:
    """A machine that trusts nobody."""
    side = Side(tmp_path / "nobody")
    side.top.mkdir()
    return side


def now() -> str:
    """The time of now: a minute after that of each stamp."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat()


@pytest.mark.parametrize("form", ["depot", "ranker.airgap"])
def test_a_bundle_is_stamped_and_judged_as_of_then(
    top: Path, ward: Side, tsa: str, form: str
) -> None:
    words = (top / form, "--tsa", tsa, "--certificate", top / "tsa.pem")

    stamped = ward.run("timestamp", *words, "--json")

    assert stamped.code == 0, stamped.err
    assert [one["file"] for one in stamped.json["added"]] == [STAMP]
    assert stamped.json["added"][0]["checked"]
    assert stamped.json["certificates"] == [f"tsa.{TSA.digest.hex()}.pem"]
    assert "Nothing is due" in ward.run("timestamp", *words).out
    judged = ward.run("verify", top / form, "--as-of", now(), "--json").json
    assert [judged[part]["verdict"] for part in ("intact", "authentic", "current_trust")] == [
        True,
        True,
        True,
    ]
    assert judged["authentic"]["root"]["version"] == 1
    (signature,) = judged["authentic"]["signatures"]
    assert (signature["key"], signature["counts"]) == (BOB, True)
    assert ward.run("import", top / form).code == 0  # which does not look at stamps


def test_an_answer_is_recorded_in_the_ledger(top: Path, ward: Side, tsa: str) -> None:
    words = ("--tsa", tsa, "--certificate", top / "tsa.pem")

    assert ward.run("timestamp", top / "depot", *words).code == 0

    ledgers = list((ward.state).rglob("*ledger*"))
    assert any(STAMP.encode() in path.read_bytes() for path in ledgers if path.is_file())


def test_a_request_is_carried_by_hand(top: Path, ward: Side, tmp_path: Path) -> None:
    query, response = tmp_path / "q.tsq", tmp_path / "r.tsr"
    by_hand = ("timestamp", top / "depot", "--request", query)

    assert ward.run(*by_hand, "--certificate", top / "tsa.pem").code == 0
    response.write_bytes(TSA.answer(query.read_bytes(), time.time() - 60))
    ran = ward.run(*by_hand, "--response", response)

    assert ran.code == 0, ran.err
    assert ward.run("verify", top / "depot", "--as-of", now()).code == 0


@pytest.mark.parametrize(
    ("forge", "code", "word"),
    [
        (lambda query: TSA.answer(query, time.time(), nonce=7), 10, "nonce differs"),
        (lambda _: TSA.stamp(b"other", time.time()), 10, "over other bytes"),
        (lambda query: OTHER.answer(query, time.time()), 11, "not kept"),
        (lambda query: TSA.answer(query, time.time() + 10 * 86_400), 11, "future"),
        (lambda query: TSA.answer(query, time.time(), status=1), 10, "modifications"),
        (lambda query: TSA.answer(query, time.time()) + b"\0", 10, "not a response"),
        (lambda _: b"", 10, "not a response"),
        (lambda _: bytes(70_000), 10, "more than 65,536 bytes"),
    ],
)
def test_an_answer_to_something_else_is_not_kept(
    top: Path, ward: Side, tmp_path: Path, forge: object, code: int, word: str
) -> None:
    query, response = tmp_path / "q.tsq", tmp_path / "r.tsr"
    by_hand = ("timestamp", top / "depot", "--request", query)
    assert ward.run(*by_hand, "--certificate", top / "tsa.pem").code == 0
    assert callable(forge)
    response.write_bytes(forge(query.read_bytes()))

    ran = ward.run(*by_hand, "--response", response)

    assert (ran.code, word in ran.err) == (code, True), ran.err
    assert not list((top / "depot").rglob("*.tsr"))


def test_a_request_must_be_one(top: Path, ward: Side, tmp_path: Path) -> None:
    (tmp_path / "r.tsr").write_bytes(b"r")
    depot = top / "depot"

    ran = ward.run(
        "timestamp", depot, "--request", top / "tsa.pem", "--response", tmp_path / "r.tsr"
    )
    alone = ward.run("timestamp", depot, "--response", tmp_path / "r.tsr")
    both = ward.run("timestamp", depot, "--request", tmp_path / "q", "--tsa", "http://x/")
    early = ward.run("timestamp", depot, "--before", "26w")

    assert (ran.code, "is not a request" in ran.err) == (10, True)
    assert [one.code for one in (alone, both, early)] == [2, 2, 2]


def test_what_is_not_there_or_not_due_is_said(top: Path, ward: Side, tsa: str) -> None:
    depot = top / "depot"
    missing = ward.run("timestamp", depot, "--tsa", tsa, "--file", "x.dsse")
    bad = ward.run("timestamp", depot, "--certificate", top / "root.msgpack")
    url = ward.run("timestamp", depot, "--tsa", "ftp://x/")
    proxied = ward.run("timestamp", depot, "--tsa", tsa, "--proxy", "http://127.0.0.1:9")

    assert (missing.code, bad.code, url.code, proxied.code) == (13, 10, 2, 3)
    assert "no stamp" in ward.run("timestamp", depot).out


def test_chains_are_renewed_with_a_stronger_hash_and_an_index(
    top: Path, ward: Side, tsa: str
) -> None:
    depot = top / "depot"
    words = ("timestamp", depot, "--tsa", tsa)
    assert ward.run(*words, "--certificate", top / "tsa.pem").code == 0
    assert "Nothing is due" in ward.run(*words, "--renew", "--before", "26w").out

    renewed = ward.run(*words, "--renew", "--hash", "sha512", "--json").json["added"]
    indexed = ward.run(*words, "--index", "--json").json

    assert [(one["file"], one["hash"]) for one in renewed] == [(f"builder.2.{BOB}.tsr", "sha512")]
    (index,) = indexed["added"]
    assert (index["over"], index["hash"]) == (indexed["index"], "sha512")
    ran = ward.run("verify", depot, "--as-of", now(), "--json")
    assert ran.code == 0, ran.out
    (folder,) = (depot / "bundles").iterdir()
    listed = (folder / indexed["index"]).read_text().splitlines()
    assert any(line.endswith(STAMP) for line in listed)
    assert ward.run("timestamp", depot).out.count("openssl ts -verify -attime") == 3

    (folder / STAMP).write_bytes(TSA.stamp((folder / ENVELOPE).read_bytes(), time.time()))
    swapped = ward.run("verify", depot, "--as-of", now())
    assert swapped.code == 10
    assert "is not the file that index1" in swapped.out

    (folder / STAMP).unlink()
    lost = ward.run("verify", depot, "--as-of", now())
    assert (lost.code, "is missing or damaged; index1" in lost.out) == (10, True)
    assert "later stamps prove nothing" in lost.out
    assert ward.run(*words).code == 14


def test_a_damaged_pack_is_not_intact_and_yet_authentic(top: Path, ward: Side, tsa: str) -> None:
    depot = top / "depot"
    words = ("timestamp", depot, "--tsa", tsa, "--certificate", top / "tsa.pem")
    assert ward.run(*words).code == 0
    pack = next(depot.rglob("*.pack"))
    pack.write_bytes(b"?" + pack.read_bytes()[1:])

    ran = ward.run("verify", depot, "--as-of", now(), "--json")

    assert ran.code == 10
    assert not ran.json["intact"]["verdict"]
    assert "is damaged" in ran.json["intact"]["problems"][0]
    assert ran.json["authentic"]["verdict"]
    assert ward.run(*words, "--index").code == 10


def test_without_a_stamp_nothing_is_proven(top: Path, ward: Side) -> None:
    today = ward.run("verify", top / "depot", "--as-of", f"{datetime.now(UTC):%Y-%m-%d}")
    assert (today.code, "23:59:59" in today.out) == (11, False)

    ran = ward.run("verify", top / "depot", "--as-of", "2020-01-31")

    assert ran.code == 11
    assert "intact: yes" in ran.out
    assert "authentic at 2020-01-31T23:59:59Z: NO (0 of 1 builders of root version 1)" in ran.out
    assert "no time stamp that counts" in ran.out
    assert "current trust: yes" in ran.out
    assert f"certificate {TSA.digest.hex()} is not beside the bundle" in ran.out


def test_a_stolen_key_does_not_spoil_what_was_stamped_before(
    top: Path, ward: Side, tsa: str, tmp_path: Path
) -> None:
    """Today's root revokes bob; the root of then travels with the bundle."""
    words = ("timestamp", top / "depot", "--tsa", tsa, "--certificate", top / "tsa.pem")
    assert ward.run(*words).code == 0
    rules = replace(make_site_root().rules, revoked_since={BOB: int(time.time()) + 3600})
    auditor = Side(tmp_path / "auditor")
    auditor.top.mkdir()
    pin(auditor, replace(make_site_root(2), revoked_keys=(BOB,), rules=rules))

    ran = auditor.run("verify", top / "depot", "--as-of", now(), "--json")

    assert ran.code == 0, ran.out
    assert ran.json["authentic"]["verdict"]
    assert not ran.json["current_trust"]["verdict"]
    assert auditor.run("import", top / "depot").code == 11
    assert "current trust: NO" in auditor.run("verify", top / "depot", "--as-of", now()).out


def test_a_machine_that_trusts_nobody_stamps_by_the_certificate_that_is_given(
    top: Path, nobody: Side, tsa: str
) -> None:
    depot = top / "depot"
    wrong = nobody.run("timestamp", depot, "--tsa", tsa, "--certificate", top / "other.pem")
    assert (wrong.code, "is not kept" in wrong.err) == (11, True)

    ran = nobody.run("timestamp", depot, "--tsa", tsa, "--certificate", top / "tsa.pem")
    assert ran.code == 0, ran.err
    assert nobody.run("verify", depot, "--as-of", now()).code == 3


def test_whose_a_stamp_is_may_be_unknown(top: Path, nobody: Side, tsa: str) -> None:
    ran = nobody.run("timestamp", top / "depot", "--tsa", tsa)

    assert ran.code == 0
    assert "was not checked" in ran.err


def test_a_checkpoint_is_stamped_beside_itself(
    ward: Side, tsa: str, top: Path, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "ledger.checkpoint"
    digest = "A" * 43 + "="
    checkpoint.write_text(
        f"airgap/ward/0123456789abcdef\n5\n{digest}\n\n\u2014 airgap/ward/0123 {digest}\n"
    )
    words = ("timestamp", checkpoint, "--tsa", tsa)

    first = ward.run(*words, "--certificate", top / "tsa.pem", "--json")
    renewed = ward.run(*words, "--renew", "--json")

    assert first.code == renewed.code == 0, first.err
    names = sorted(path.name for path in tmp_path.glob("*.tsr"))
    assert names == ["ledger.checkpoint.1.tsr", "ledger.checkpoint.2.tsr"]
    listed = ward.run("timestamp", checkpoint).out
    assert "existed by" in listed
    assert "-data ledger.checkpoint.1.tsr -in ledger.checkpoint.2.tsr -CAfile tsa." in listed
    assert ward.run(*words, "--index").code == 2
    assert ward.run("timestamp", checkpoint, "--bundle", "a" * 64).code == 2
    (tmp_path / "ledger.checkpoint.1.tsr").unlink()
    assert ward.run(*words).code == 14


def test_a_ledgers_own_checkpoint_is_stamped(tsa: str, top: Path, tmp_path: Path) -> None:
    """One stamp covers every entry below the checkpoint."""
    (tmp_path / "recorded").mkdir()
    site = make_recorded_site(tmp_path / "recorded")
    out = tmp_path / "ward.checkpoint"
    site.ledger("checkpoint", "--key", site.key(), "-o", out)

    words = ("timestamp", out, "--tsa", tsa, "--certificate", top / "tsa.pem")

    assert site.run(*words).code == 0
    assert "names no authority" in site.run("timestamp", out).out
    assert (tmp_path / "ward.checkpoint.1.tsr").exists()
    site.ledger("verify", out)


def test_the_same_in_python(top: Path, ward: Side, tsa: str, tmp_path: Path) -> None:
    depot = top / "depot"
    with ward.here():
        asked = airgap.timestamp(depot, request=tmp_path / "q.tsq")
        done = airgap.timestamp(depot, tsa=tsa, certificates=[top / "tsa.pem"])
        listed = airgap.timestamp(depot)
        judged = airgap.verify_as_of(
            depot,
            int(time.time()),
            roots=[top / "root.msgpack"],
            fingerprints=["SHA256:" + "0" * 64],
        )

    assert asked["requests"] == [str(tmp_path / "q.tsq")]
    assert done["added"][0]["file"] == STAMP
    assert listed["stamps"][0]["stamps"][0]["counts"]
    assert judged["authentic"]["verdict"]
    assert json.loads(json.dumps(judged)) == judged


def test_a_root_names_an_authority_by_the_top_of_its_chain(top: Path, ward: Side) -> None:
    """A stamp would never count for the certificate that signs it."""
    (top / "signer.pem").write_bytes(TSA.certificate.public_bytes(Encoding.PEM))

    ran = ward.run(
        *("root", "add-authority", top / "root.msgpack", top / "signer.pem"),
        *("-o", top / "next.msgpack"),
    )

    assert (ran.code, "is not self-signed" in ran.err) == (2, True)


def test_a_copy_with_other_stamps_leaves_those_that_are_there(
    top: Path, ward: Side, tsa: str
) -> None:
    """Two people stamp two copies; then one is copied over the other."""
    words = ("--tsa", tsa, "--certificate", top / "tsa.pem")
    shutil.copytree(top / "depot", top / "other")
    for name in ("depot", "other"):
        assert ward.run("timestamp", top / name, *words).code == 0
        assert ward.run("timestamp", top / name, *words, "--renew").code == 0
    assert ward.run("timestamp", top / "other", *words, "--renew").code == 0
    before = {path.name: path.read_bytes() for path in (top / "depot").rglob("*.tsr")}

    assert ward.run("copy", top / "other", top / "depot").code == 0

    assert {path.name: path.read_bytes() for path in (top / "depot").rglob("*.tsr")} == before
    shutil.copytree(top / "depot", top / "older")
    assert ward.run("timestamp", top / "depot", *words, "--renew").code == 0
    assert ward.run("copy", top / "depot", top / "older").code == 0
    assert len(list((top / "older").rglob("*.tsr"))) == 3


def test_another_signature_by_the_same_key_does_not_take_the_place_of_a_stamped_one(
    top: Path, ward: Side, tsa: str
) -> None:
    shutil.copytree(top / "depot", top / "other")
    words = ("--tsa", tsa, "--certificate", top / "tsa.pem")
    assert ward.run("timestamp", top / "depot", *words).code == 0
    (envelope,) = (top / "depot" / "bundles").rglob("*.dsse")
    stamped = envelope.read_bytes()
    (other,) = (top / "other" / "bundles").rglob("*.dsse")
    (another,) = signatures("builder", b"another form of it", "bob")
    other.write_bytes(another)

    assert ward.run("copy", top / "other", top / "depot").code == 0

    assert envelope.read_bytes() == stamped
    assert ward.run("verify", top / "depot", "--as-of", now()).code == 0


def test_a_chain_that_does_not_fit_is_not_renewed(top: Path, ward: Side, tsa: str) -> None:
    words = ("timestamp", top / "depot", "--tsa", tsa, "--certificate", top / "tsa.pem")
    assert ward.run(*words).code == 0
    (stamp,) = (top / "depot").rglob("*.tsr")
    stamp.write_bytes(TSA.stamp(b"something else", time.time()))

    ran = ward.run(*words, "--renew")

    assert (ran.code, "not over the file before it" in ran.err) == (14, True)


def test_of_a_sealed_bundle_the_verdicts_are_about_the_index(
    top: Path, ward: Side, tmp_path: Path
) -> None:
    _, _, recipient = identity_files.generate(tmp_path, "site", post_quantum=True)
    rules = replace(make_site_root().rules, recipients=(Recipient(recipient.text, "ward", "site"),))
    side = Side(tmp_path / "sender")
    side.top.mkdir()
    pin(side, replace(make_site_root(), rules=rules))
    stores.add_model(side, "ranker:v1", {"weights.bin": b"w" * 99})
    words = ("export", "--model", "ranker:v1", "-o", top / "sealed", "--seal")
    ran = side.run(*words, "--key", top / "bob.key")
    assert ran.code == 0, ran.err

    lines = ward.run("verify", top / "sealed", "--as-of", now())
    judged = ward.run("verify", top / "sealed", "--as-of", now(), "--json").json

    assert "SEALED to 1 recipient: the answers are about the index" in lines.out
    assert judged["sealed"] == {"recipients": 1, "inner": None}
    plain = ward.run("verify", top / "depot", "--as-of", now(), "--json").json
    assert plain["sealed"] is None


def test_of_several_bundles_none_is_chosen(top: Path, ward: Side) -> None:
    shutil.copytree(top / "depot", top / "more")
    side = Side(top / "other")
    side.top.mkdir()
    stores.add_model(side, "sorter:v1", {"weights.bin": b"w" * 99})
    words = ("export", "--model", "sorter:v1", "-o", top / "more", "--key", top / "bob.key")
    assert side.run(*words).code == 0

    judged = ward.run("verify", top / "more", "--as-of", "2020-01-01")
    stamped = ward.run("timestamp", top / "more")

    assert (judged.code, stamped.code) == (2, 2)
    assert "DEPOT#ID, with all 64 digits" in judged.err


def test_where_it_cannot_work_is_said(
    top: Path, ward: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot = top / "depot"
    assert ward.run("verify", "-", "--as-of", "2020-01-01").code == 2
    future = ward.run("verify", depot, "--as-of", "2090-01-01")
    assert future.code == 2
    assert "The time 2090-01-01T23:59:59Z is in the future" in future.err
    assert ward.run("verify", depot, "--root", top / "root.msgpack").code == 2
    monkeypatch.setitem(__import__("sys").modules, "rfc3161_client", None)

    ran = ward.run("timestamp", depot, "--tsa", "http://127.0.0.1:9/")

    assert ran.code == 3
    assert "bento-airgap[timestamps]" in ran.err


def test_volumes_are_judged_together_as_of_a_time(top: Path, ward: Side, tsa: str) -> None:
    words = ("--tsa", tsa, "--certificate", top / "tsa.pem")
    assert ward.run("timestamp", top / "depot", *words).code == 0
    volume, other = top / "depot", top / "other"
    shutil.copytree(volume, other)
    pack = next(volume.rglob("*.pack"))
    pack.unlink()
    next(other.rglob("builder.1.*.tsr")).unlink()

    alone = ward.run("verify", volume, "--as-of", now(), "--json")
    assert alone.code == CorruptError.exit_code
    both = ward.run("verify", volume, other, "--as-of", now(), "--json")
    assert both.code == 0, both.err
    assert [both.json[part]["verdict"] for part in ("intact", "authentic")] == [True, True]
    with ward.here():
        judged = airgap.verify_as_of(volume, int(time.time()), volumes=[other])
    assert judged["intact"]["verdict"]
    asked = ("verify", volume, top / "second", "--as-of", now())
    refusals.expect_refusal(ward, *asked, error=MissingError)
    stores.add_model(Side(top / "side"), "ranker:v2", {"weights.bin": b"2"})
    exported = ("export", "--model", "ranker:v2", "-o", top / "second", "--key", top / "bob.key")
    assert Side(top / "side").run(*exported).code == 0
    refusals.expect_refusal(ward, *asked, error=UsageError)
    assert list(find_problems(judged, airgap.results.AsOfDict)) == []


def test_stamps_over_a_checkpoint_that_travels_say_when_a_ledger_was_so_long(
    top: Path, ward: Side, tsa: str
) -> None:
    side, depot = Side(top / "side"), top / "travels"
    ray = write_key(top, "ray")
    words = ("export", "--model", "ranker:v1", "-o", depot, "--key", top / "bob.key")
    exported = side.run(*words, "--audience", "ward", "--recorder-key", ray)
    assert exported.code == 0, exported.err
    root = replace(make_site_root(2), created_at=1002)
    recorder = make_root(recorder=team("ray"))
    root = replace(
        root,
        keys=tuple(sorted({*root.keys, *recorder.keys}, key=lambda key: key.id)),
        roles={**root.roles, "recorder": recorder.roles["recorder"]},
    )
    write_root(top / "next/root.msgpack", root, "ann")
    assert ward.run("trust", "update", top / "next/root.msgpack").code == 0

    by = ("--tsa", tsa, "--certificate", top / "tsa.pem", "--json")
    stamped = ward.run("timestamp", depot, *by)

    assert stamped.code == 0, stamped.err
    (checkpoint,) = depot.glob("bundles/*/*.checkpoint")
    origin, key, _ = checkpoint.name.split(".")
    assert f"{origin}.1.{key}.tsr" in {one["file"] for one in stamped.json["added"]}
    judged = ward.run("verify", depot, "--as-of", now(), "--json")
    assert judged.code == 0, judged.err
    (ledger,) = judged.json["ledgers"]
    assert ledger["origin"] == f"airgap/ward/{origin}"
    assert (ledger["entries"], ledger["file"]) == (2, checkpoint.name)
    assert ledger["proven"]
    said = ward.run("verify", depot, "--as-of", now()).out
    assert f"the ledger airgap/ward/{origin} had 2 entries by {ledger['proven']}" in said
