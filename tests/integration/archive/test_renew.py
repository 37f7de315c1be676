"""``airgap archive renew``: the stamps of an archive, and an index of all files (format §36.7)."""

import hashlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from airgap import archive, results
from airgap.errors import ConflictError, CorruptError, UsageError
from airgap.format.site_rules import SiteRules, TimestampAuthority
from tests.servers.scripted import Request, Scripted, reply
from tests.support import stores
from tests.support.archives import find_packs, flip
from tests.support.refusals import expect_refusal
from tests.support.sides import Side
from tests.support.signers import make_root, person, pin, team, write_key
from tests.support.stamp_authority import DAY, YEAR, StampAuthority
from tests.support.typed_dicts import find_problems

OLD = StampAuthority("Old", end=int(time.time()) + 100 * DAY, years=120)
NEW = StampAuthority("New", end=100 * YEAR, years=120)
BOB = person("bob").key.id
REPLY = "application/timestamp-reply"
STAMPS = [f"builder.{number}.{BOB}.tsr" for number in (1, 2)]


def serve(authority: StampAuthority) -> Scripted:
    def answer(request: Request) -> bytes:
        return reply("200 OK", authority.answer(request.body, time.time() - 60), Content_Type=REPLY)

    return Scripted(answer)


@pytest.fixture(scope="module")
def new_tsa() -> Iterator[str]:
    with serve(NEW) as server:
        yield f"{server.url}/tsr"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Side:
    """A machine with an archive of two bundles, stamped by an authority that ends soon."""
    side = Side(tmp_path_factory.mktemp("renew") / "ward")
    side.top.mkdir()
    rules = SiteRules(
        timestamp_authorities=tuple(
            sorted(
                (TimestampAuthority(one.digest) for one in (OLD, NEW)),
                key=lambda one: one.certificate,
            )
        )
    )
    pin(
        side, replace(make_root(builder=team("bob ben"), site="ward"), created_at=1001, rules=rules)
    )
    key = write_key(side.top, "bob")
    (side.top / "old.pem").write_bytes(OLD.pem)
    (side.top / "new.pem").write_bytes(NEW.pem)
    with serve(OLD) as server:
        for name in ("ranker", "tagger"):
            stores.add_model(
                side, f"{name}:v1", {"w.bin": stores.noise(20_000, len(name) + ord(name[0]))}
            )
            ran = side.run(
                "export", "--model", f"{name}:v1", "-o", side.top / "archive", "--key", key
            )
            assert ran.code == 0, ran.err
        for bundle in list_bundles(side.top / "archive"):
            certificate = ("--certificate", side.top / "old.pem")
            words = (f"{side.top}/archive#{bundle}", "--tsa", f"{server.url}/tsr", *certificate)
            ran = side.run("timestamp", *words)
            assert ran.code == 0, ran.err
    return side


def list_bundles(archive: Path) -> list[str]:
    return sorted(path.name for path in (archive / "bundles").iterdir())


@pytest.fixture
def ward(made: Side, tmp_path: Path) -> Side:
    return Side(Path(shutil.copytree(made.top, tmp_path / "ward")))


def renew(ward: Side, *words: str | Path) -> tuple[str, ...]:
    return ("archive", "renew", str(ward.top / "archive"), *map(str, words))


def check_with_openssl(folder: Path, data: str, stamp: str, certificate: str) -> str:
    """Check a stamp as an auditor does, from the top of the archive."""
    words = ("-data", data, "-in", stamp, "-CAfile", certificate)
    done = subprocess.run(
        ["openssl", "ts", "-verify", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout + done.stderr


def test_the_python_api_renews_and_says_what_it_could_not(ward: Side, new_tsa: str) -> None:
    top = ward.top / "archive"
    damaged, whole = list_bundles(top)
    flip(top / "bundles" / damaged / "manifest.msgpack")
    with ward.here():
        done = archive.renew(top, tsa=new_tsa, certificates=[ward.top / "new.pem"])
    assert list(find_problems(done, results.ArchiveRenewalDict)) == []
    assert {one["bundle"] for one in done["added"]} == {whole}
    assert [one["kind"] for one in done["problems"]] == ["corrupt"]


def test_every_chain_that_is_due_gets_its_next_stamp(ward: Side, new_tsa: str) -> None:
    archive, before = ward.top / "archive", stores.snapshot(ward.top / "archive")

    ran = ward.run(*renew(ward, "--tsa", new_tsa, "--certificate", ward.top / "new.pem"), "--json")

    assert ran.code == 0, ran.err
    bundles = list_bundles(archive)
    assert [(one["bundle"], one["file"]) for one in ran.json["added"]] == [
        (bundle, STAMPS[1]) for bundle in bundles
    ]
    for bundle in bundles:
        folder = f"bundles/{bundle}"
        certificate = f"{folder}/tsa.{NEW.digest.hex()}.pem"
        files = (f"{folder}/{STAMPS[0]}", f"{folder}/{STAMPS[1]}", certificate)
        assert "Verification: OK" in check_with_openssl(archive, *files)
    after = stores.snapshot(archive)
    assert before.items() <= after.items()  # nothing was removed or replaced
    again = ward.run(*renew(ward, "--tsa", new_tsa))
    assert "No stamp is due." in again.out


def test_what_has_long_to_go_is_left_alone(ward: Side, new_tsa: str) -> None:
    ran = ward.run(*renew(ward, "--tsa", new_tsa, "--before", "90d"))

    assert (ran.code, ran.out) == (0, "No stamp is due.\n")


def test_an_index_of_all_files_is_made_and_stamped(ward: Side, new_tsa: str) -> None:
    archive = ward.top / "archive"
    words = ("--tsa", new_tsa, "--certificate", ward.top / "new.pem", "--hash", "sha512")

    ran = ward.run(*renew(ward, *words), "--json")

    assert ran.code == 0, ran.err
    index = ran.json["index"]
    rows = [row.split(" ") for row in (archive / index).read_text().splitlines()]
    there = {str(path.relative_to(archive)) for path in archive.rglob("*") if path.is_file()}
    texts = {"README.txt", "verify.py"}
    stamps = {index, f"{index}.1.tsr", f"archive/tsa/tsa.{NEW.digest.hex()}.pem"}
    assert {row[3] for row in rows} == there - texts - stamps
    for sha512, sha256, size, name in rows:
        data = (archive / name).read_bytes()
        digests = hashlib.sha512(data).hexdigest(), hashlib.sha256(data).hexdigest()
        assert (sha512, sha256, int(size)) == (*digests, len(data))
    certificate = f"archive/tsa/tsa.{NEW.digest.hex()}.pem"
    checked = check_with_openssl(archive, index, f"{index}.1.tsr", certificate)
    assert "Verification: OK" in checked
    rows_checked = r"""awk '{print $1 "  " $4}' "$1" | sha512sum -c --quiet"""  # as on the page
    subprocess.run(["sh", "-c", rows_checked, "sh", index], cwd=archive, check=True, timeout=60)
    assert [one["hash"] for one in ran.json["added"]] == ["sha512"] * 3
    again = ward.run(*renew(ward, *words), "--json").json
    assert (again["index"], again["added"]) == (None, [])


def test_an_index_is_made_again_if_a_file_is_not_in_it(ward: Side, new_tsa: str) -> None:
    words = ("--tsa", new_tsa, "--certificate", ward.top / "new.pem", "--hash", "sha512")
    first = ward.run(*renew(ward, *words), "--json").json["index"]
    (ward.top / "archive/archive/records").mkdir()
    (ward.top / "archive/archive/records/x.json").write_text("{}")

    second = ward.run(*renew(ward, *words), "--json").json["index"]

    assert second == first.replace("-1.", "-2.")
    rows = (ward.top / "archive" / second).read_text()
    assert f"{first}.1.tsr\n" in rows
    assert "archive/records/x.json\n" in rows


def put_evidence(archive: Path, bundle: str, name: str, data: bytes) -> Path:
    folder = archive / "archive/evidence" / bundle
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(data).hexdigest()[:16]}.{name}"
    path.write_bytes(data)
    return path


def test_a_stamped_checkpoint_in_evidence_is_renewed(ward: Side, new_tsa: str) -> None:
    archive, note = ward.top / "archive", b"airgap/ward/0123456789abcdef\n7\nAAAA\n"
    bundle = list_bundles(archive)[0]
    put_evidence(archive, bundle, "ledger.checkpoint", note)
    stamp = OLD.stamp(note, time.time() - 60)
    first = put_evidence(archive, bundle, "ledger.checkpoint.1.tsr", stamp)
    other = list_bundles(archive)[1]
    for data in (note, note + b"x"):  # nobody can say which is meant
        put_evidence(archive, other, "ledger.checkpoint", data)
    put_evidence(archive, other, "ledger.checkpoint.1.tsr", stamp)
    words = ("--tsa", new_tsa, "--certificate", ward.top / "new.pem")
    due = ward.run("archive", "check", archive, "--json").json["problems"]
    assert str(first.relative_to(archive)).rpartition("/")[0] + "/ledger.checkpoint.1.tsr" in {
        one["name"] for one in due if one["kind"] == "due"
    }
    unclear = [one for one in due if "several files have this name" in one["text"]]
    name = f"archive/evidence/{other}/ledger.checkpoint"
    assert [(one["level"], one["name"]) for one in unclear] == [("warned", name)]

    ran = ward.run(*renew(ward, *words), "--json")

    assert ran.code == 0, ran.err
    renewed = [one["bundle"] for one in ran.json["added"] if one["over"] == "ledger.checkpoint"]
    assert renewed == [bundle]
    (second,) = first.parent.glob("*.ledger.checkpoint.2.tsr")
    assert second.name.startswith(hashlib.sha256(second.read_bytes()).hexdigest()[:16])
    certificate = f"archive/tsa/tsa.{NEW.digest.hex()}.pem"
    files = (str(first.relative_to(archive)), str(second.relative_to(archive)), certificate)
    assert "Verification: OK" in check_with_openssl(archive, *files)
    again = ward.run(*renew(ward, *words))
    assert "No stamp is due." in again.out
    assert f"{other} have the name ledger.checkpoint: its stamps are not renewed" in again.err


def test_a_check_compares_an_index_with_its_stamp(ward: Side, new_tsa: str) -> None:
    words = ("--tsa", new_tsa, "--certificate", ward.top / "new.pem", "--hash", "sha512")
    index = ward.run(*renew(ward, *words), "--json").json["index"]
    whole = ward.run("archive", "check", ward.top / "archive", "--json").json
    assert (whole["result"], whole["problems"]) == ("PASSED", [])

    flip(ward.top / "archive" / index)

    found = ward.run("archive", "check", ward.top / "archive", "--json").json
    assert [(one["test"], one["name"]) for one in found["problems"]] == [
        ("stamps", f"{index}.1.tsr")
    ]


def test_a_damaged_pack_is_not_vouched_for(ward: Side, new_tsa: str) -> None:
    flip(find_packs(ward.top / "archive")[0])
    words = ("--tsa", new_tsa, "--hash", "sha512", "--before", "1d")

    expect_refusal(ward, *renew(ward, *words), error=CorruptError)


def test_requests_are_carried_by_hand(ward: Side) -> None:
    archive, requests, responses = (ward.top / name for name in ("archive", "asked", "answered"))
    requests.mkdir()
    responses.mkdir()
    words = ("--request", requests, "--hash", "sha512")
    asked = ward.run(*renew(ward, *words), "--json").json
    assert len(asked["requests"]) == 3  # of two bundles and an index
    carried = [Path(path) for path in asked["requests"]]
    for path in carried[1:]:
        answer = responses / path.parent.name / path.with_suffix(".tsr").name
        answer.parent.mkdir()
        answer.write_bytes(NEW.answer(path.read_bytes(), time.time() - 60))

    answered = (*words, "--response", responses, "--certificate", ward.top / "new.pem")
    kept = ward.run(*renew(ward, *answered), "--json")

    assert kept.code == 0, kept.err
    assert len(kept.json["added"]) == 2
    (waiting,) = kept.json["unanswered"]
    assert waiting == f"{carried[0].parent.name}/{STAMPS[1]}"
    assert (archive / f"bundles/{carried[1].parent.name}/{STAMPS[1]}").exists()
    assert (archive / f"{asked['index']}.1.tsr").exists()


def test_an_answer_to_another_request_is_not_kept(ward: Side) -> None:
    requests, responses = ward.top / "asked", ward.top / "answered"
    requests.mkdir()
    asked = ward.run(*renew(ward, "--request", requests), "--json").json["requests"]
    first, second = map(Path, asked)
    answer = responses / first.parent.name / first.with_suffix(".tsr").name
    answer.parent.mkdir(parents=True)
    answer.write_bytes(NEW.answer(second.read_bytes(), time.time() - 60))
    words = ("--request", requests, "--response", responses)

    ran = ward.run(*renew(ward, *words), "--json")

    assert ran.code == CorruptError.exit_code
    assert ran.json["added"] == []


def test_one_broken_chain_does_not_keep_the_others_from_being_renewed(
    ward: Side, new_tsa: str
) -> None:
    archive = ward.top / "archive"
    broken, good = (archive / "bundles" / bundle for bundle in list_bundles(archive))
    shutil.copy(good / STAMPS[0], broken / STAMPS[0])
    words = ("--tsa", new_tsa, "--certificate", ward.top / "new.pem")

    ran = ward.run(*renew(ward, *words), "--json")

    assert ran.code == ConflictError.exit_code
    assert [one["bundle"] for one in ran.json["added"]] == [good.name]
    assert broken.name in ran.json["problems"][0]["message"]
    assert "NOT RENEWED" in ward.run(*renew(ward, *words)).out


def test_a_check_says_which_stamps_are_due(ward: Side, new_tsa: str) -> None:
    due = ward.run("archive", "check", ward.top / "archive", "--json").json
    assert due["result"] == "WARNED"
    assert [one["kind"] for one in due["problems"]] == ["due", "due"]

    ward.run(*renew(ward, "--tsa", new_tsa, "--certificate", ward.top / "new.pem"))

    assert ward.run("archive", "check", ward.top / "archive", "--json").json["result"] == "PASSED"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--tsa", "http://127.0.0.1:1/", "--request", "x"),
        ("--tsa", "http://127.0.0.1:1/", "--response", "x"),
        ("--request", "not-there"),
        ("--tsa", "http://127.0.0.1:1/", "--before", "soon"),
    ],
)
def test_what_does_not_fit_together_is_refused(ward: Side, words: tuple[str, ...]) -> None:
    expect_refusal(ward, *renew(ward, *words), error=UsageError)


@pytest.mark.parametrize(
    "name",
    ["bundles/*/manifest.msgpack", "archive/evidence/*/*.note.txt", "archive/checks/*/*.bundles"],
)
def test_a_damaged_file_is_not_vouched_for(ward: Side, new_tsa: str, name: str) -> None:
    """Its name, or its folder, has the digest: an index of what is there now would hide that."""
    archive = ward.top / "archive"
    put_evidence(archive, list_bundles(archive)[0], "note.txt", b"a note")
    lists = archive / "archive/checks/2026-01"
    lists.mkdir(parents=True)
    (lists / f"{hashlib.sha256(b'x' * 32).hexdigest()}.bundles").write_bytes(b"x" * 32)
    (path, *_) = sorted(archive.glob(name))
    good = flip(path)
    words = ("--tsa", new_tsa, "--certificate", ward.top / "new.pem", "--hash", "sha512")

    ran = ward.run(*renew(ward, *words), "--json")

    assert ran.code == CorruptError.exit_code
    assert str(path.relative_to(archive)) in ran.json["error"]["message"]
    assert not (archive / "archive/renewals").exists()
    path.write_bytes(good)
    assert ward.run(*renew(ward, *words)).code == 0
