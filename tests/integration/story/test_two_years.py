"""Two years of one site, and the auditor's page that proves them (docs/two-years.md)."""

import hashlib
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.integration.story import page
from tests.integration.story.years import NAMES, Years
from tests.support import second_verifier
from tests.support.sides import Ran, Side

AUDITOR = frozenset({"auditor"})


def test_the_commands_of_the_page_print_what_it_shows(years: Years) -> None:
    text = page.DOCUMENT.read_text()
    if os.environ.get("AIRGAP_TEST_WRITE_PAGE"):
        text = page.rewrite(text, years.box, page.list_kinds(), years.audit().out)
        page.DOCUMENT.write_text(text)
    ran = page.run_commands(text, years.box, AUDITOR)
    assert len(ran) > 40
    for command, told, printed in ran:
        assert page.mask(printed) == page.mask(told), command
    fingerprint = hashlib.sha256((years.box / "roots/1.root.msgpack").read_bytes()).hexdigest()
    assert ran[0][2] == f"{fingerprint}  roots/1.root.msgpack\n"


def test_the_report_shows_each_exception_of_the_story(years: Years) -> None:
    told = page.read_report(page.DOCUMENT.read_text()).printed
    entries = re.compile(r"\d+ entries of ledgers")  # the office has one for each stamp
    assert entries.sub("#", years.audit().out) == entries.sub("#", told)
    report = years.audit("--json").json
    shown = {
        (one["kind"], one["ledger"], one["ledger"] != "L1" and one["entry"], one["bundle"]): one
        for one in report["exceptions"]
    }
    bundles = years.bundles
    for kind, ledger, entry, bundle in (
        ("key-revoked", "L2", 13, bundles["v5"]),
        ("key-revoked", "L2", 15, bundles["v6"]),
        ("stamp-missing", None, None, bundles["v6"]),
        ("not-admitted", None, None, bundles["v1"]),
        ("refused", "L2", 17, years.seen["thief"]),
        ("refused", "L2", 22, bundles["v4"]),
        ("refused", "L2", 25, bundles["v8"]),
        ("reset", "L3", 1, None),
        ("missing-receipt", "L1", False, bundles["v11"]),
        ("waived", "L3", 25, bundles["v15"]),
    ):
        assert (kind, ledger, entry, bundle) in shown
    assert shown["reset", "L3", 1, None]["note"] == "restored from the backup of 30 September"
    (contradiction,) = (one for one in report["exceptions"] if one["kind"] == "contradiction")
    assert "the ledger was rewritten" in contradiction["statement"]
    assert {one["statement"] for one in report["exceptions"] if one["kind"] == "gap"} == {
        f"{ledger}, channel production: 2 numbers never came: 8 and 11." for ledger in ("L2", "L3")
    }
    assert "stamp-expired" not in report["verdict"]["kinds"]
    changes = [change.split(" age1")[0] for change in report["roots"][3]["changes"]]
    assert changes == [
        "+ rule: recipient (site) The ward, 2:",
        "- rule: recipient (site) The ward:",
    ]


@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("roots/4.root.msgpack", "signed $who root"),
        ("ledgers/ward-1/entries", "whole ray ledgers/$name"),
        ("ledgers/office/entries", "whole rob ledgers/office"),
        ("witness/2.cosigned", "note wanda"),
        ("witness/2.cosigned.1.tsr", "stamped first witness/2.cosigned"),
        ("fork/new.receipt.json", "receipt fork/$name.receipt.json"),
        ("back.waiver", "signed eve waiver"),
        ("proof/entry.msgpack", "sh proof/check.sh"),
        ("depot/bundles/{v5}/builder.1.{ben}.tsr", "stamped second"),
        ("depot/bundles/{v25}/manifest.msgpack", "verify.py"),
    ],
)
def test_a_changed_file_is_seen_by_the_page(
    file: str, command: str, years: Years, tmp_path: Path
) -> None:
    """What a command proves is proven of no other bytes."""
    box = Path(shutil.copytree(years.box, tmp_path / "box"))
    path = box / file.format(ben=_read_key_id(years, "ben"), **years.bundles)
    data = bytearray(path.read_bytes())
    data[min(len(data) // 3, 30)] ^= 1
    path.write_bytes(data)
    text = page.DOCUMENT.read_text()

    ran = page.run_commands(text, box, AUDITOR, only=command)

    assert ran
    assert [told for _, told, printed in ran if page.mask(printed) != page.mask(told)]


def test_a_stolen_key_alone_brings_nothing_in(years: Years) -> None:
    refused, accepted = years.seen["stolen"]
    assert "0 of the 1 scanner signatures" in refused.err
    (receipt,) = accepted.json["receipts"]
    assert (receipt["bundle"], receipt["exported_here"]) == (years.seen["thief"], False)
    assert "0 of the 1 builder signatures" in years.seen["again"].err


@pytest.mark.parametrize(("version", "code"), [("v5", 0), ("v6", 11)])
def test_what_was_stamped_before_the_theft_stands(
    version: str, code: int, auditor: Side, years: Years
) -> None:
    ran = _verify_as_of(years, auditor, version, "2027-06-09", code)
    assert ("no time stamp that counts" in ran.out) == (code == 11)
    assert "current trust: NO (root version 6)" in ran.out


@pytest.mark.parametrize(("date", "code"), [("2027-03-31", 0), ("2027-04-30", 11)])
def test_a_lost_key_counts_as_of_the_root_that_named_it(
    date: str, code: int, auditor: Side, years: Years
) -> None:
    ran = _verify_as_of(years, auditor, "v3", date, code)
    assert f"root version {2 if code else 1}: signed by the root keys of version 6" in ran.out


def test_a_renewed_stamp_outlives_its_authority(auditor: Side, years: Years) -> None:
    """The certificate has ended, and the second authority answers for the first one's stamps."""
    ran = _verify_as_of(years, auditor, "v4", "2027-04-30", 0)
    assert "by CN=Second TSA" in ran.out
    assert "had ended" not in ran.out


def test_an_old_stick_is_refused_and_changes_nothing(years: Years) -> None:
    refused, accepted, before, after = years.seen["old"]
    assert "number 4 of channel production; this site has number 7" in refused.err
    (receipt,) = accepted.json["receipts"]
    assert (receipt["result"], receipt["reason"]) == ("failed", "policy")
    assert after == before


def test_nothing_of_a_hostile_pickle_stays_but_the_entry(years: Years) -> None:
    refused, accepted, before, after = years.seen["pickle"]
    assert "it asks for os.system" in years.seen["gate"].out
    assert "'model.pkl' is refused (it asks for os.system)" in refused.err
    assert after == before
    (receipt,) = accepted.json["receipts"]
    assert (receipt["event"], receipt["bundle"]) == ("refused", years.bundles["v8"])
    assert receipt["bundle"] not in receipt["holds"]


def test_the_finder_of_a_stick_learns_no_name(years: Years) -> None:
    lost, retired = years.seen["lost"]
    files = [path for path in lost.rglob("*") if path.is_file()]
    found = b"\n".join([path.read_bytes() for path in files] + [bytes(path) for path in files])
    bundle = years.bundles["v10"]
    secrets = [*NAMES, b":v10", bundle.encode(), bundle[:16].encode(), bytes.fromhex(bundle)]
    assert [secret for secret in secrets if secret in found] == []
    assert "cannot be opened here" in retired.err


def test_the_new_identity_opens_later_sticks_and_not_the_lost_one(years: Years) -> None:
    machines = years.machines
    for stick, code in (("lost", 3), ("stick-v25", 0)):
        words = ("verify", machines.media / stick, "--identity", machines.identity("ward-2"))
        machines.run(machines.ward, *words, code=code)


def test_a_restored_machine_is_seen_at_the_next_courier(years: Years) -> None:
    imported, refused, reset, following, accepted = years.seen["restored"]
    assert "own rewritten" in {one["verdict"] for one in imported.json["witnessed"]}
    assert "trust reset-state --reason" in imported.err
    assert "was rewritten" in refused.json["error"]["message"]
    assert "trust reset-state --reason" in refused.json["error"]["hint"]
    assert reset.json["reset"]
    assert {one["verdict"] for one in following.json["witnessed"]} == {
        "newer",
        "own before a reset",
    }
    assert [one["continuity"] for one in accepted.json["receipts"]] == ["first"]


def test_a_waiver_lets_one_release_back_in_once(years: Years) -> None:
    refused, waived, again = years.seen["waived"]
    assert "number 15 of channel production; this site has number 16" in refused.err
    assert waived.json["waived"]
    assert "number 15 of channel production; this site has number 16" in again.err


@pytest.mark.parametrize(("root", "verdict"), [(2, "accepted"), (3, "not-trusted")])
def test_the_second_verifier_judges_by_the_root_that_it_is_given(
    root: int, verdict: str, years: Years
) -> None:
    path = years.box / f"roots/{root}.root.msgpack"
    fingerprint = f"SHA256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    location = f"{years.box / 'depot'}#{years.bundles['v5']}"
    assert second_verifier.verify(location, path, fingerprint)[0] == verdict


@pytest.fixture
def auditor(years: Years, tmp_path: Path) -> Side:
    """A laptop that trusts the last root, by the fingerprint of a file that was checked."""
    side = Side(tmp_path / "auditor")
    side.top.mkdir()
    root = years.box / "roots/6.root.msgpack"
    fingerprint = f"SHA256:{hashlib.sha256(root.read_bytes()).hexdigest()}"
    years.machines.run(side, "trust", "init", root, "--fingerprint", fingerprint)
    return side


def _verify_as_of(years: Years, auditor: Side, version: str, date: str, code: int) -> Ran:
    roots = [
        word for n in range(1, 6) for word in ("--root", f"{years.box}/roots/{n}.root.msgpack")
    ]
    location = f"{years.box / 'depot'}#{years.bundles[version]}"
    return years.machines.run(auditor, "verify", location, "--as-of", date, *roots, code=code)


def _read_key_id(years: Years, name: str) -> str:
    machines = years.machines
    shown = machines.run(machines.office, "key", "fingerprint", machines.public(name))
    return shown.out.split()[0]
