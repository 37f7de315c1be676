"""Roots of format 2, as a person makes, changes and reads them (format §7.6)."""

from pathlib import Path

from airgap.flow.trust import ceremony_sheet
from airgap.flow.trust.ceremony_sheet import PAGE_LINES, PAGE_WIDTH
from airgap.flow.trust.roots import Proposal
from airgap.format import root as roots
from airgap.format import root_edits
from airgap.format.envelope import ROLES
from airgap.format.root import Key, RoleKeys, Root
from airgap.format.site_rules import Demand, SiteRules
from tests.support import signers as people
from tests.support.sides import Side
from tests.support.signers import person


def test_a_root_is_created_with_its_rules(connected: Side, tmp_path: Path) -> None:
    keys = {name: people.write_key(tmp_path, name) for name in ("ann", "bob", "sam", "ray")}
    public = {name: key.with_suffix(".pub") for name, key in keys.items()}

    ran = connected.run(
        *("root", "create", "--site", "ward", "-o", tmp_path / "root.msgpack", "--json"),
        *("--root-key", keys["ann"], "--builder", public["bob"], "--scanner", public["sam"]),
        *("--recorder", public["ray"], "--demand", "licence=scanner:1:30d", "--forbid", "http"),
        *("--label", "class=public,internal", "--label", "project", "--trust-anchor", "ca"),
        *("--person", f"{public['sam']}=Scan server"),
    )

    assert ran.code == 0, ran.err
    sam = person("sam").key.id
    assert ran.json["format"] == 2
    assert ran.json["demands"] == [
        {"name": "malware", "role": "scanner", "threshold": 1, "max_age": None},
        {"name": "licence", "role": "scanner", "threshold": 1, "max_age": 30 * 86_400},
    ]
    assert ran.json["forbidden_options"] == ["http"]
    assert ran.json["labels"]["class"] == {"values": ["internal", "public"], "required": False}
    assert ran.json["labels"]["project"] == {"values": None, "required": False}
    assert (ran.json["trust_anchors"], ran.json["people"]) == (["ca"], {sam: "Scan server"})
    assert ran.json["roles"]["recorder"]["keys"] == [person("ray").key.id]


def test_a_site_of_format_1_adopts_format_2_and_shows_it(connected: Side, tmp_path: Path) -> None:
    """Commands change a proposal; trust update and trust show tell people what is new."""
    ann, bob, sam = (people.write_key(tmp_path, name) for name in ("ann", "bob", "sam"))
    first, second = tmp_path / "root.msgpack", tmp_path / "root-2.msgpack"
    made = connected.run(
        *("root", "create", "--site", "west", "--root-key", ann, "-o", first, "--json"),
        *("--builder", bob.with_suffix(".pub"), "--scanner", sam.with_suffix(".pub")),
    )
    assert (made.code, made.json["format"]) == (0, 1)
    side = Side(tmp_path / "west")
    side.top.mkdir()
    fingerprint = made.json["fingerprint"]
    assert side.run("trust", "init", first, "--fingerprint", fingerprint).code == 0

    for words in (
        ("forbid", first, "allow-unsigned", "-o", second),
        ("demand", second, "rehearsal", "--role", "scanner", "--max-age", "30d"),
        ("limit-label", second, "class", "public", "--required"),
        ("limit-anchors", second, "ca"),
        ("name-key", second, sam.with_suffix(".pub"), "Scan server"),
    ):
        ran = connected.run("root", *words)
        assert ran.code == 0, ran.err
    proposal = connected.run("root", "show", second, "--json").json
    pinned = ("--fingerprint", proposal["fingerprint"])
    assert connected.run("root", "sign", second, "--key", ann, *pinned).code == 0
    updated = side.run("trust", "update", second)

    assert updated.code == 0, updated.err
    shown = side.run("trust", "show").out
    for line in (
        "demands rehearsal by 1 of scanner, of the last 30 days",
        "forbids insecure-allow-unsigned",
        "accepts label class: public; required",
        "options that may recognize servers: ca",
    ):
        assert line in shown.splitlines()
        assert f"+ rule: {line}" in updated.out.splitlines()
    assert f"  {person('sam').key.id}  ed25519  Scan server" in shown.splitlines()


def test_a_page_of_paper_holds_a_root_with_every_role_and_rule() -> None:
    keys = tuple(sorted((Key(bytes([n]), "ed25519") for n in range(30)), key=lambda key: key.id))
    for count in range(6, 31):
        ids = [key.id for key in keys[:count]]
        roles = {role: RoleKeys((key_id,), 1) for role, key_id in zip(ROLES, ids, strict=False)}
        roles["builder"] = RoleKeys(tuple(sorted((ids[1], *ids[6:]))), 1)
        rules = SiteRules((Demand("licence", "scanner", 1),), ("allow-unsigned", "http"))
        root = Root("ward", 2, keys[:count], roles, {}, created_at=7, rules=rules)
        raw = roots.encode(root_edits.validate(root))

        lines = ceremony_sheet.render_sheet(Proposal(Path("r"), root, raw, (), ()))

        assert len(lines) <= PAGE_LINES
        assert max(map(len, lines)) <= PAGE_WIDTH
        assert any(line.startswith("demands     licence") for line in lines)


def test_copies_keep_attestations_under_their_names(small: Side, tmp_path: Path) -> None:
    """In a depot, in a file and back, on volumes, and as `get` and `inspect` show them."""
    bob, sam = (people.write_key(tmp_path, name) for name in ("bob", "sam"))
    depot, file, again = tmp_path / "depot", tmp_path / "shop.airgap", tmp_path / "again"
    assert small.run("export", "shop:v1", "-o", depot, "--key", bob).code == 0
    for words in ((), ("--name", "licence"), ("--name", "rehearsal", "--reject")):
        assert small.run("approve", depot, "--key", sam, *words).code == 0

    assert small.run("copy", depot, file).code == 0
    assert small.run("copy", file, again).code == 0
    size = ("--volume-size", "100M")
    assert small.run("split", depot, "-o", tmp_path / "volumes", *size).code == 0

    (volume,) = (tmp_path / "volumes").iterdir()
    key_id = person("sam").key.id
    names = {
        f"approver{name}.{key_id}.{suffix}"
        for name in ("", ".licence", ".rehearsal")
        for suffix in ("attestation", "dsse")
    }
    for top in (depot, again, volume):
        assert names == {path.name for path in top.glob("bundles/*/approver.*")}
    for shown in (small.run("get", "shop:v1", again).out, small.run("inspect", file).out):
        lines = shown.splitlines()
        for title in ("accepted by approver (licence)", "rejected by approver (rehearsal)"):
            assert lines[lines.index(f"claims to be {title}") + 1] == f"  {key_id}"
