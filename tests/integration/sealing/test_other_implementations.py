"""What airgap seals, others open, and the other way round: Debian's age, npm's, and pyrage."""

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from airgap.format import manifest as manifests
from airgap.format.seal import decode_seal
from airgap.sealing.age_file import decrypt, encrypt
from airgap.sealing.age_keys import generate_identity
from tests.support import sealing
from tests.support.sides import REPOSITORY

pytestmark = pytest.mark.servers

SIZES: Final = (0, 1, 65536, 65537, 200_000)
LIMIT: Final = 1_000_000
SECONDS: Final = 180
NPM: Final = "age-encryption@0.3.1"
SCRIPT: Final = """
import { readFileSync, writeFileSync } from "node:fs"
import * as age from "age-encryption"
const { identity, recipient, jobs } = JSON.parse(readFileSync(0, "utf8"))
for (const [theirs, ours, plain] of jobs) {
  const encrypter = new age.Encrypter()
  encrypter.addRecipient(recipient)
  writeFileSync(theirs, await encrypter.encrypt(readFileSync(plain)))
  const decrypter = new age.Decrypter()
  decrypter.addIdentity(identity)
  writeFileSync(`${ours}.plain`, await decrypter.decrypt(readFileSync(ours)))
}
"""


def require(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


def run(words: Sequence[str | Path], data: bytes = b"", folder: Path | None = None) -> bytes:
    ran = subprocess.run(
        words, input=data, capture_output=True, check=False, timeout=SECONDS, cwd=folder
    )
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout


def make_plain(size: int) -> bytes:
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


def test_age_of_debian_and_airgap_open_each_others_files(tmp_path: Path) -> None:
    age = require("age")
    identity = generate_identity(post_quantum=False)
    (path := tmp_path / "identity").write_text(identity.text)
    for size in SIZES:
        plain = make_plain(size)
        ours = bytes(encrypt([plain], [identity.recipient]))
        assert run([age, "-d", "-i", path], ours) == plain
        theirs = run([age, "-r", identity.recipient.text], plain)
        assert decrypt(theirs, [identity], limit=LIMIT) == plain


def test_pyrage_and_airgap_open_each_others_files() -> None:
    pyrage = pytest.importorskip("pyrage")
    identity = generate_identity(post_quantum=False)
    other = pyrage.x25519.Identity.from_str(identity.text)
    assert str(other.to_public()) == identity.recipient.text
    for size in SIZES:
        plain = make_plain(size)
        ours = bytes(encrypt([plain], [identity.recipient]))
        assert pyrage.decrypt(ours, [other]) == plain
        assert decrypt(pyrage.encrypt(plain, [other.to_public()]), [identity], limit=LIMIT) == plain


@pytest.fixture(scope="module")
def npm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("node")
    folder = tmp_path_factory.mktemp("npm")
    options = ["--no-audit", "--no-fund", "--ignore-scripts"]
    run([require("npm"), "install", *options, NPM], folder=folder)
    (folder / "exchange.mjs").write_text(SCRIPT)
    return folder


@pytest.mark.parametrize("post_quantum", [True, False])
def test_age_of_npm_and_airgap_open_each_others_files(
    npm_folder: Path, tmp_path: Path, *, post_quantum: bool
) -> None:
    identity = generate_identity(post_quantum=post_quantum)
    jobs = []
    for size in SIZES:
        plain, ours, theirs = (tmp_path / f"{size}.{name}" for name in ("in", "ours", "theirs"))
        plain.write_bytes(make_plain(size))
        ours.write_bytes(encrypt([make_plain(size)], [identity.recipient]))
        jobs.append([str(theirs), str(ours), str(plain)])
    given = {"identity": identity.text, "recipient": identity.recipient.text, "jobs": jobs}
    run(["node", "exchange.mjs"], json.dumps(given).encode(), npm_folder)
    for size in SIZES:
        assert (tmp_path / f"{size}.ours.plain").read_bytes() == make_plain(size)
        sealed = (tmp_path / f"{size}.theirs").read_bytes()
        assert decrypt(sealed, [identity], limit=LIMIT) == make_plain(size)


def test_the_commands_in_the_document_open_a_sealed_bundle(tmp_path: Path) -> None:
    require("age")
    page = (REPOSITORY / "docs" / "seal-for-the-courier.md").read_text()
    (script,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    site = sealing.make_sealed_site(tmp_path / "site", post_quantum=False)
    depot = tmp_path / "depot"
    assert site.export("-o", depot).code == 0
    shutil.copy(site.identity, depot / "site.identity")
    run(["bash", "-eu", "-c", script], folder=depot)
    seal = decode_seal((depot / "seal").read_bytes())
    plain = [path.read_bytes() for path in depot.glob("plain-*.pack")]
    for pack in manifests.decode(seal.manifest).packs:
        digests = [hashlib.sha256(data[: pack.size]).digest() for data in plain]
        assert pack.digest in digests
    assert len(plain) == 2
