"""Eight processes check one archive in Ceph's object store; one of them is killed half way."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airgap.errors import CorruptError
from airgap.format.shard import Shard
from tests.servers import rgw
from tests.servers.s3 import BUCKET, S3Server
from tests.support.archives import kill_after, list_files
from tests.support.recorded_site import RecordedSite, make_recorded_site
from tests.support.sides import Ran, run_cli

pytestmark = pytest.mark.servers

SHARDS = 8
BUNDLES = 64
KILLED = 3
"""The shard whose process is killed."""
FOLDER = "vault"
ARCHIVE = f"s3://{BUCKET}/{FOLDER}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with rgw.serve(tmp_path_factory.mktemp("rgw")) as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> RecordedSite:
    return make_recorded_site(tmp_path_factory.mktemp("shards"))


def list_packs(files: dict[str, bytes], shard: Shard) -> list[str]:
    """Return the names of the packs of a shard."""
    packs = [name for name in sorted(files) if name.startswith("packs/")]
    return [name for name in packs if shard.takes(bytes.fromhex(Path(name).stem))]


class Scheduler:
    """Starts a process for each shard of an archive, as a job of Kubernetes would."""

    def __init__(self, site: RecordedSite, server: S3Server, top: Path) -> None:
        self.site = site
        self.results = [top / f"{number}.json" for number in range(1, SHARDS + 1)]
        self.variables = {
            "AWS_ACCESS_KEY_ID": server.keys.identity,
            "AWS_SECRET_ACCESS_KEY": server.keys.secret,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
        }

    def name(self, number: int) -> list[str]:
        """Return the command line of a shard."""
        shard = ["--shard", f"{number}/{SHARDS}", "--sign", str(self.site.key()), "--json"]
        return ["archive", "check", ARCHIVE, *shard, "-o", str(self.results[number - 1])]

    def start(self, number: int) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "airgap", *self.name(number)],
            env={**os.environ, **self.site.environment, **self.variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run_all(self, bad: int) -> dict[int, dict[str, Any]]:
        """Run all shards side by side, of which one is killed and run again; return what they say.

        All succeed but the one that finds the ``bad`` pack.
        """
        others = [number for number in range(1, SHARDS + 1) if number != KILLED]
        processes = {number: self.start(number) for number in others}
        kill_after(self.site, 3, *self.name(KILLED), variables=self.variables)
        processes[KILLED] = self.start(KILLED)
        found: dict[int, dict[str, Any]] = {}
        for number, process in processes.items():
            out, err = process.communicate(timeout=120)
            assert process.returncode == (CorruptError.exit_code if number == bad else 0), err
            found[number] = json.loads(out)
        return found

    def run(self, *words: str | Path) -> Ran:
        return run_cli(words, {**self.site.environment, **self.variables})


def test_eight_processes_check_one_archive_and_one_is_killed(
    server: S3Server, site: RecordedSite, tmp_path: Path
) -> None:
    files = list_files(site, BUNDLES)
    bad = list_packs(files, Shard(5, SHARDS))[0]
    for name, data in files.items():
        server.plant(FOLDER, name, bytes([data[0] ^ 1]) + data[1:] if name == bad else data)
    scheduler = Scheduler(site, server, tmp_path)

    found = scheduler.run_all(bad=5)

    assert found[KILLED]["packs_read_before"] == 3
    assert {n: one["packs"] for n, one in found.items()} == {
        n: len(list_packs(files, Shard(n, SHARDS))) for n in found
    }
    assert [n for n, one in found.items() if one["result"] == "FAILED"] == [5]
    assert [one["name"] for one in found[5]["problems"]] == [bad]
    signing = ("--sign", site.key())
    words: tuple[str | Path, ...] = (*scheduler.results, "--archive", ARCHIVE, *signing, "--json")
    merged = scheduler.run("archive", "merge", *words)
    assert merged.code == CorruptError.exit_code, merged.err
    assert (merged.json["packs"], merged.json["packs_read"]) == (BUNDLES, BUNDLES)
    assert [one["name"] for one in merged.json["problems"]] == [bad]
    assert len(merged.json["shards"]) == SHARDS
    server.plant(FOLDER, bad, files[bad])
    again = scheduler.run("archive", "check", ARCHIVE, "--older-than", "1d", *signing)
    assert "PASSED: 64 bundles, 1 of 64 packs" in again.out  # the only one that was not good
