"""Ten years with openssl's authority and a false clock: stamped, expired, renewed, verified.

The configuration of the authority, its certificates and the commands are those of the page.
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
from tests.support.signers import make_root, person, team, write_key, write_root

pytestmark = pytest.mark.servers

PAGE: Final = (REPOSITORY / "docs" / "prove-when-it-was-signed.md").read_text()
BOB: Final = person("bob").key.id


class Story:
    """A connected machine, an authority in each of two years, and a clock that is said."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.side = Side(top / "side")
        self.side.top.mkdir()

    def shell(self, when: str, *words: str | Path, folder: Path | None = None) -> str:
        """Run a program at a time; it must succeed."""
        ran = subprocess.run(
            ["faketime", when, *map(str, words)],
            cwd=folder or self.top,
            env={**os.environ, **self.side.environment},
            capture_output=True,
            check=False,
            text=True,
            timeout=120,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def airgap(self, when: str, *words: str | Path) -> "subprocess.CompletedProcess[bytes]":
        return self.side.process(*words, prefix=("faketime", when))

    def make_authority(self, name: str, when: str) -> Path:
        """Follow the page: a CA for twenty years, and a certificate for one."""
        folder = self.top / name
        folder.mkdir()
        (folder / "serial").write_text("01\n")
        (folder / "tsa.cnf").write_text(re.findall(r"```ini\n(.*?)```", PAGE, re.DOTALL)[0])
        lines = [
            line for line in PAGE.splitlines() if line.startswith("openssl ") and "tsr" not in line
        ]
        made = [line for line in lines if "-verify" not in line]
        assert len(made) == 3
        for line in made:
            self.shell(when, "sh", "-c", line.replace("3072", "2048"), folder=folder)
        return folder

    def stamp(self, authority: Path, when: str, *options: str | Path) -> None:
        """Carry a request to the authority, and its answer back."""
        query, response = authority / "q.tsq", authority / "r.tsr"
        words = ("timestamp", self.top / "depot", "--request", query, *options)
        (
            made := self.airgap(when, *words, "--certificate", authority / "ca.pem")
        ).check_returncode()
        assert made.stdout
        reply = ("openssl", "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "q.tsq")
        self.shell(when, *reply, "-out", "r.tsr", folder=authority)
        kept = self.airgap(when, *words, "--response", response)
        assert kept.returncode == 0, kept.stderr


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    missing = [name for name in ("faketime", "openssl") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    told = Story(tmp_path_factory.mktemp("years"))
    first = told.make_authority("first", "2026-12-01")
    second = told.make_authority("second", "2028-03-01")
    authorities = sorted(
        (
            TimestampAuthority(digest_authority((one / "ca.pem").read_bytes()))
            for one in (first, second)
        ),
        key=lambda one: one.certificate,
    )
    rules = SiteRules(timestamp_authorities=tuple(authorities))
    begun = 1_764_547_200  # 2025-12-01
    root = replace(make_root(builder=team("bob ben")), created_at=begun, rules=rules)
    fingerprint = write_root(told.top / "root.msgpack", root, "ann")
    since = 1_875_052_800  # 2029-06-02
    rules = replace(rules, revoked_since={BOB: since})
    later = replace(root, version=2, created_at=since, revoked_keys=(BOB,), rules=rules)
    write_root(told.top / "next.msgpack", later, "ann")
    stores.add_model(told.side, "ranker:v1", {"weights.bin": stores.noise(90_000)})
    key = write_key(told.top, "bob")
    exported = ("export", "--model", "ranker:v1", "-o", told.top / "depot", "--key", key)
    pinned = ("trust", "init", told.top / "root.msgpack", "--fingerprint", fingerprint)
    for words in (pinned, (*exported, "--include-root", told.top / "root.msgpack")):
        ran = told.airgap("2026-12-02", *words)
        assert ran.returncode == 0, ran.stderr
    told.stamp(first, "2026-12-03")
    told.stamp(second, "2028-03-02", "--renew", "--hash", "sha512")
    index = told.airgap("2028-03-02", "timestamp", told.top / "depot", "--index")
    assert index.returncode == 0, index.stderr
    told.stamp(second, "2028-03-02")
    updated = told.airgap("2029-06-03", "trust", "update", told.top / "next.msgpack")
    assert updated.returncode == 0, updated.stderr
    return told


def test_after_ten_years_it_was_authentic_then(story: Story) -> None:
    """The first certificate ended in 2027, the key was stolen in 2029, and it is 2036."""
    ran = story.airgap("2036-12-01", "verify", story.top / "depot", "--as-of", "2026-12-31")

    out = ran.stdout.decode()
    assert ran.returncode == 0, out
    assert "intact: yes" in out
    assert "authentic at 2026-12-31T23:59:59Z: yes" in out
    assert "current trust: NO (root version 2)" in out
    assert "had ended from 2027-12-0" in out


def test_before_its_stamp_and_after_the_theft_it_is_not(story: Story) -> None:
    early = story.airgap("2036-12-01", "verify", story.top / "depot", "--as-of", "2026-12-01")

    assert early.returncode == 11
    assert b"is proven only for" in early.stdout


def test_every_command_that_is_listed_is_true_to_openssl(story: Story) -> None:
    listed = story.airgap("2036-12-01", "timestamp", story.top / "depot").stdout.decode()
    commands = [line.strip() for line in listed.splitlines() if "openssl ts" in line]

    assert len(commands) == 3
    for command in commands:
        checked = story.shell("2036-12-01", "sh", "-c", command, folder=story.top / "depot")
        assert "Verification: OK" in checked
        without_time = re.sub(r"-attime \d+ ", "", command)
        with pytest.raises(AssertionError, match="certificate has expired"):
            story.shell("2036-12-01", "sh", "-c", without_time, folder=story.top / "depot")


def test_the_command_of_the_page_is_that_which_is_listed() -> None:
    shown = re.findall(
        r"openssl ts -verify -attime \d+ -data (\S+) \\\n +-in (\S+) -CAfile (\S+)", PAGE
    )

    assert shown == [
        (
            "bundles/ID/builder.KEY.dsse",
            "bundles/ID/builder.1.KEY.tsr",
            "bundles/ID/tsa.CERTIFICATE.pem",
        )
    ]
