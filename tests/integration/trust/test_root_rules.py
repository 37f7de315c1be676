"""Roots of format 2, as a person makes, changes and reads them (format §7.6)."""

import hashlib
import ssl
from pathlib import Path

import pytest

import airgap
from airgap.errors import UsageError
from airgap.flow.trust import ceremony_sheet
from airgap.flow.trust.ceremony_sheet import PAGE_LINES, PAGE_WIDTH
from airgap.flow.trust.roots import Proposal
from airgap.format import root as roots
from airgap.format import root_edits
from airgap.format.envelope import ROLES
from airgap.format.root import Key, RoleKeys, Root
from airgap.format.site_rules import Demand, SiteRules
from tests.servers.certificates import Authority
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


class Ceremony:
    """A site's root in three versions: every field of the records is added, changed, removed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.office, self.site = Side(folder / "office"), Side(folder / "site")
        for side in (self.office, self.site):
            side.top.mkdir()
        self.ann, self.bob, self.dan, ray, wit = (
            people.write_key(folder, name) for name in ("ann", "bob", "dan", "ray", "wit")
        )
        self.ray, self.wit = ray.with_suffix(".pub"), wit.with_suffix(".pub")
        self.certificate = Authority(folder, "tsa").file
        self.policy = folder / "licences.toml"
        self.policy.write_text("allow = []\n")

    def root(self, number: int) -> Path:
        return self.folder / f"root{number}.msgpack"

    def change(self, old: int, *changes: tuple[str | Path, ...]) -> list[str]:
        """Make the next version; return what a person is shown before signing."""
        new = self.root(old + 1)
        for number, (verb, *words) in enumerate(changes):
            where = (new,) if number else (self.root(old),)
            rest = () if number else ("-o", new)
            ran = self.office.run("root", verb, *where, *words, *rest)
            assert ran.code == 0, ran.err
        shown = self.office.run("root", "show", new, "--from", self.root(old))
        fingerprint = airgap.roots.read(new)["fingerprint"]
        sign = ("root", "sign", new, "--key", self.ann, "--fingerprint", fingerprint)
        assert self.office.run(*sign).code == 0
        updated = self.site.run("trust", "update", new)
        assert updated.code == 0, updated.err
        return shown.out.splitlines()


@pytest.fixture(scope="module")
def ceremony(tmp_path_factory: pytest.TempPathFactory) -> Ceremony:
    made = Ceremony(tmp_path_factory.mktemp("ceremony"))
    public = {name: getattr(made, name).with_suffix(".pub") for name in ("bob", "dan")}
    ran = made.office.run(
        *("root", "create", "--site", "east", "-o", made.root(1), "--json"),
        *("--root-key", made.ann, "--builder", public["bob"], "--approver", public["dan"]),
        *("--recipient", "age1zz9=escrow:Safe", "--authority", made.certificate),
        *("--policy", f"malware={made.policy}", "--receipt-approvals", "1", "--receipt-notes"),
    )
    assert ran.code == 0, ran.err
    pinned = ("--fingerprint", ran.json["fingerprint"])
    assert made.site.run("trust", "init", made.root(1), *pinned).code == 0
    return made


def test_what_records_need_is_in_a_root_from_its_first_version(ceremony: Ceremony) -> None:
    made = airgap.roots.read(ceremony.root(1))

    der = ssl.PEM_cert_to_DER_cert(ceremony.certificate.read_text())
    assert made["recipients"] == [{"recipient": "age1zz9", "label": "Safe", "purpose": "escrow"}]
    assert made["timestamp_authorities"] == [
        {"certificate": f"sha256:{hashlib.sha256(der).hexdigest()}", "from": None, "until": None}
    ]
    digest = hashlib.sha256(ceremony.policy.read_bytes()).hexdigest()
    assert made["policies"] == {"malware": f"sha256:{digest}"}
    assert made["receipts"] == {"approvals": 1, "notes": True}


def test_every_field_is_changed_and_removed_and_is_shown_before_it_is_signed(
    ceremony: Ceremony,
) -> None:
    added = ceremony.change(
        1,
        ("add-key", "recorder", ceremony.ray),
        ("add-key", "witness", ceremony.wit),
        ("name-key", ceremony.ray, "Gateway"),
        ("add-recipient", "age1zz9", "--label", "Safe 2", "--purpose", "escrow"),
        ("add-recipient", "age1qq9", "--label", "Ward"),
        ("add-authority", ceremony.certificate, "--until", "2030-01-01"),
        ("set-policy", "licence", ceremony.policy),
        ("set-receipts", "--no-notes"),
        ("demand", "licence", "--role", "approver"),
        ("limit-label", "class", "public"),
    )
    removed = ceremony.change(
        2,
        ("add-key", "recorder", people.write_key(ceremony.folder, "rex").with_suffix(".pub")),
        ("revoke-key", ceremony.ray, "--since", "2026-01-31"),
        ("set-threshold", "witness=0"),
        ("name-key", ceremony.ray, ""),
        ("remove-recipient", "Ward"),
        ("remove-authority", ceremony.certificate),
        ("set-policy", "licence", "--lift"),
        ("set-receipts", "--approvals", "0"),
        ("demand", "licence", "--threshold", "0"),
        ("limit-label", "class", "--lift"),
    )

    ray = person("ray").key.id
    since = "since version 1: "
    for line in (
        f"+ recorder key {ray}",
        f"+ key {ray} is Gateway",
        "+ rule: recipient (site) Ward: age1qq9",
        "- rule: recipient (escrow) Safe: age1zz9",
        "+ rule: receipts need 1 approvals, without free text",
        "+ rule: demands licence by 1 of approver",
        "+ rule: accepts label class: public",
    ):
        assert since + line in added
    assert any("rule: time-stamping authority" in line and "2030-01-01" in line for line in added)
    assert any("+ rule: policy licence sha256:" in line for line in added)
    for line in (f"+ revoked key {ray} since 2026-01-31", "- rule: recipient (site) Ward: age1qq9"):
        assert any(shown.startswith(f"since version 2: {line}") for shown in removed), removed
    assert not any(line.startswith("time-stamping authority") for line in removed)
    last = airgap.roots.read(ceremony.root(3))
    assert (last["timestamp_authorities"], last["receipts"]["approvals"]) == ([], 0)
    assert ceremony.site.run("trust", "show", "--json").json["version"] == 3


def test_the_python_api_makes_the_same_changes(ceremony: Ceremony, tmp_path: Path) -> None:
    roots_of = airgap.roots
    key = ceremony.ann.with_suffix(".pub")
    made = roots_of.create(
        tmp_path / "root.msgpack",
        site="west",
        root_keys=[key],
        builders=[ceremony.bob.with_suffix(".pub")],
        changes=[
            roots_of.add_recipient("age1zz9", "Ward", "gate"),
            roots_of.add_recipient("age1qq9", "Safe"),
            roots_of.remove_recipient("Safe"),
            roots_of.add_authority(ceremony.certificate, start=1),
            roots_of.set_policy("licence", ceremony.policy),
            roots_of.set_receipts(notes=True),
        ],
    )

    assert [one["label"] for one in made["recipients"]] == ["Ward"]
    (authority,) = made["timestamp_authorities"]
    digits = authority["certificate"].removeprefix("sha256:")[:8]
    changed = roots_of.change(
        tmp_path / "root.msgpack",
        roots_of.remove_authority(digits),
        roots_of.set_policy("licence", None),
    )
    assert (changed["timestamp_authorities"], changed["policies"]) == ([], {})


@pytest.mark.parametrize("content", [b"", b"x", b"-----BEGIN CERTIFICATE-----\n", b"two"])
def test_a_file_with_another_number_of_certificates_is_refused(
    content: bytes, ceremony: Ceremony, tmp_path: Path
) -> None:
    path = tmp_path / "certificate"
    path.write_bytes(2 * ceremony.certificate.read_bytes() if content == b"two" else content)

    with pytest.raises(UsageError, match="exactly one certificate"):
        airgap.roots.add_authority(path)


@pytest.mark.parametrize(
    "words",
    [
        ("add-recipient", "ssh-rsa", "--label", "x"),
        ("remove-recipient", "age1"),
        ("remove-authority", "00"),
        ("remove-authority", "0123456789"),
        ("set-policy", "licence"),
        ("set-receipts",),
    ],
)
def test_what_cannot_be_changed_is_refused(
    words: tuple[str, ...], ceremony: Ceremony, tmp_path: Path
) -> None:
    verb, *rest = words
    next_root = tmp_path / "next.msgpack"
    ran = ceremony.office.run("root", verb, ceremony.root(1), *rest, "-o", next_root)

    assert ran.code == 2, ran.err
    assert not next_root.exists()
