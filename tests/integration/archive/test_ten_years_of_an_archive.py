"""Ten years of an archive with openssl's authorities and a false clock: stamped, renewed, checked.

The authority is set up as docs/prove-when-it-was-signed.md says.
"""

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from airgap.format.site_rules import SiteRules, TimestampAuthority
from airgap.signing.certificates import digest_authority
from tests.support import stores
from tests.support.sides import REPOSITORY, Side
from tests.support.signers import make_root, team, write_key, write_root

pytestmark = pytest.mark.servers

PAGE: Final = (REPOSITORY / "docs" / "prove-when-it-was-signed.md").read_text()
YEARS: Final = (2026, 2029, 2033)
"""When each authority begins; the certificate of each ends a year later."""


class Vault:
    """A machine with an archive, and authorities that each live for a year."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.archive = top / "archive"
        self.side = Side(top / "side")
        self.side.top.mkdir()

    def shell(self, when: str, *words: str | Path, folder: Path) -> str:
        """Run a program at a time; it must succeed."""
        ran = subprocess.run(
            ["faketime", when, *map(str, words)],
            cwd=folder,
            env={**os.environ, **self.side.environment},
            capture_output=True,
            check=False,
            text=True,
            timeout=120,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def airgap(self, when: str, *words: str | Path) -> str:
        ran = self.side.process(*words, prefix=("faketime", when))
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.decode()

    def make_authority(self, year: int) -> Path:
        folder = self.top / str(year)
        folder.mkdir()
        (folder / "serial").write_text("01\n")
        (folder / "tsa.cnf").write_text(re.findall(r"```ini\n(.*?)```", PAGE, re.DOTALL)[0])
        lines = [line for line in PAGE.splitlines() if line.startswith("openssl ")]
        for line in lines:
            if "tsr" not in line and "-verify" not in line:
                words = ("sh", "-c", line.replace("3072", "2048"))
                self.shell(f"{year}-01-01", *words, folder=folder)
        return folder

    def carry(self, year: int, when: str, *words: str | Path) -> None:
        """Write requests, have the authority of a year answer each, and take the answers in."""
        authority = self.top / str(year)
        requests, responses = (self.top / f"{kind}-{when}" for kind in ("asked", "answered"))
        requests.mkdir()
        responses.mkdir()
        options = (*words, "--request", requests, "--certificate", authority / "ca.pem")
        self.airgap(when, "archive", "renew", self.archive, *options)
        for query in sorted(requests.rglob("*.tsq")):
            answer = (responses / query.relative_to(requests)).with_suffix(".tsr")
            answer.parent.mkdir(parents=True, exist_ok=True)
            reply = ("openssl", "ts", "-reply", "-config", "tsa.cnf", "-queryfile", query)
            self.shell(when, *reply, "-out", answer, folder=authority)
        self.airgap(when, "archive", "renew", self.archive, *options, "--response", responses)


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    missing = [name for name in ("faketime", "openssl") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    vault = Vault(tmp_path_factory.mktemp("decade"))
    certificates = [(vault.make_authority(year) / "ca.pem").read_bytes() for year in YEARS]
    digests = sorted(map(digest_authority, certificates))
    rules = SiteRules(timestamp_authorities=tuple(map(TimestampAuthority, digests)))
    root = replace(make_root(builder=team("bob ben")), created_at=1_764_547_200, rules=rules)
    fingerprint = write_root(vault.top / "root.msgpack", root, "ann")
    key = write_key(vault.top, "bob")
    pinned = ("trust", "init", vault.top / "root.msgpack", "--fingerprint", fingerprint)
    vault.airgap("2026-02-01", *pinned)
    stores.add_model(vault.side, "ranker:v1", {"w.bin": stores.noise(50_000)})
    words = ("--model", "ranker:v1", "-o", vault.archive, "--key", key)
    vault.airgap("2026-02-01", "export", *words)
    query, answer = vault.top / "2026/q.tsq", vault.top / "2026/r.tsr"
    first = ("timestamp", vault.archive, "--request", query)
    vault.airgap("2026-02-02", *first, "--certificate", vault.top / "2026/ca.pem")
    reply = ("openssl", "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "q.tsq")
    vault.shell("2026-02-02", *reply, "-out", "r.tsr", folder=vault.top / "2026")
    vault.airgap("2026-02-02", *first, "--response", answer)
    vault.carry(2029, "2029-02-01")
    vault.carry(2033, "2033-02-01", "--hash", "sha512")
    return vault


def test_after_ten_years_it_is_authentic_and_whole(vault: Vault) -> None:
    out = vault.airgap("2036-12-01", "verify", vault.archive, "--as-of", "2026-12-31")

    assert "intact: yes" in out
    assert "authentic at 2026-12-31T23:59:59Z: yes" in out
    assert "WARNED" in vault.airgap("2036-12-01", "archive", "check", vault.archive)  # ended again
    assert "PASSED" in vault.airgap("2033-03-01", "archive", "check", vault.archive)


def test_openssl_checks_every_stamp_at_its_time(vault: Vault) -> None:
    (index,) = vault.archive.glob("archive/renewals/*.sha512")
    (certificate,) = vault.archive.glob("archive/tsa/*.pem")
    listed = vault.airgap("2036-12-01", "timestamp", vault.archive)
    commands = [line.strip() for line in listed.splitlines() if "openssl ts" in line]
    assert len(commands) == 3  # one for each year
    assert index.name.startswith("20330201-1.")
    at = "-attime 1990958400"  # 2033-02-02
    files = [path.relative_to(vault.archive) for path in (index, certificate)]
    commands.append(
        f"openssl ts -verify {at} -data {files[0]} -in {files[0]}.1.tsr -CAfile {files[1]}"
    )
    for command in commands:
        words = ("sh", "-c", command)
        assert "Verification: OK" in vault.shell("2036-12-01", *words, folder=vault.archive)
