"""A site that keeps an archive: bundles, people with keys, a policy, and a clock of its own."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airgap.format import intoto
from airgap.format.archive import ArchiveRecord, record_name
from airgap.format.root import Root
from airgap.format.site_rules import ReceiptRules
from airgap.signing.records import sign_record
from tests.support import stores
from tests.support.sides import Ran, Side
from tests.support.signers import make_root, person, pin, team, write_key

POLICY = """\
format = 1

[classes.high-risk]
keep = "10y"
check = "90d"
copies = 2

[classes.logs]
keep = "180d"
check = "30d"
copies = 1
"""
SAME = stores.noise(60_000)
FILES = {"same.bin": SAME, "own.bin": b"old"}
PEOPLE = ("ann", "bob", "ray", "dan", "eve", "mal")


@dataclass(frozen=True)
class ArchiveSite:
    """A machine of the site ``ward``: ``bob`` builds, ``ray`` records, ``dan`` and ``eve`` approve.

    ``mal`` has a key that no root names.
    """

    top: Path
    side: Side
    root: Root

    @property
    def archive(self) -> Path:
        return self.top / "archive"

    @property
    def policy(self) -> Path:
        return self.top / "archive.toml"

    def key(self, name: str) -> Path:
        return self.top / "keys" / f"{name}.key"

    def export(
        self, version: str, files: Mapping[str, bytes] = FILES, *options: str | Path
    ) -> Path:
        """Export a model's version into a depot of its own."""
        stores.add_model(self.side, f"ranker:{version}", files)
        depot = self.top / f"depot-{version}"
        ran = self.side.run(
            *("export", "--model", f"ranker:{version}", "-o", depot, "--channel", "nightly"),
            *("--audience", "ward", "--key", self.key("bob"), *options),
        )
        assert ran.code == 0, ran.err
        return depot

    def run(self, *words: str | Path) -> Ran:
        """Run ``airgap archive``."""
        return self.side.run("archive", *words)

    def add(self, *words: str | Path, key: str = "ray", name: str = "high-risk") -> Ran:
        """Run ``airgap archive add``."""
        options = ("--class", name, "--policy", self.policy, "--key", self.key(key), "--json")
        return self.run("add", *words, *options)

    def add_whole(self, *words: str | Path, name: str = "high-risk") -> str:
        """Add one bundle, which must succeed; return its id."""
        ran = self.add(*words, name=name)
        assert ran.code == 0, ran.err
        (bundle,) = ran.json["bundles"]
        return str(bundle["bundle"])

    def show(self, bundle: str) -> dict[str, Any]:
        ran = self.run("show", f"{self.archive}#{bundle}", "--json")
        return ran.json

    def list_records(self) -> list[Path]:
        return sorted((self.archive / "archive/records").iterdir())

    def read_record(self, path: Path) -> dict[str, Any]:
        payload = intoto.decode_envelope(path.read_bytes(), "record", 1 << 21).payload
        value: dict[str, Any] = json.loads(payload)["predicate"]
        return value

    def plant(self, record: ArchiveRecord, *names: str) -> Path:
        """Put a record that these people signed into the archive, as anybody who can write may."""
        envelope = sign_record(record, person(names[0]))
        for name in names[1:]:
            signature = person(name).sign("statement", envelope.payload)
            envelope = replace(envelope, signatures=(*envelope.signatures, signature))
        raw = intoto.encode_envelope(envelope)
        path = self.archive / record_name(record.bundle, raw)
        path.write_bytes(raw)
        return path


def make_archive_site(top: Path, *, approvers: int = 2, named: str = "dan eve") -> ArchiveSite:
    """Make a site; ``approvers`` is how many must sign a release, 0: none."""
    root = make_root(recorder=team("ray"), approver=team(named, max(approvers, 1)))
    roles = {**root.roles, "approver": replace(root.roles["approver"], threshold=approvers)}
    rules = replace(root.rules, receipts=ReceiptRules())
    root = replace(root, rules=rules, roles=roles, created_at=int(time.time()) - 1000)
    side = Side(top / "vault")
    side.bentoml.mkdir(parents=True)
    for name in PEOPLE:
        write_key(top / "keys", name)
    pin(side, root)
    (top / "archive.toml").write_text(POLICY)
    return ArchiveSite(top, side, root)


@contextmanager
def clock_at(moment: str) -> Iterator[int]:
    """Let the clock of this process stand at a moment, such as ``2036-01-01``."""
    seconds = int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: float(seconds))
        yield seconds
