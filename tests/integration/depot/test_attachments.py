"""Attachments travel wherever their bundle goes, and nobody relies on them (format §24)."""

import hashlib
from pathlib import Path

import pytest

from airgap.carrier.archive import ENVELOPE_ROOM
from airgap.format import limits, tar
from tests.support import sides, stores, volumes
from tests.support.sides import Side, Site

REPORT = b'{"found": []}\n' * 200
FORMS = pytest.mark.parametrize("form", ["depot", "shop.airgap"])


@pytest.fixture(scope="module")
def scanner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scanner's key; no root needs to name it."""
    folder = tmp_path_factory.mktemp("scanner")
    nobody = {"AIRGAP_HOME": str(folder / "nobody")}
    made = ("key", "generate", "scanner", "--dir", folder, "--no-passphrase")
    assert sides.run_cli(made, nobody).code == 0
    return folder / "scanner.key"


@pytest.fixture
def location(small: Side, site: Site, tmp_path: Path, form: str) -> Path:
    out = tmp_path / "out" / form
    out.parent.mkdir()
    assert small.run("export", "shop:v1", "-o", out, "--key", site.key()).code == 0
    return out


def report(folder: Path, data: bytes = REPORT) -> Path:
    path = folder / "report.json"
    path.write_bytes(data)
    return path


def attest(side: Side, location: Path, key: Path, findings: Path, *more: str) -> sides.Ran:
    words = ("attest", location, "--role", "scanner", "--findings", findings, "--key", key)
    return side.run(*words, "--json", *more)


def attachments(side: Side, location: Path | str) -> dict[str, str]:
    rows = side.run("inspect", location, "--json").json["attachments"]
    return {row["file"]: row["sha256"] for row in rows}


@FORMS
def test_a_report_is_attached_and_an_attestation_names_it(
    small: Side, isolated: Side, location: Path, scanner: Path, tmp_path: Path
) -> None:
    ran = attest(small, location, scanner, report(tmp_path))

    assert ran.code == 0, ran.err
    digest = hashlib.sha256(REPORT).hexdigest()
    assert attachments(small, location) == {f"scanner.{ran.json['signed_by']}.findings": digest}
    assert ran.json["findings"] == digest
    assert "attachment scanner." in small.run("inspect", location).out
    assert isolated.run("verify", location).code == 0
    imported = isolated.run("import", location)
    assert imported.code == 0, imported.err


@FORMS
def test_without_an_attachment_the_digest_is_signed_all_the_same(
    small: Side, location: Path, scanner: Path, tmp_path: Path
) -> None:
    ran = attest(small, location, scanner, report(tmp_path), "--no-attach")

    assert ran.json["findings"] == hashlib.sha256(REPORT).hexdigest()
    assert attachments(small, location) == {}


@pytest.mark.parametrize("size", [0, limits.FINDINGS_BYTES + 1])
@pytest.mark.parametrize("form", ["depot"])
def test_a_report_of_another_size_is_refused_before_anything_is_signed(
    size: int, small: Side, location: Path, scanner: Path, tmp_path: Path
) -> None:
    before = stores.snapshot(location)

    ran = attest(small, location, scanner, report(tmp_path, bytes(size)))

    assert (ran.code, stores.snapshot(location)) == (2, before)
    assert "--no-attach" in ran.json["error"]["hint"]


@pytest.mark.parametrize("form", ["shop.airgap"])
def test_a_file_without_room_is_left_as_it_is_and_a_depot_has_room(
    small: Side, isolated: Side, location: Path, scanner: Path, tmp_path: Path
) -> None:
    large = report(tmp_path, b"x" * (ENVELOPE_ROOM + 10_000))
    before = location.read_bytes()

    ran = attest(small, location, scanner, large)

    assert ran.code == 14
    assert location.read_bytes() == before
    depot, again = tmp_path / "depot", tmp_path / "again.airgap"
    assert small.run("copy", location, depot).code == 0
    assert attest(small, depot, scanner, large).code == 0
    assert small.run("copy", depot, again).code == 0
    assert list(attachments(small, again).values()) == [
        hashlib.sha256(large.read_bytes()).hexdigest()
    ]
    assert isolated.run("verify", again).code == 0


def test_attachments_go_wherever_their_bundle_goes(
    connected: Side, site: Site, scanner: Path, tmp_path: Path
) -> None:
    volumes.fill(connected)
    depot, file, copy = tmp_path / "depot", tmp_path / "x.airgap", tmp_path / "copy"
    assert connected.run("export", "shop:v1", "-o", depot, "--key", site.key()).code == 0
    assert attest(connected, depot, scanner, report(tmp_path)).code == 0
    attached = attachments(connected, depot)

    assert connected.run("copy", depot, file).code == 0
    assert connected.run("copy", file, copy).code == 0

    assert attached
    assert attachments(connected, file) == attachments(connected, copy) == attached


@pytest.mark.parametrize("form", ["depot", "x.airgap"])
def test_attachments_are_on_every_volume_and_on_what_is_joined(
    form: str, connected: Side, site: Site, scanner: Path, tmp_path: Path
) -> None:
    volumes.fill(connected)
    source, joined = tmp_path / form, tmp_path / "joined"
    assert connected.run("export", "shop:v1", "-o", source, "--key", site.key()).code == 0
    assert attest(connected, source, scanner, report(tmp_path)).code == 0
    attached = attachments(connected, source)

    words = ("split", source, "--volume-size", "1400k", "-o", tmp_path / "volumes")
    assert connected.run(*words).code == 0
    folders = volumes.found(tmp_path / "volumes").folders
    everywhere = [attachments(connected, folder) for folder in folders]
    for folder in folders[1:]:  # one volume's are enough
        for path in folder.rglob("*.findings"):
            path.unlink()
    assert connected.run("join", *folders, "-o", joined).code == 0

    assert len(folders) > 1
    assert everywhere == [attached] * len(folders)
    assert attachments(connected, joined) == attached


@pytest.mark.parametrize("form", ["depot"])
def test_attachments_are_deleted_with_their_bundle(
    small: Side, location: Path, scanner: Path, tmp_path: Path
) -> None:
    assert attest(small, location, scanner, report(tmp_path)).code == 0

    assert small.run("delete", "shop:v1", location, "--yes").code == 0

    assert not list(location.rglob("*.findings"))


@pytest.mark.parametrize("form", ["shop.airgap"])
def test_a_later_signature_leaves_the_attachments_where_they_are(
    small: Side, isolated: Side, location: Path, scanner: Path, tmp_path: Path
) -> None:
    assert attest(small, location, scanner, report(tmp_path)).code == 0
    attached = attachments(small, location)
    size = location.stat().st_size

    assert small.run("sign", location, "--key", scanner).code == 0

    assert attachments(small, location) == attached
    assert location.stat().st_size == size
    assert isolated.run("verify", location).code == 0


@pytest.mark.parametrize("form", ["shop.airgap"])
def test_stock_tar_gets_at_them(small: Side, location: Path, scanner: Path, tmp_path: Path) -> None:
    import io
    import tarfile

    assert attest(small, location, scanner, report(tmp_path)).code == 0
    with tarfile.open(location, "r:") as archive:
        member = archive.extractfile(tar.PADDING_NAME)
        assert member
        padding = member.read()
    with tarfile.open(fileobj=io.BytesIO(padding), mode="r:", ignore_zeros=True) as inner:
        (name,) = inner.getnames()
        content = inner.extractfile(name)
        assert content
        assert content.read() == REPORT
