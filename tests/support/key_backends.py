"""What tests of keys share: a site for any builder's key, and its way across the gap."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap.flow.ledger.record import EventRecord, record_event
from tests.support import sides
from tests.support.sides import Ran, Side, Site


def airgap(*arguments: str | Path) -> Ran:
    """Run a command that needs neither stores nor state."""
    return sides.run_cli(arguments, {"AIRGAP_HOME": "/nonexistent"})


def site_for(folder: Path, keys: Sequence[str | Path]) -> Site:
    """Make a root in which each of these keys (paths or addresses) is a builder; all must sign."""
    sides.make_site(folder)
    options: list[str | Path] = []
    for number, key in enumerate(keys):
        public = folder / f"public{number}.pub"
        ran = airgap("key", "export-public", key, "-o", public)
        assert ran.code == 0, ran.err
        options += ["--builder", public]
    (folder / "own").mkdir(exist_ok=True)
    options += ["--threshold", f"builder={len(keys)}", "-o", folder / "own" / "root.msgpack"]
    root_key = ("--root-key", folder / "site.key")
    ran = airgap("root", "create", "--site", "ward", *root_key, *options, "--json")
    return Site(folder / "own", ran.json["fingerprint"], len(keys))


def carry(connected: Side, isolated: Side, key: str | Path) -> None:
    """Export ``shop:v1`` signed with a key that a fresh root names, and verify it beyond."""
    site = site_for(connected.top.parent / "site", [key])
    sides.trust(isolated, site)
    depot = connected.top.parent / "depot"

    exported = connected.run("export", "shop:v1", "-o", depot, "--key", key)
    verified = isolated.run("verify", depot)

    assert exported.code == 0, exported.err
    assert verified.code == 0, verified.err


def record(side: Side, key: str | Path, *options: str | Path) -> None:
    """Sign a checkpoint as a recorder and as a witness, and verify both with the public half."""
    public, request = side.top / "recorder.pub", side.top / "request"
    ran = airgap("key", "export-public", key, "-o", public)
    assert ran.code == 0, ran.err
    with side.here():
        record_event("any", "exporting", EventRecord("checked", bundle=b"\x77" * 32))
    mine = ("--exports", "--site", "any", "--key", key, *options)
    made = side.run("ledger", "consistency", "0", "-o", request, *mine)
    assert made.code == 0, made.err
    theirs = ("--recorder", public)
    words = ("--name", "audit.example/laptop", "-o", side.top / "cosigned", "--key", key, *options)
    cosigned = side.run("ledger", "cosign", request, *words, *theirs)
    assert cosigned.code == 0, cosigned.err
    shown = side.run("ledger", "verify", side.top / "cosigned", *theirs, "--json")
    assert shown.code == 0, shown.err
    assert shown.json["checkpoint"]["entries"] == 2


def bare_side(top: Path) -> Side:
    """A side that trusts nobody."""
    top.mkdir()
    return Side(top)


def run(*command: str | Path) -> str:
    """Run a program that must succeed; return what it prints."""
    return subprocess.run(
        list(map(str, command)), check=True, capture_output=True, text=True, timeout=120
    ).stdout


@dataclass(frozen=True)
class Agent:
    """A real ssh-agent that the environment names."""

    folder: Path

    def add(self, name: str, *kind: str) -> str:
        """Put a new key into the agent; return the fingerprint that ``ssh-add -l`` shows."""
        path = self.folder / name
        run("ssh-keygen", "-q", *kind, "-N", "", "-C", name, "-f", path)
        run("ssh-add", "-q", path)
        path.unlink()  # from here on only the agent has it
        return run("ssh-keygen", "-l", "-f", f"{path}.pub").split()[1]

    def remove(self, name: str) -> None:
        run("ssh-add", "-q", "-d", self.folder / name)
