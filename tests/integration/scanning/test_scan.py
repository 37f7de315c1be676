"""``airgap scan`` and the site's policy: what files would run, and what an import refuses."""

import hashlib
import json
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

import airgap
from airgap.errors import PolicyError
from airgap.flow.scanning.policy import read_site_policy
from airgap.format.root import Root
from airgap.format.site_rules import SiteRules
from tests.integration.api.test_results import fits
from tests.integration.scanning.conftest import PICKLE, SERVICE, Scanned
from tests.support import stores
from tests.support.refusals import expect_refusal
from tests.support.sides import Side

DIGEST = hashlib.sha256(PICKLE).hexdigest()
PERMITS = f"""
[[permit]]
item = "model evil:*"
path = "model.pkl"
sha256 = "{DIGEST}"
reason = "read by Ann"

[[permit]]
path = "hooks/*"
reason = "ours"
until = 2999-12-31
"""


def write_site_policy(side: Side, text: str) -> Path:
    side.state.mkdir(exist_ok=True)
    path = side.state / "scan.toml"
    path.write_text(text)
    return path


def test_a_link_gives_a_text_the_name_of_a_program(scanned: Scanned, tmp_path: Path) -> None:
    folder = stores.add_model(scanned.builder, "linked:v1", {"notes.txt": b"import os\n"})
    (folder / "hooks.py").symlink_to("notes.txt")
    (folder / "again.py").symlink_to("hooks.py")
    options = ("--model", "linked:v1", "-o", tmp_path / "linked", "--key", scanned.site.key())
    assert scanned.builder.run("export", *options).code == 0

    ran = scanned.builder.run("scan", tmp_path / "linked", "--json")

    files = {file["path"]: file for file in ran.json["items"][0]["files"]}
    assert ran.code == 12
    assert files["notes.txt"]["verdict"] == "inert"
    assert files["hooks.py"]["verdict"] == "code"
    assert files["hooks.py"]["sha256"] == files["notes.txt"]["sha256"]
    assert files["again.py"]["verdict"] == "refused"


def test_a_root_can_name_the_policy(isolated: Side) -> None:
    policy = write_site_policy(isolated, "")
    root = Root.__new__(Root)
    for expected, error in ((hashlib.sha256(b"").digest(), None), (bytes(32), PolicyError)):
        object.__setattr__(root, "rules", SiteRules(policies={"malware": expected}))
        with isolated.here(), pytest.raises(error) if error else nullcontext():
            assert read_site_policy(root) is not None
    policy.unlink()
    with isolated.here(), pytest.raises(PolicyError, match="is missing"):
        read_site_policy(root)
    with isolated.here():
        assert read_site_policy(None) is None


def write_scanner(folder: Path, script: str) -> str:
    path = folder / "scanner.py"
    path.write_text(script)
    return f"{sys.executable} {path}"


def test_a_bento_may_be_a_program_and_its_models_are_data(scanned: Scanned, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    ran = scanned.builder.run("scan", scanned.calm, "--json", "--report", report)

    assert ran.code == 0, ran.err
    assert ran.json["accepted"] is True
    assert ran.json["statement"] == (
        "The lists of the gate find no code outside of the Bentos' own sources."
    )
    files = {file["path"]: file for item in ran.json["items"] for file in item["files"]}
    assert files["src/service.py"]["verdict"] == "code"
    assert files["src/service.py"]["permitted"] == "the Bento's own sources"
    assert files["src/service.py"]["sha256"] == hashlib.sha256(SERVICE).hexdigest()
    assert files["a.safetensors"]["form"] == "safetensors"
    written = json.loads(report.read_text())
    assert {**written, "signed_by": None} == ran.json
    assert not list(tmp_path.glob("airgap-scan-*"))


def test_a_model_with_a_program_is_refused_with_every_file_and_reason(scanned: Scanned) -> None:
    ran = scanned.builder.run("scan", scanned.evil)

    assert ran.code == 12
    assert "  REFUSED: model.pkl (pickle)\n    it asks for os.system\n" in ran.out
    assert "  CODE: hooks/load.py (Python)\n" in ran.out
    assert f"    SHA-256 {DIGEST}\n" in ran.out
    assert "service.py" not in ran.out
    assert "2 of " in ran.out


def test_a_report_is_signed_and_attached_only_if_every_file_is_accepted(
    scanned: Scanned, tmp_path: Path
) -> None:
    side, report = scanned.builder, tmp_path / "report.json"
    signing = ("--report", report, "--sign", scanned.site.key(), "--json")
    assert side.run("scan", scanned.calm, "--sign", scanned.site.key()).code == 2

    assert side.run("scan", scanned.evil, *signing).json["signed_by"] is None
    assert not list(scanned.evil.rglob("*.attestation"))
    ran = side.run("scan", scanned.calm, *signing)

    assert ran.code == 0, ran.err
    assert ran.json["signed_by"]
    (attached,) = scanned.calm.rglob("scanner.*.findings")
    assert attached.read_bytes() == report.read_bytes()
    assert list(scanned.calm.rglob("scanner.*.attestation"))


def test_an_import_is_refused_by_the_site_policy_and_leaves_an_entry_alone(
    scanned: Scanned, isolated: Side
) -> None:
    path = write_site_policy(isolated, "")

    refused = expect_refusal(isolated, "import", scanned.evil, error=PolicyError)
    entries = isolated.run("log", "--json").json["entries"]

    assert "refused 2 of" in refused.json["error"]["message"]
    assert [entry["event"] for entry in entries] == ["begun"]  # the helper puts the ledger back
    assert isolated.run("import", scanned.calm).code == 0
    path.write_text(PERMITS)
    assert isolated.run("import", scanned.evil, "--newest").code == 0


@pytest.mark.parametrize(
    "text",
    [
        "[[permit]]\npath = 'x'",
        "permit = 1",
        "[[permits]]",
        "[[permit]]\npath = 'x'\nreason = 'y'\nsha256 = '1'",
        "[[permit]]\npath = 'x'\nreason = 'y'\nuntil = 5",
        "[[scanner]]\nname = 'a'\ncommand = ['a']\nadapter = 'magic'",
        "[[scanner]]\nname = 'a'\ncommand = 'a'\nadapter = 'exit'",
        "[[scanner]]\nname = 'a'\ncommand = ['a']\nadapter = 'exit'\nseconds = 0",
        "[[scanner]]\nname = 'a'\ncommand = ['a']\nadapter = 'exit'\nseconds = 1000000",
        "[[scanner]]\nname = 'a'\ncommand = ['a']\nadapter = 'exit'\nmagic = 1",
        "[[scanner]]\nname = 'a'\ncommand = ['a']\nadapter = 'exit'\n" * 2,
        "permit = [",
    ],
)
def test_a_policy_with_a_mistake_lets_nothing_in(text: str, tmp_path: Path) -> None:
    from airgap.errors import ConfigurationError
    from airgap.flow.scanning.policy import read_policy

    path = tmp_path / "scan.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError):
        read_policy(path)


SAYS_ALL = """
import json, os, sys
top = sys.argv[-1]
assert not os.access(top + "/x", os.F_OK)
try:
    open(top + "/x", "w")
    sys.exit(9)
except OSError:
    pass
names = sorted(os.listdir("/sys/class/net")) if os.path.isdir("/sys/class/net") else ["lo"]
for folder, _, files in os.walk(top):
    for name in files:
        if name == "a.safetensors" and "quiet" in sys.argv:
            continue
        verdict = "Eicar" if name == "a.safetensors" and "loud" in sys.argv else "clean"
        print(json.dumps({"path": os.path.join(folder, name), "verdict": verdict}))
"""


def test_other_scanners_are_asked_and_what_is_unclear_is_refused(
    scanned: Scanned, tmp_path: Path
) -> None:
    command = write_scanner(tmp_path, SAYS_ALL).split()
    policy = tmp_path / "policy.toml"

    def scan(*words: str, more: str = "") -> dict[str, list[str]]:
        line = f"command = {json.dumps([*command, *words])}\nadapter = 'json'\n"
        policy.write_text(f"[[scanner]]\nname = 'ours'\n{line}{more}")
        ran = scanned.builder.run("scan", scanned.calm, "--policy", policy, "--json")
        assert ran.code in {0, 12}, ran.err
        files = [file for item in ran.json["items"] for file in item["files"]]
        return {file["path"]: file["reasons"] for file in files if not file["accepted"]}

    assert scan() == {}
    assert scan("loud") == {"a.safetensors": ["ours: Eicar"]}
    unclear = "ours: it did not say anything about the file"
    assert scan("quiet") == {"a.safetensors": [unclear]}
    large = scan(more="largest = 9\n")
    assert large["a.safetensors"] == ["ours: it is larger than the 9 bytes that are looked into"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("raise SystemExit(3)", "it ended with 3"),
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "it ended with 1"),
        ("x = bytearray(8 << 30)", "it ended with 1"),
    ],
)
def test_a_scanner_that_fails_refuses_everything(
    script: str, reason: str, scanned: Scanned, tmp_path: Path
) -> None:
    command = write_scanner(tmp_path, script)
    ran = scanned.builder.run("scan", scanned.calm, "--with", command, "--json")

    assert ran.code == 12
    reasons = [file["reasons"][0] for item in ran.json["items"] for file in item["files"]]
    name = Path(sys.executable).name
    assert set(reasons) == {f"{name}: {reason}"}


def test_the_ledger_names_the_report_of_an_import_and_of_a_refusal(
    scanned: Scanned, isolated: Side, tmp_path: Path
) -> None:
    path = write_site_policy(isolated, "")
    reports = {}
    for depot, code in ((scanned.calm, 0), (scanned.evil, 12)):
        report = tmp_path / f"{depot.name}.json"
        options = ("--policy", path, "--report", report)
        assert scanned.builder.run("scan", depot, *options).code == code
        reports[depot] = hashlib.sha256(report.read_bytes()).hexdigest()

    assert isolated.run("import", scanned.calm).code == 0
    assert isolated.run("import", scanned.evil, "--newest").code == 12
    refused, imported, begun = isolated.run("log", "--json").json["entries"]

    assert [each["event"] for each in (begun, imported, refused)] == [
        "begun",
        "imported",
        "refused",
    ]
    assert imported["documents"]["scan"] == reports[scanned.calm]
    assert refused["documents"]["scan"] == reports[scanned.evil]


def test_nothing_of_a_bundle_is_rehearsed_that_the_site_does_not_accept(
    scanned: Scanned, isolated: Side, tmp_path: Path
) -> None:
    report = tmp_path / "proof.json"
    for side in (scanned.builder, isolated):  # the model is installed at the builder's
        write_site_policy(side, "")
        before = side.run("log", "--json").json["entries"]
        options = ("--report", report, "--tmpdir", tmp_path, "--json")

        ran = side.run("rehearse", scanned.evil, *options)

        assert ran.code == 12
        assert "The scan refused 2 of" in ran.json["error"]["message"]
        assert not report.exists()
        assert side.run("log", "--json").json["entries"] == before


def test_a_rehearsal_asks_the_scanners_of_the_site(scanned: Scanned, tmp_path: Path) -> None:
    scanner = write_scanner(tmp_path, "import sys; sys.exit(3)\n").split()
    policy = f"[[scanner]]\nname = 's'\ncommand = {json.dumps(scanner)}\nadapter = 'exit'\n"
    write_site_policy(scanned.builder, policy)

    ran = scanned.builder.run("rehearse", scanned.calm, "--tmpdir", tmp_path, "--json")

    assert ran.code == 12
    assert "it ended with 3" in str(ran.json["error"]["details"])


def test_installed_items_are_judged_again_when_the_rules_have_changed(
    scanned: Scanned, isolated: Side, tmp_path: Path
) -> None:
    assert isolated.run("import", scanned.evil, "--json").code == 0
    stores.add_snapshot(isolated, "org/model", "a" * 40, {"weights.pkl": PICKLE})
    write_site_policy(isolated, "")
    before = stores.snapshot(isolated.bentoml, isolated.hugging_face)

    ran = isolated.run("scan", "--installed", "--report", tmp_path / "r.json", "--json")
    named = isolated.run("scan", "--installed", "trap:v1", "--json")
    proved = isolated.run("prove", "trap:v1", "--json")

    files = {
        (item["item"], file["path"]): file for item in ran.json["items"] for file in item["files"]
    }
    assert (ran.code, ran.json["bundle"], ran.json["accepted"]) == (12, None, False)
    assert files["model evil:v1", "model.pkl"]["sha256"] == DIGEST
    assert files["model evil:v1", "model.pkl"]["verdict"] == "refused"
    (cached,) = (file for (item, _), file in files.items() if "org" in item)
    assert cached["verdict"] == "refused"
    assert json.loads((tmp_path / "r.json").read_text()) == {
        name: value for name, value in ran.json.items() if name != "signed_by"
    }
    assert (named.code, [item["item"] for item in named.json["items"]]) == (0, ["bento trap:v1"])
    assert proved.code == 12
    assert "The scan refused 2 of" in proved.json["error"]["message"]
    assert stores.snapshot(isolated.bentoml, isolated.hugging_face) == before


def test_scanners_look_at_installed_items(isolated: Side, tmp_path: Path) -> None:
    stores.add_snapshot(isolated, "org/model", "a" * 40, {"a/weights.json": b"{}", "b.json": b"[]"})
    stores.add_model(isolated, "calm:v1", {"a.json": b"{}"})
    script = (
        "import json, os, sys\n"
        "for folder, _, names in os.walk(sys.argv[-1]):\n"
        "    for name in names:\n"
        "        path = os.path.join(folder, name)\n"
        "        open(path, 'rb').read()\n"
        "        print(json.dumps({'path': path, 'verdict': 'clean'}))\n"
    )
    scanner = write_scanner(tmp_path, script).split()
    policy = tmp_path / "policy.toml"
    policy.write_text(
        f"[[scanner]]\nname = 's'\ncommand = {json.dumps(scanner)}\nadapter = 'json'\n"
    )

    ran = isolated.run("scan", "--installed", "--policy", policy, "--json")

    said = [file.get("scanners") for item in ran.json["items"] for file in item["files"]]
    assert ran.code == 0, ran.json
    assert said == [{"s": "clean"}] * len(said)
    assert len(said) >= 3


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("scan",), 2),
        (("scan", "a", "b"), 2),
        (("scan", "--installed", "--sign", "k", "--report", "r"), 2),
        (("scan", "--installed", "nothing:v1"), 13),
    ],
)
def test_what_cannot_be_scanned_is_said(isolated: Side, words: tuple[str, ...], code: int) -> None:
    assert isolated.run(*words).code == code


def test_python_scans_as_the_command_does(scanned: Scanned, isolated: Side) -> None:
    printed = scanned.builder.run("scan", scanned.evil, "--json").json
    with scanned.builder.here():
        report = airgap.scan_bundle(scanned.evil)
    assert fits(report, airgap.results.ScanDict)
    assert {**report, "signed_by": None} == printed

    assert isolated.run("import", scanned.calm).code == 0
    with isolated.here():
        installed = airgap.scan_installed(["calm:v1"])
    assert fits(installed, airgap.results.ScanDict)
    assert (installed["bundle"], installed["accepted"]) == (None, True)
    assert [item["item"] for item in installed["items"]] == ["model calm:v1"]


def test_files_that_came_with_a_bento_are_judged_before_it_is_proved(
    scanned: Scanned, isolated: Side, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/words.pkl").write_bytes(PICKLE)
    options = ("--files", f"words={tmp_path / 'data'}", "--key", scanned.site.key())
    made = scanned.builder.run("export", "shop:v1", *options, "-o", tmp_path / "depot")
    assert made.code == 0, made.err
    assert isolated.run("import", tmp_path / "depot").code == 0
    write_site_policy(isolated, "")

    proved = isolated.run("prove", "shop:v1", "--json")

    assert proved.code == 12
    assert "words.pkl' is refused (it asks for os.system)" in str(proved.json["error"]["details"])
