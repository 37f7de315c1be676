"""Mirrors of depots, and what tests put into those."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from airgap.flow.location.connector import LOCAL
from airgap.flow.location.location import parse_depot
from airgap.flow.serving.mirror import Mirror, open_mirror
from airgap.server.mirror.server import ClientTerms, MirrorServer, open_server
from tests.support import forge
from tests.support.sides import Side, Site, unmeasured_environment

_OPEN = ClientTerms()


@contextmanager
def serving(side: Side, depot: Path) -> Iterator[Mirror]:
    """Open a mirror on a side; it has examined the depot."""
    with side.here(), open_mirror(parse_depot(str(depot))) as mirror:
        mirror.keep_up()
        yield mirror


def tags(mirror: Mirror, kind: str) -> list[str]:
    return [item.tag for item in mirror.list_items(kind)]


def export(side: Side, depot: Path, site: Site, *arguments: str | Path) -> str:
    """Export into a depot; return the bundle's id."""
    ran = side.run("export", *arguments, "-o", depot, "--key", site.key(), "--json")
    assert ran.code == 0, ran.err
    bundle = ran.json["bundle"]
    assert isinstance(bundle, str)
    return bundle


def find_pack(depot: Path) -> Path:
    """Return the largest pack of a depot."""
    packs = [path for path in (depot / "packs").rglob("*") if path.is_file()]
    return max(packs, key=lambda path: path.stat().st_size)


def flip_byte(path: Path, at: int = -1) -> None:
    """Change one byte of a file, in place."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def revoke_bundle(side: Side, site: Site, bundle: str, proposal: Path) -> None:
    """Write the next root, signed, which revokes a bundle."""
    edit = side.run("root", "revoke-bundle", site.root, bundle, "-o", proposal)
    assert edit.code == 0, edit.err
    shown = side.run("root", "show", proposal, "--json")
    key = site.folder / "site.key"
    pinned = ("--fingerprint", shown.json["fingerprint"], "--key", key)
    sign = side.run("root", "sign", proposal, *pinned)
    assert sign.code == 0, sign.err


@dataclass(frozen=True)
class RunningMirror:
    """A mirror that answers on the loopback; ``lines`` is what it told people."""

    url: str
    lines: list[str]
    server: MirrorServer


@contextmanager
def running(side: Side, depot: Path, terms: ClientTerms = _OPEN) -> Iterator[RunningMirror]:
    """Run a mirror on a side, in a thread; it has examined the depot."""
    lines: list[str] = []
    location, listen = parse_depot(str(depot)), ("127.0.0.1", 0)
    with side.here(), open_server(location, LOCAL, listen, terms, lines.append) as server:
        server.examine()
        thread = Thread(target=server.serve)
        thread.start()
        try:
            yield RunningMirror(server.url, lines, server)
        finally:
            server.stop()
            thread.join(60)
            assert not thread.is_alive()


def run_bentoml(
    home: Path,
    mirror: RunningMirror,
    *words: str,
    token: str = "any",  # noqa: S107
) -> subprocess.CompletedProcess[str]:
    """Run stock bentoml with a store of its own, against a mirror."""
    environment = {
        **unmeasured_environment(),
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True",
        "COLUMNS": "200",
        "BENTO_CLOUD_API_ENDPOINT": mirror.url,
        "BENTO_CLOUD_API_KEY": token,
    }
    environment.pop("AIRGAP_HOME", None)
    return subprocess.run(
        [sys.executable, "-m", "bentoml", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def read_files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def forge_depot(folder: Path, site: Site, *items: forge.Item) -> Path:
    """Write a depot with a bundle of items that are written by hand, signed by the builder."""
    draft = forge.draft(*items, reader=2)
    raw = draft.raw()
    signed = forge.sign(raw, forge.load_signer(site.key()))
    return forge.write_depot(folder, forge.members(raw, signed, draft.packs))
