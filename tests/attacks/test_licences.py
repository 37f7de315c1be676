"""Licences that strangers state, and policies: nothing is installed that a policy refuses."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.errors import ConfigurationError, PolicyError
from airgap.flow.importing import licence_check
from tests.support import bill_items, stores
from tests.support import signers as people
from tests.support.bill_items import COMMIT, LICENCE_TEXTS
from tests.support.refusals import expect_refusal
from tests.support.sides import Ran, Side, Site
from tests.support.signers import make_root, team

POLICY = """\
allow = ["Apache-2.0", "MIT"]
review = ["llama3.1"]
unknown = "refuse"
kinds = ["hugging-face"]
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "licences.toml"
    path.write_text(POLICY)
    return path


@pytest.fixture
def export(connected: Side, site: Site, tmp_path: Path) -> "Export":
    return Export(connected, site, tmp_path)


class Export:
    """Exports a Bento with one snapshot that has these files."""

    def __init__(self, side: Side, site: Site, folder: Path) -> None:
        self.side, self.site, self.folder = side, site, folder

    def __call__(self, files: Mapping[str, bytes], *options: str, to: str = "depot") -> Path:
        stores.add_snapshot(self.side, "org/model", COMMIT, {**files, "w.bin": b"w" * 99})
        entry = stores.hugging_face_entry("org/model", COMMIT)
        stores.add_bento(self.side, "shop:v1", {"src/a.py": b"pass\n"}, models=[entry])
        made = self.folder / to
        ran = self.side.run("export", "shop:v1", "-o", made, "--key", self.site.key(), *options)
        assert ran.code == 0, ran.err
        return made


@pytest.fixture
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let packs in local folders not be read ahead: the staged items decide."""
    monkeypatch.setattr(licence_check.LicenceCheck, "look_ahead", lambda *_: None)


def refuse(side: Side, location: Path, policy: Path) -> str:
    ran = expect_refusal(side, "import", location, "--license-policy", policy, error=PolicyError)
    error = ran.json["error"]
    return " ".join([error["message"], *error.get("details", [])])


ALIASES = b"---\nlicense: &a mit\nlicense_name: *a\n---\n"
MANY_KEYS = b"---\n" + b"".join(b"k%d: 1\n" % number for number in range(60_000)) + b"---\n"
CARDS = {
    "aliases": (ALIASES, "anchor or an alias"),
    "a tag": (b"---\nlicense: !!python/name:os.system mit\n---\n", "has the tag"),
    "a merge": (b"---\n<<: {license: mit}\n---\n", "merge key"),
    "a key twice": (b"---\nlicense: gemma\nlicense: mit\n---\n", "twice"),
    "very many keys": (MANY_KEYS, "more than 50,000 values"),
    "very deep lists": (b"---\nlicense: " + b"[" * 500 + b"mit\n---\n", "100 levels"),
    "no end": (b"---\nlicense: mit\n" + b"#" * 1_100_000 + b"\n---\n", "no end within"),
    "a map for a licence": (b"---\nlicense: {mit: mit}\n---\n", "states no licence"),
    "a number": (b"---\nlicense: 7\n---\n", "7"),
    "nothing": (b"# A model under the MIT licence\n", "states no licence"),
    "unknown": (b"---\nlicense: unknown\n---\n", "'unknown'"),
    "a look-alike": ("---\nlicense: \uff2dIT\n---\n".encode(), "\uff2dIT"),
}


@pytest.mark.parametrize("name", CARDS)
def test_a_hostile_card_is_never_allowed(
    name: str, export: Export, isolated: Side, policy: Path
) -> None:
    card, reason = CARDS[name]

    assert reason in refuse(isolated, export({"README.md": card}), policy)


def test_a_licence_of_terminal_escapes_prints_none(
    export: Export, isolated: Side, policy: Path
) -> None:
    card = b'---\nlicense: "\\e[2Jmit\\u202e"\n---\n'
    depot = export({"README.md": card, "LICENSE": b"\x1b[2J\x1b]0;title\x07MIT"})
    texts = [refuse(isolated, depot, policy)]
    texts += [
        ran.out + ran.err
        for ran in (
            isolated.run("licenses", depot, "--policy", policy),
            isolated.run("licenses", depot, "--policy", policy, "--json"),
            isolated.run("bom", depot),
        )
    ]

    assert all("\\x1b[2Jmit" in text for text in texts)
    for text in texts:
        assert not {"\x1b", "\u202e", "\x07"}.intersection(text)


@pytest.mark.parametrize("text", ["", "unknown = 'allow'", "allow = ['MIT']", "[", "\ud800"])
def test_a_policy_that_cannot_be_used_stops_the_import(
    text: str, export: Export, isolated: Side, policy: Path
) -> None:
    depot = export({"README.md": bill_items.card(license="mit")})
    policy.write_bytes(text.encode(errors="surrogatepass"))

    expect_refusal(isolated, "import", depot, "--license-policy", policy, error=ConfigurationError)


@pytest.mark.parametrize("command", ["import", "export", "licenses"])
def test_a_policy_that_is_not_there_stops_each_command(
    command: str, export: Export, site: Site, isolated: Side, tmp_path: Path
) -> None:
    depot = export({"README.md": bill_items.card(license="mit")})
    absent = tmp_path / "absent.toml"
    ran = {
        "import": lambda: isolated.run("import", depot, "--license-policy", absent),
        "export": lambda: export.side.run(
            *("export", "shop:v1", "-o", tmp_path / "new", "--key", site.key()),
            *("--license-policy", absent),
        ),
        "licenses": lambda: isolated.run("licenses", depot, "--policy", absent),
    }[command]()

    assert ran.code == ConfigurationError.exit_code
    assert not (tmp_path / "new").exists()


def test_a_card_that_differs_from_the_licence_file_needs_a_person(
    export: Export, isolated: Side, policy: Path
) -> None:
    card = bill_items.card(license="mit")
    depot = export({"README.md": card, "LICENSE": b"You may not use this.\n"})

    assert "LICENSE is another text" in refuse(isolated, depot, policy)


def test_a_text_that_a_policy_refuses_is_refused_whatever_the_card_says(
    export: Export, isolated: Side, policy: Path
) -> None:
    card = bill_items.card(license="mit")
    depot = export({"README.md": card, "LICENSE": LICENCE_TEXTS["CC-BY-NC-4.0"]})

    assert "CC-BY-NC-4.0 (LICENSE)" in refuse(isolated, depot, policy)


def test_a_licence_in_the_weights_counts_beside_that_of_the_card(
    export: Export, isolated: Side, policy: Path
) -> None:
    card = bill_items.card(license="mit")
    weights = bill_items.gguf({"general.license": "gemma"})

    reason = refuse(isolated, export({"README.md": card, "m.gguf": weights}), policy)

    assert "gemma (m.gguf: general.license)" in reason


def test_an_exception_that_has_ended_permits_nothing(
    export: Export, isolated: Side, policy: Path
) -> None:
    depot = export({"README.md": bill_items.card(license="gemma")})
    exception = '[[exceptions]]\nitem = "hugging-face org--model"\nreason = "trial"\nuntil = {}\n'
    policy.write_text(POLICY + exception.format("2020-01-01"))

    assert "gemma" in refuse(isolated, depot, policy)
    listed = isolated.run("licenses", depot, "--policy", policy)
    assert listed.code == PolicyError.exit_code
    assert "the exception for hugging-face org--model ended on 2020-01-01: trial" in listed.out
    policy.write_text(POLICY + exception.format("2999-01-01"))
    ran = isolated.run("import", depot, "--license-policy", policy)
    assert ran.code == 0, ran.err
    assert "exception: trial" in ran.err


@pytest.mark.usefixtures("prompt")
@pytest.mark.parametrize("to", ["depot", "shop.airgap", "shop.bento"])
def test_what_is_staged_is_refused_and_removed(
    to: str, export: Export, isolated: Side, policy: Path
) -> None:
    location = export({"README.md": bill_items.card(license="gemma")}, to=to)

    assert "gemma" in refuse(isolated, location, policy)
    assert not list(isolated.top.rglob("staging"))


def test_what_comes_by_a_pipe_is_refused(export: Export, isolated: Side, policy: Path) -> None:
    archive = export({"README.md": bill_items.card(license="gemma")}, to="shop.airgap")
    before = stores.snapshot(isolated.bentoml) if isolated.bentoml.exists() else {}

    ran = isolated.process("import", "-", "--license-policy", policy, stdin=archive.read_bytes())

    assert ran.returncode == PolicyError.exit_code
    assert not list(isolated.top.rglob("staging"))
    assert not list(isolated.bentoml.glob("bentos/*")) or before


def test_what_nobody_signed_is_judged_too(export: Export, isolated: Side, policy: Path) -> None:
    archive = export({"src": b""}, to="shop.bento")
    policy.write_text('unknown = "refuse"\n')
    for path in archive.parent.glob("shop.bento.*"):
        path.unlink()
    options = ("--insecure-allow-unsigned", "--license-policy", policy)

    expect_refusal(isolated, "import", archive, *options, error=PolicyError)
    assert not list(isolated.top.rglob("staging"))


def test_what_is_installed_already_is_judged_too(
    export: Export, isolated: Side, policy: Path
) -> None:
    depot = export({"README.md": bill_items.card(license="gemma")})
    assert isolated.run("import", depot).code == 0

    assert "gemma" in refuse(isolated, depot, policy)
    ran = isolated.run("licenses", "--installed", "--policy", policy)
    assert ran.code == PolicyError.exit_code
    assert "refused: hugging-face org--model" in ran.out


def import_(side: Side, location: Path, policy: Path) -> Ran:
    return side.run("import", location, "--license-policy", policy, "--json")


def test_the_ledger_names_the_policy_and_the_decision(
    export: Export, isolated: Side, policy: Path
) -> None:
    refused = export({"README.md": bill_items.card(license="gemma")}, to="refused")
    assert import_(isolated, refused, policy).code == PolicyError.exit_code
    (entry,) = [
        entry
        for entry in isolated.run("log", "--json").json["entries"]
        if entry["event"] == "refused"
    ]
    assert sorted(entry["documents"]) == ["licences", "policy"]

    policy.write_text(POLICY.replace("MIT", "gemma"))
    assert import_(isolated, refused, policy).code == 0
    imported = isolated.run("log", "--json").json["entries"]
    assert {"imported", "refused"} <= {entry["event"] for entry in imported}
    last = next(entry for entry in imported if entry["event"] == "imported")
    assert last["documents"]["policy"] != entry["documents"]["policy"]


@pytest.fixture
def reviewed(export: Export, tmp_path: Path) -> "Reviewed":
    return Reviewed(export({"README.md": bill_items.card(license="llama3.1")}), tmp_path / "keys")


class Reviewed:
    """A bundle that needs a review, and the keys of people who sign."""

    def __init__(self, depot: Path, keys: Path) -> None:
        self.depot, self.keys = depot, keys

    def sign(self, side: Side, name: str, *options: str) -> None:
        key = people.write_key(self.keys, name)
        ran = side.run("approve", self.depot, "--key", key, *options)
        assert ran.code == 0, ran.err


@pytest.fixture
def ward(tmp_path: Path, reviewed: Reviewed, connected: Side) -> Side:
    """A site whose root has approvers and demands nothing of them; ``bob`` built the bundle."""
    connected.run("sign", reviewed.depot, "--key", people.write_key(reviewed.keys, "bob"))
    side = Side(tmp_path / "ward")
    side.top.mkdir()
    root = make_root(approver=team("dan eve", 0), revoked="eve")
    people.pin(side, replace(root, created_at=1))  # of format 2, which a threshold of 0 needs
    return side


def test_an_approver_lifts_a_review_for_one_bundle(
    reviewed: Reviewed, ward: Side, connected: Side, policy: Path
) -> None:
    assert "llama3.1" in refuse(ward, reviewed.depot, policy)
    for name, options in (("eve", ["--name", "licence"]), ("dan", [])):
        reviewed.sign(connected, name, *options)
        assert "no approver has accepted" in refuse(ward, reviewed.depot, policy)
    reviewed.sign(connected, "dan", "--name", "licence")
    shown = ward.run("licenses", reviewed.depot, "--policy", policy)
    assert shown.code == 0
    assert "reviewed by" in shown.out

    ran = import_(ward, reviewed.depot, policy)

    assert ran.code == 0, ran.err


def test_an_approver_does_not_lift_what_is_refused(
    reviewed: Reviewed, ward: Side, connected: Side, policy: Path
) -> None:
    reviewed.sign(connected, "dan", "--name", "licence")
    policy.write_text(POLICY.replace("review", "deny"))

    assert "llama3.1" in refuse(ward, reviewed.depot, policy)


def test_a_policy_that_the_root_names_is_binding(
    reviewed: Reviewed, tmp_path: Path, connected: Side, policy: Path
) -> None:
    policy.write_text(POLICY.replace("MIT", "llama3.1").replace('review = ["llama3.1"]\n', ""))
    bob = people.write_key(reviewed.keys, "bob")
    connected.run("sign", reviewed.depot, "--key", bob)
    root, side = tmp_path / "root.msgpack", Side(tmp_path / "bound")
    side.top.mkdir()
    site_key = people.write_key(reviewed.keys, "ann")
    made = connected.run(
        *("root", "create", "--site", "ward", "--root-key", site_key, "-o", root, "--json"),
        *("--builder", bob.with_suffix(".pub"), "--policy", f"licence={policy}"),
    )
    assert made.code == 0, made.err
    trusted = side.run("trust", "init", root, "--fingerprint", made.json["fingerprint"])
    assert trusted.code == 0, trusted.err
    other = tmp_path / "other.toml"
    other.write_text('unknown = "warn"\n')

    expect_refusal(side, "import", reviewed.depot, error=PolicyError)
    assert "demands the licence policy" in refuse(side, reviewed.depot, other)
    assert side.run("licenses", reviewed.depot, "--policy", other).code == PolicyError.exit_code
    ran = import_(side, reviewed.depot, policy)
    assert ran.code == 0, ran.err
