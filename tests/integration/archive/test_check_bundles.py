"""A check reads what lies beside a manifest: findings, indexes, stamps, parity, roots."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airgap.errors import ConfigurationError
from airgap.format.site_rules import SiteRules, TimestampAuthority
from airgap.signing import time_stamps
from tests.servers.scripted import Request, Scripted, reply
from tests.support import stores
from tests.support.archives import find_packs, flip
from tests.support.sides import Side
from tests.support.signers import make_root, person, pin, team, write_key, write_root
from tests.support.stamp_authority import YEAR, StampAuthority

TSA = StampAuthority("Site", end=100 * YEAR, years=120)
BOB, SAM = person("bob").key.id, person("sam").key.id


@pytest.fixture(scope="module")
def tsa() -> Iterator[str]:
    def answer(request: Request) -> bytes:
        stamp = TSA.answer(request.body, time.time() - 60)
        return reply("200 OK", stamp, Content_Type="application/timestamp-reply")

    with Scripted(answer) as server:
        yield f"{server.url}/tsr"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tsa: str) -> Side:
    """An archive of one bundle with everything beside it: reports, stamps, an index, parity."""
    side = Side(tmp_path_factory.mktemp("beside") / "ward")
    side.top.mkdir()
    rules = SiteRules(timestamp_authorities=(TimestampAuthority(TSA.digest),))
    root = make_root(builder=team("bob"), scanner=team("sam"), site="ward")
    pin(side, replace(root, created_at=1001, rules=rules))
    write_root(side.top / "root.msgpack", replace(root, created_at=1001, rules=rules), "ann")
    bob, sam = (write_key(side.top, name) for name in ("bob", "sam"))
    (side.top / "tsa.pem").write_bytes(TSA.pem)
    (side.top / "report").write_text("nothing found\n")
    stores.add_model(side, "ranker:v1", {"w.bin": stores.noise(200_000)})
    depot = side.top / "depot"
    carried = ("--include-root", side.top / "root.msgpack")
    for words in (
        ("export", "--model", "ranker:v1", "-o", depot, "--key", bob, *carried),
        ("attest", depot, "--role", "scanner", "--key", sam, "--findings", side.top / "report"),
        ("timestamp", depot, "--tsa", tsa, "--certificate", side.top / "tsa.pem", "--index"),
        ("split", depot, "-o", side.top / "media", "--volume-size", "100M", "--parity", "100"),
    ):
        ran = side.run(*words)
        assert ran.code == 0, ran.err
    (volume,) = (side.top / "media").glob("*/")
    volume.rename(side.top / "archive")
    return side


@pytest.fixture
def archive(made: Side, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.top / "archive", tmp_path / "archive"))


def check(side: Side, archive: Path, *words: str) -> dict[str, Any]:
    return side.run("archive", "check", archive, *words, "--json").json


def find(archive: Path, pattern: str) -> Path:
    return min(archive.glob(f"bundles/*/{pattern}"))


def test_all_of_it_passes(made: Side, archive: Path) -> None:
    found = check(made, archive)

    assert (found["result"], found["problems"]) == ("PASSED", [])
    names = "attachments manifests packs parity records roots signatures stamps"
    assert found["tests"]["passed"] == names.split()


def _replace(pattern: str, data: bytes) -> Callable[[Path], object]:
    return lambda archive: find(archive, pattern).write_bytes(data)


def _flip(pattern: str) -> Callable[[Path], object]:
    return lambda archive: flip(find(archive, pattern))


def _remove(pattern: str) -> Callable[[Path], object]:
    return lambda archive: find(archive, pattern).unlink()


def _rename_stamp(archive: Path) -> None:
    stamp = find(archive, f"builder.1.{BOB}.tsr")
    stamp.rename(stamp.with_name(f"builder.2.{BOB}.tsr"))


def _swap_stamps(archive: Path) -> None:
    shutil.copy(find(archive, f"scanner.1.{SAM}.tsr"), find(archive, f"builder.1.{BOB}.tsr"))


@pytest.mark.parametrize(
    ("spoil", "tests"),
    [
        (_flip("*.findings"), {"attachments"}),
        (_replace("*.findings", b""), {"attachments"}),
        (_flip("index1.*.sha512"), {"stamps"}),
        (_remove("*.findings"), {"attachments"}),
        (_flip("scanner.*.attestation"), {"attachments", "signatures"}),
        (_rename_stamp, {"stamps"}),
        (_swap_stamps, {"stamps"}),
        (_replace("scanner.1.*.tsr", b"no stamp"), {"stamps"}),
        (_replace("parity.msgpack", b"no index"), {"parity"}),
        (_flip("parity/*.parity"), {"parity"}),
        (_replace("parity/*.parity", b"short"), {"parity"}),
        (_remove("parity/*.parity"), {"parity"}),
        (lambda archive: flip(min(archive.glob("roots/*.msgpack"))), {"roots"}),
    ],
)
def test_what_is_changed_beside_a_manifest_is_found(
    made: Side, archive: Path, spoil: Callable[[Path], object], tests: set[str]
) -> None:
    spoil(archive)

    found = check(made, archive)

    assert found["result"] == "FAILED"
    assert tests <= {one["test"] for one in found["problems"]}


def test_a_pack_is_mended_from_parity_if_that_is_asked_for(made: Side, archive: Path) -> None:
    (pack,) = find_packs(archive)
    good = flip(pack)
    assert check(made, archive)["result"] == "FAILED"

    found = check(made, archive, "--mend")

    assert (found["result"], found["mended"]) == ("WARNED", [str(pack.relative_to(archive))])
    assert "the parity of bundle" in found["problems"][0]["text"]
    assert pack.read_bytes() == good
    assert check(made, archive)["result"] == "PASSED"


def test_a_bundle_that_the_root_of_today_does_not_admit_is_a_warning(
    archive: Path, tmp_path: Path
) -> None:
    """Its builder's key was revoked since: the archive is whole, and a person must know."""
    later = Side(tmp_path / "later")
    later.top.mkdir()
    root = make_root(2, builder=team("bob ben"), scanner=team("sam"), site="ward")
    pin(later, replace(root, created_at=2002, revoked_keys=(BOB,)))

    found = check(later, archive)

    assert found["result"] == "WARNED"
    (problem,) = found["problems"]
    assert (problem["test"], problem["kind"]) == ("signatures", "not-trusted")
    assert later.run("archive", "check", archive).code == 0


def test_a_certificate_under_another_name_is_found(made: Side, archive: Path) -> None:
    folder = archive / "archive/tsa"
    folder.mkdir(parents=True)
    (folder / f"tsa.{TSA.digest.hex()}.pem").write_bytes(TSA.pem)
    assert check(made, archive)["result"] == "PASSED"

    (folder / f"tsa.{'0' * 64}.pem").write_bytes(TSA.pem)

    (problem,) = check(made, archive)["problems"]
    assert (problem["test"], problem["name"]) == ("records", f"archive/tsa/tsa.{'0' * 64}.pem")


def test_without_the_library_stamps_are_not_among_the_tests(
    made: Side, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise ConfigurationError("It is not installed.", "Install it.")

    monkeypatch.setattr(time_stamps, "demand_library", refuse)

    found = check(made, archive)

    assert found["result"] == "PASSED"
    assert "stamps" not in found["tests"]["passed"]
