"""The vectors of version 1 are read for ever, and the bad ones never (format §13)."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from airgap import errors
from airgap.errors import AirgapError
from airgap.flow.bundle import open_bundle
from airgap.flow.location.location import parse_location
from airgap.format import envelope
from airgap.format.root import Root
from airgap.signing import trust
from airgap.signing.trust import Verified
from airgap.state import pinned_root
from tests.support import forge, refusals
from tests.support.sides import Side
from tests.vectors.describe import describe

HERE = Path(__file__).parent
BAD: list[dict[str, str]] = json.loads((HERE / "bad.json").read_text())
KINDS: dict[str, type[AirgapError]] = {
    error.kind: error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, AirgapError)
}


@pytest.fixture(scope="module")
def root() -> Verified[Root]:
    raw, envelopes = pinned_root.read_root_files(HERE / "root" / "root.msgpack")
    pinned = (HERE / "root" / "fingerprint.txt").read_text().strip()
    return trust.accept_root(raw, envelopes, pinned)


@pytest.fixture
def ward(tmp_path: Path) -> Side:
    """A machine of the vectors' site."""
    side = Side(tmp_path / "ward")
    side.top.mkdir()
    fingerprint = (HERE / "root" / "fingerprint.txt").read_text()
    ran = side.run("trust", "init", HERE / "root/root.msgpack", "--fingerprint", fingerprint)
    assert ran.code == 0, ran.err
    return side


@pytest.mark.parametrize("form", ["", ".airgap"], ids=["depot", "file"])
@pytest.mark.parametrize("name", ["exported", "handmade"])
def test_a_golden_bundle_is_read_as_it_is_described(
    name: str, form: str, root: Verified[Root]
) -> None:
    location = HERE / f"{name}{form}"

    assert forge.verify_in_process(location, root) > 0

    with open_bundle.open_bundle(parse_location(str(location)), forge.judging(root)) as opened:
        about = describe(opened.manifest.value)
        about["signed_by"] = list(opened.manifest.signers["builder"])
    assert about == json.loads((HERE / f"{name}.json").read_text())


@pytest.mark.parametrize("name", ["exported.airgap", "handmade"])
def test_a_golden_bundle_is_installed_as_it_is_described(name: str, ward: Side) -> None:
    ran = ward.run("import", HERE / name, "--json")
    assert ran.code == 0, ran.err

    about = json.loads((HERE / f"{name.removesuffix('.airgap')}.json").read_text())
    for item in about["items"]:
        folder = _place(ward, item)
        for entry in item["entries"]:
            _expect(folder / entry["path"], entry)
        there = [one for one in folder.rglob("*") if not _holds_something(one)]
        assert len(there) == len(item["entries"])


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad['section']} {bad['what']}")
def test_a_bad_bundle_is_refused_for_its_one_fault(bad: dict[str, str], ward: Side) -> None:
    file = HERE / "bad" / bad["file"]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == bad["sha256"]

    refusals.expect_refusal(ward, "verify", file, error=KINDS[bad["kind"]])
    refusals.expect_refusal(ward, "import", file, error=KINDS[bad["kind"]], staging=True)


def test_the_table_names_every_bad_bundle_and_every_section_with_rules() -> None:
    assert {bad["file"] for bad in BAD} == {path.name for path in (HERE / "bad").iterdir()}
    sections = "2.1 2.2 2.3 2.4 2.5 2.6 3.1 3.2 4.1 4.2 4.3 5.1 5.2 5.3 6.1 6.2 6.3 7.3 7.5 9 11"
    assert {bad["section"] for bad in BAD} == set(sections.split())


def test_no_private_key_is_among_the_vectors() -> None:
    for path in HERE.rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            assert b"PRIVATE KEY" not in path.read_bytes()


def test_what_is_signed_is_what_the_dsse_specification_says() -> None:
    # DSSE protocol 1.0.0, "Test Vectors"; its signature is r and s side by side.
    kind, body = "http://example.com/HelloWorld", b"hello world"
    encoded = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    x = 46950820868899156662930047687818585632848591499744589407958293238635476079160
    y = 5640078356564379163099075877009565129882514886557779369047442380624545832820
    signature = base64.b64decode(
        "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="
    )
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))

    assert envelope.signed_bytes(kind, body) == encoded == forge.pae(kind, body)
    ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key().verify(
        encode_dss_signature(r, s), envelope.signed_bytes(kind, body), ec.ECDSA(hashes.SHA256())
    )


def _place(side: Side, item: dict[str, Any]) -> Path:
    if item["kind"] == "hugging-face":
        return side.hugging_face / f"models--{item['name']}/snapshots/{item['version']}"
    return side.bentoml / f"{item['kind']}s/{item['name']}/{item['version']}"


def _expect(path: Path, entry: dict[str, Any]) -> None:
    """Compare one path with its description."""
    if "target" in entry:
        assert str(path.readlink()) == entry["target"]
    elif "folder" in entry:
        assert path.is_dir()
        assert not list(path.iterdir())
    else:
        content = path.read_bytes()
        found = len(content), hashlib.sha256(content).hexdigest()
        assert found == (entry["size"], entry["sha256"])
        assert bool(path.stat().st_mode & 0o100) == entry["executable"]


def _holds_something(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and any(path.iterdir())
