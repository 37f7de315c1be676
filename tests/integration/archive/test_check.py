"""``airgap archive check``: what it finds, what it remembers, and what it writes (format §36)."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from airgap.disk import locks
from airgap.errors import (
    ConfigurationError,
    ConflictError,
    MissingError,
    StorageError,
    UsageError,
)
from airgap.format.shard import Shard
from airgap.ledger.check import read_entries
from airgap.transport.folder import FolderTransport
from tests.support import forge
from tests.support.archives import (
    PACK_BYTES,
    find_packs,
    flip,
    kill_after,
    list_files,
    pack_of,
    write_archive,
)
from tests.support.recorded_site import RecordedSite, make_recorded_site
from tests.support.refusals import expect_refusal
from tests.support.sides import REPOSITORY
from tests.support.stores import noise, snapshot

BUNDLES = 12
PAGE = (REPOSITORY / "docs" / "check-an-archive.md").read_text()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RecordedSite:
    return make_recorded_site(tmp_path_factory.mktemp("checks"))


@pytest.fixture(scope="module")
def files(made: RecordedSite) -> dict[str, bytes]:
    return list_files(made, BUNDLES, shared=2)


@pytest.fixture
def site(made: RecordedSite, tmp_path: Path) -> RecordedSite:
    return made.copy(tmp_path / "ward")


@pytest.fixture
def archive(site: RecordedSite, files: dict[str, bytes]) -> Path:
    return write_archive(site.top / "archive", files)


def check(site: RecordedSite, archive: Path, *words: str | Path, code: int = 0) -> dict[str, Any]:
    """Check, and return what ``--json`` says."""
    ran = site.run("archive", "check", archive, *words, "--json")
    assert ran.code == code, (ran.out, ran.err)
    return ran.json


def test_an_archive_that_is_whole_passes_and_each_pack_is_read_once(
    site: RecordedSite, archive: Path
) -> None:
    found = check(site, archive)

    assert found["result"] == "PASSED"
    assert found["problems"] == []
    assert (found["bundles"], found["packs"]) == (BUNDLES, BUNDLES - 2)  # two share that of a third
    assert found["packs_read"] == found["packs"]
    assert found["bytes_read"] == sum(path.stat().st_size for path in find_packs(archive))
    assert {"manifests", "packs", "signatures"} <= set(found["tests"]["passed"])


def test_a_check_without_a_key_writes_nothing_into_the_archive(
    site: RecordedSite, archive: Path
) -> None:
    before = snapshot(archive)

    check(site, archive)

    assert snapshot(archive) == before
    assert list((site.state / "checks").iterdir()) == []


def test_a_signed_result_is_in_the_archive_and_in_the_ledger(
    site: RecordedSite, archive: Path, tmp_path: Path
) -> None:
    found = check(site, archive, "--sign", site.key(), "-o", tmp_path / "r.json")

    raw = (tmp_path / "r.json").read_bytes()
    assert (archive / found["stored"]).read_bytes() == raw
    assert found["stored"].endswith(f"{hashlib.sha256(raw).hexdigest()}.check.json")
    (bundles,) = archive.glob("archive/checks/*/*.bundles")
    assert hashlib.sha256(bundles.read_bytes()).hexdigest() == found["state"] == bundles.stem
    ledger = (site.state / "ledgers/ward/exporting/ledger").read_bytes()
    *_, (entry, _) = read_entries("ward", ledger)
    assert entry.event == "checked"
    assert entry.documents["check"] == hashlib.sha256(raw).digest()
    assert check(site, archive)["result"] == "PASSED"  # what was written is part of the archive


def test_shards_divide_all_packs_and_a_bad_one_is_found_by_exactly_one(
    site: RecordedSite, archive: Path
) -> None:
    bad = find_packs(archive)[4]
    flip(bad)

    found = [
        json.loads(site.run("archive", "check", archive, "--shard", f"{n}/4", "--json").out)
        for n in range(1, 5)
    ]

    assert sum(one["packs"] for one in found) == BUNDLES - 2
    failed = [one["shard"] for one in found if one["result"] == "FAILED"]
    assert failed == [f"{n}/4" for n in range(1, 5) if Shard(n, 4).takes(pack_of(bad))]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


@pytest.mark.parametrize(
    ("spoil", "code", "kind"),
    [
        (flip, 10, "corrupt"),
        (_cut, 10, "corrupt"),
        (_link, 10, "corrupt"),
        (Path.unlink, 13, "missing"),
    ],
    ids=["changed", "cut off", "a link", "missing"],
)
def test_a_bad_pack_is_reported_with_the_bundles_that_need_it(
    site: RecordedSite, archive: Path, spoil: Callable[[Path], object], code: int, kind: str
) -> None:
    shared = [path for path in find_packs(archive) if len(_find_needing(archive, path)) == 3]
    spoil(shared[0])

    found = check(site, archive, code=code)

    (problem,) = found["problems"]
    assert (problem["test"], problem["kind"]) == ("packs", kind)
    assert problem["name"] == str(shared[0].relative_to(archive))
    assert problem["needed_by"] == _find_needing(archive, shared[0])
    ran = site.run("archive", "check", archive)
    assert f"needed by bundle {problem['needed_by'][0]}" in ran.out
    assert "--from" in ran.out


def _find_needing(archive: Path, pack: Path) -> list[str]:
    manifests = sorted(archive.glob("bundles/*/manifest.msgpack"))
    return [path.parent.name for path in manifests if pack_of(pack) in path.read_bytes()]


def _spoil_manifest(archive: Path) -> Path:
    path = min(archive.glob("bundles/*/manifest.msgpack"))
    flip(path)
    return path


def _spoil_signature(archive: Path) -> Path:
    path = min(archive.glob("bundles/*/builder.*.dsse"))
    words = json.loads(path.read_bytes())
    sig = words["signatures"][0]["sig"]
    words["signatures"][0]["sig"] = ("B" if sig[0] == "A" else "A") + sig[1:]
    path.write_bytes(json.dumps(words, separators=(",", ":")).encode() + b"\n")
    return path


def _spoil_envelope(archive: Path) -> Path:
    path = min(archive.glob("bundles/*/builder.*.dsse"))
    path.write_bytes(b"{}\n")
    return path


def _put_a_folder_there(archive: Path) -> Path:
    path = min(archive.glob("bundles/*/builder.*.dsse"))
    path.unlink()
    path.mkdir()
    return path.parent


@pytest.mark.parametrize(
    ("spoil", "test"),
    [
        (_put_a_folder_there, "signatures"),
        (_spoil_manifest, "manifests"),
        (_spoil_signature, "signatures"),
        (_spoil_envelope, "signatures"),
    ],
)
def test_a_changed_file_beside_packs_is_found(
    site: RecordedSite, archive: Path, spoil: Callable[[Path], Path], test: str
) -> None:
    path = spoil(archive)

    found = check(site, archive, code=10)

    assert found["tests"]["failed"] == [test]
    assert found["problems"][0]["name"] == str(path.relative_to(archive))


def test_a_bundle_that_no_builder_signed_is_not_trusted(site: RecordedSite, archive: Path) -> None:
    min(archive.glob("bundles/*/builder.*.dsse")).unlink()

    found = check(site, archive, code=11)

    assert found["problems"][0]["kind"] == "not-trusted"


def test_without_a_root_signatures_are_not_among_the_tests_made(
    site: RecordedSite, archive: Path, tmp_path: Path
) -> None:
    nobody = RecordedSite(tmp_path / "nobody", site.keys)

    found = check(nobody, archive)

    assert found["result"] == "PASSED"
    assert "signatures" not in found["tests"]["passed"]


def test_samples_one_after_another_read_everything(site: RecordedSite, archive: Path) -> None:
    read: list[set[str]] = []
    for _ in range(4):
        found = check(site, archive, "--sample", "25%", "--sign", site.key())
        assert found["packs_read"] == 3  # of 10, rounded up
        (packs,) = [
            path
            for path in archive.glob("archive/checks/*/*.packs")
            if path.stem == _read_result(archive, found)["configuration"][1]["digest"]["sha256"]
        ]
        data = packs.read_bytes()
        read.append({data[at : at + 32].hex() for at in range(0, len(data), 32)})

    assert set.union(*read) == {path.stem for path in find_packs(archive)}
    assert not set.intersection(*read[:2])


def _read_result(archive: Path, found: dict[str, Any]) -> dict[str, Any]:
    envelope = json.loads((archive / found["stored"]).read_bytes())
    predicate = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
    assert isinstance(predicate, dict)
    return predicate


def test_a_sample_is_repeated_by_its_seed(site: RecordedSite, archive: Path) -> None:
    words = ("--sample", "30%", "--sign", site.key())
    copy = shutil.copytree(archive, site.top / "copy")

    first, second, third = (
        _read_result(folder, check(site, folder, *words, "--seed", seed))["configuration"][1]
        for folder, seed in ((archive, "2031-05-01"), (copy, "2031-05-01"), (archive, "x"))
    )

    assert first == second != third


def test_what_was_read_of_late_is_left_out(site: RecordedSite, archive: Path) -> None:
    words = ("--older-than", "90d", "--sign", site.key())

    assert check(site, archive, *words)["packs_read"] == BUNDLES - 2
    assert check(site, archive, *words)["packs_read"] == 0
    assert check(site, archive, "--older-than", "0", "--sign", site.key())["packs_read"] == 10


def test_what_a_whole_check_has_read_is_left_out_but_for_new_bundles(
    site: RecordedSite, archive: Path
) -> None:
    words = ("--older-than", "90d", "--sign", site.key())
    check(site, archive, "--sign", site.key())
    assert check(site, archive, *words)["packs_read"] == 0

    write_archive(archive, list_files(site, BUNDLES + 1, shared=2))

    assert check(site, archive, *words)["packs_read"] == 1
    listed = archive.glob("archive/checks/*/*.bundles")
    (bundles,) = [path for path in listed if path.stat().st_size == 32 * BUNDLES]
    bundles.unlink()
    found = check(site, archive, *words)  # what the whole check has read is not known any more
    assert found["packs_read"] == BUNDLES - 2


def test_a_check_without_anything_written_has_no_result(site: RecordedSite, archive: Path) -> None:
    words = ("--read-only", "--sign", site.key())
    expect_refusal(site, "archive", "check", archive, *words, error=MissingError)
    check(site, archive, "--sign", site.key())
    before = snapshot(archive)

    found = check(site, archive, *words, "-o", site.top / "r.json")

    assert (found["result"], found["stored"]) == ("PASSED", None)
    assert (site.top / "r.json").exists()
    assert snapshot(archive) == before


def test_two_manifests_that_say_different_sizes_of_one_pack_are_found(
    site: RecordedSite, archive: Path
) -> None:
    signer = forge.load_signer(site.key("bob"))
    made = forge.draft(forge.model({"w.bin": noise(PACK_BYTES, 5)}, "ranker:v5"))
    size = len(made.packs[0]) + 1
    made.manifest["packs"]["sizes"] = forge.u32(size)
    raw = made.raw()
    write_archive(archive, dict(forge.members(raw, forge.sign(raw, signer), [])))

    found = check(site, archive, code=10)

    assert {one["test"] for one in found["problems"]} <= {"manifests", "packs"}
    assert found["tests"]["failed"]


def test_a_location_is_the_same_from_every_working_folder(
    site: RecordedSite, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--older-than", "90d", "--sign", site.key())
    assert check(site, archive, *words)["packs_read"] == BUNDLES - 2
    monkeypatch.chdir(archive.parent)

    found = check(site, Path(archive.name), *words)

    assert (found["location"], found["packs_read"]) == (str(archive), 0)


def test_what_failed_is_read_again_at_once(site: RecordedSite, archive: Path) -> None:
    words = ("--older-than", "90d", "--sign", site.key())
    flip(find_packs(archive)[3])

    check(site, archive, *words, code=10)

    again = check(site, archive, *words, code=10)
    assert again["packs_read"] == 1


def test_a_pack_is_mended_from_a_copy_and_nothing_is_lost(
    site: RecordedSite, archive: Path
) -> None:
    copy = shutil.copytree(archive, site.top / "copy")
    bad, gone = find_packs(archive)[:2]
    good = flip(bad)
    changed = bad.read_bytes()
    gone.unlink()

    found = check(site, archive, "--from", copy)

    assert found["result"] == "WARNED"
    assert found["mended"] == [str(path.relative_to(archive)) for path in (bad, gone)]
    assert bad.read_bytes() == good
    assert gone.read_bytes() == (copy / gone.relative_to(archive)).read_bytes()
    (kept,) = archive.glob("archive/damaged/*")
    assert kept.name == f"{bad.stem}.{hashlib.sha256(changed).hexdigest()}"
    assert kept.read_bytes() == changed
    assert check(site, archive)["result"] == "PASSED"


@pytest.mark.parametrize("step", [1, 2])
def test_mending_that_ends_half_way_loses_nothing_and_is_finished_by_the_next(
    site: RecordedSite, archive: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(archive, site.top / "copy")
    bad = find_packs(archive)[0]
    good = flip(bad)
    changed = bad.read_bytes()
    publish, left = FolderTransport.publish, [step]

    def fail(transport: FolderTransport, name: str, data: bytes, *, replace: bool = False) -> bool:
        left[0] -= 1
        if not left[0]:
            raise StorageError("The disk is full.", "Make room.")
        return publish(transport, name, data, replace=replace)

    with monkeypatch.context() as patch:
        patch.setattr(FolderTransport, "publish", fail)
        ran = site.run("archive", "check", archive, "--from", copy)
    assert ran.code == StorageError.exit_code
    assert bad.read_bytes() == changed
    assert [path.read_bytes() for path in archive.glob("archive/damaged/*")] == [changed] * (
        step - 1
    )

    assert check(site, archive, "--from", copy)["mended"] == [str(bad.relative_to(archive))]
    assert bad.read_bytes() == good


def test_a_copy_that_is_damaged_as_well_mends_nothing(site: RecordedSite, archive: Path) -> None:
    copy = shutil.copytree(archive, site.top / "copy")
    for folder in (archive, copy):
        flip(find_packs(folder)[0])
    before = snapshot(archive)

    check(site, archive, "--from", copy, "--mend", code=10)

    assert snapshot(archive) == before


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("-o", "r.json"), UsageError),
        (("--shard", "5/4"), UsageError),
        (("--sample", "0%"), UsageError),
        (("--sample", "5"), UsageError),
        (("--sample", "5%", "--shard", "1/4"), UsageError),
        (("--seed", "a b"), UsageError),
        (("--read-only", "--mend"), UsageError),
        (("--sign", "absent.key"), ConfigurationError),
    ],
)
def test_what_does_not_fit_together_is_refused(
    site: RecordedSite, archive: Path, words: tuple[str, ...], error: type
) -> None:
    expect_refusal(site, "archive", "check", archive, *words, error=error)


@pytest.mark.parametrize("name", ["bob", "other"])
def test_a_key_that_is_not_a_recorders_is_refused_before_anything_is_read(
    site: RecordedSite, archive: Path, name: str
) -> None:
    words = ("--sign", site.key(name))

    expect_refusal(site, "archive", "check", archive, *words, error=ConfigurationError)


def test_an_archive_is_checked_as_a_whole(site: RecordedSite, archive: Path) -> None:
    bundle = min((archive / "bundles").iterdir()).name

    expect_refusal(site, "archive", "check", f"{archive}#{bundle}", error=UsageError)
    words = ("--from", f"{archive}#{bundle}")
    expect_refusal(site, "archive", "check", archive, *words, error=UsageError)


def test_a_depot_that_was_checked_is_a_depot_as_before(site: RecordedSite, archive: Path) -> None:
    check(site, archive, "--sign", site.key())
    bundle = min((archive / "bundles").iterdir()).name

    assert site.run("delete", f"{archive}#{bundle}", "--yes").code == 0
    assert site.run("gc", archive, "--older-than", "0").code == 0

    found = check(site, archive)
    assert (found["result"], found["bundles"]) == ("PASSED", BUNDLES - 1)


def test_the_log_of_exports_shows_a_check(site: RecordedSite, archive: Path) -> None:
    check(site, archive, "--sign", site.key())

    ran = site.run("log", "--exports", "--json")
    assert ran.code == 0, ran.err
    assert "checked" in ran.out
    assert "PASSED: 10 of 10 packs" in site.run("log", "--exports").out


def test_a_folder_without_bundles_is_not_an_archive(site: RecordedSite, tmp_path: Path) -> None:
    ran = site.run("archive", "check", tmp_path / "nothing", "--json")

    assert ran.code == MissingError.exit_code


def test_a_result_is_verified_with_the_commands_of_the_page(
    site: RecordedSite, archive: Path, tmp_path: Path
) -> None:
    found = check(site, archive, "--sign", site.key(), "-o", tmp_path / "may.json")
    shutil.copy(site.public(), tmp_path / "recorder.pub")
    (script,) = re.findall(
        r"## Verify a result without airgap\n.*?```sh\n(.*?)```", PAGE, re.DOTALL
    )

    def verify() -> str:
        done = subprocess.run(
            ["sh", "-c", script],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.stdout + done.stderr

    assert "Signature Verified Successfully" in verify()
    assert json.loads((tmp_path / "payload").read_bytes())["predicate"]["result"] == "PASSED"
    result = tmp_path / "may.json"
    result.write_bytes(result.read_bytes().replace(b'"payload":"eyJf', b'"payload":"eyJe'))
    assert "Verified Successfully" not in verify()
    (bundles,) = archive.glob(f"archive/checks/*/{found['state']}.bundles")
    assert hashlib.sha256(bundles.read_bytes()).hexdigest() == found["state"]


def test_the_job_of_the_page_checks_every_shard_once() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    job = yaml.safe_load(text)["spec"]
    (container,) = job["template"]["spec"]["containers"]
    assert container["command"] == ["sh", "-c"]
    (line,) = container["args"]

    shards = set()
    for index in range(job["completions"]):
        told = subprocess.run(
            ["sh", "-c", line.replace("exec airgap", "echo")],
            env={"PATH": os.environ["PATH"], "JOB_COMPLETION_INDEX": str(index)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        words = told.stdout.split()
        assert words[:2] == ["archive", "check"]
        shards.add(words[words.index("--shard") + 1])

    assert shards == {f"{number}/64" for number in range(1, 65)}


def test_a_check_that_was_killed_goes_on_and_reads_no_pack_twice(
    site: RecordedSite, archive: Path
) -> None:
    words = ("--sign", site.key())
    kill_after(site, 6, "archive", "check", archive, *words)
    (run,) = (site.state / "checks").iterdir()
    data = run.read_bytes()
    records = data.partition(b"\n")[2]
    read = {records[at : at + 32].hex() for at in range(0, len(records), 40)}
    assert len(read) == 6
    for path in find_packs(archive):
        if path.stem in read:
            path.unlink()  # a pack that is not read again cannot be missed

    found = check(site, archive, *words)

    assert (found["packs_read"], found["packs_read_before"]) == (10, 6)
    assert list((site.state / "checks").iterdir()) == []
    assert len(check(site, archive, *words, code=13)["problems"]) == 6  # its own run reads all


def test_a_record_that_was_cut_off_counts_for_nothing(site: RecordedSite, archive: Path) -> None:
    kill_after(site, 6, "archive", "check", archive)
    (run,) = (site.state / "checks").iterdir()
    run.write_bytes(run.read_bytes()[:-7] + b"\0" * 300)

    assert check(site, archive)["packs_read_before"] == 5


def test_the_same_check_twice_at_once_is_refused(site: RecordedSite, archive: Path) -> None:
    kill_after(site, 2, "archive", "check", archive)
    (run,) = (site.state / "checks").iterdir()
    descriptor = os.open(run, os.O_RDWR)
    try:
        assert locks.try_lock(descriptor)

        expect_refusal(site, "archive", "check", archive, error=ConflictError)
    finally:
        os.close(descriptor)


def test_people_get_one_line_of_what_was_read(site: RecordedSite, archive: Path) -> None:
    ran = site.run("archive", "check", archive)

    assert ran.out.splitlines()[-1].startswith("PASSED: 12 bundles, 10 packs")
