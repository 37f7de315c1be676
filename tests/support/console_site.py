"""A site with builders, approvers and strangers, and a depot that has bundles of each standing."""

from dataclasses import dataclass
from pathlib import Path

from tests.support import sides, stores
from tests.support.mirrors import export
from tests.support.sides import Side, Site, run_cli

MARKED = "<img src=x onerror=alert(1)>"
"""A name that would be an element, if a page took it as it is."""


@dataclass(frozen=True)
class ConsoleSite:
    """The side that serves, its depot, and the ids of its bundles."""

    folder: Path
    side: Side
    depot: Path
    served: str
    newer: str
    waiting: str
    refused: str


def make_console_site(top: Path) -> ConsoleSite:
    """Make it: ``shop:v1`` and ``v2`` are served, ``triage:v7`` waits, a stranger's is refused."""
    site = _make_site(top / "site")
    connected, side = Side(top / "connected"), Side(top / "isolated")
    for one in (connected, side):
        one.top.mkdir()
    sides.trust(side, site)
    depot = top / "depot"
    stores.add_model(connected, "ranker:v1", {"weights.bin": stores.noise(300_000)})
    stores.add_bento(connected, "shop:v1", {"src/service.py": b"pass\n"}, models=["ranker:v1"])
    served = export(connected, depot, site, "shop:v1", "--channel", "production")
    stores.add_bento(connected, "shop:v2", {"src/service.py": b"pass \n"}, models=["ranker:v1"])
    newer = export(connected, depot, site, "shop:v2", "--channel", "production")
    stores.add_bento(connected, "triage:v7", {"src/a.py": b"1\n"})
    waiting = export(connected, depot, site, "triage:v7", "--channel", "production")
    stores.add_bento(connected, "helper:v1", {"src/b.py": b"2\n"})
    strangers = sides.make_site(top / "strangers")
    refused = export(connected, depot, strangers, "helper:v1")
    for bundle in (served, newer):
        approve(top, f"{depot}#{bundle}", site)
    return ConsoleSite(top, side, depot, served, newer, waiting, refused)


def approve(top: Path, bundle: str, site: Site) -> None:
    """Let the approver accept a bundle."""
    approver = Side(top / "approver")
    if not approver.top.exists():
        approver.top.mkdir()
        sides.trust(approver, site)
    note = ("--note", f"seen {MARKED}")
    ran = approver.run("approve", bundle, "--key", site.folder / "carol.key", *note)
    assert ran.code == 0, ran.err


def _make_site(folder: Path) -> Site:
    nobody = {"AIRGAP_HOME": str(folder / "nobody")}
    for name in ("site", "builder1", "carol", "dave"):
        made = run_cli(["key", "generate", name, "--dir", folder, "--no-passphrase"], nobody)
        assert made.code == 0, made.err
    words: list[str | Path] = ["root", "create", "--site", "ward"]
    words += ["--root-key", folder / "site.key", "--builder", folder / "builder1.pub"]
    words += ["--approver", folder / "carol.pub", "--approver", folder / "dave.pub"]
    for file, person in (("builder1", "Anna"), ("carol", f"Carol {MARKED}"), ("dave", "Dave")):
        words += ["--person", f"{folder / file}.pub={person}"]
    ran = run_cli([*words, "-o", folder / "root.msgpack", "--json"], nobody)
    assert ran.code == 0, ran.err
    return Site(folder, ran.json["fingerprint"], 1)
