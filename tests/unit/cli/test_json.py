"""With ``--json``, standard output is exactly one JSON object, whatever happens."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import click
import pytest

from airgap.cli.main import COMMANDS
from airgap.errors import UsageError
from airgap.flow.ledger.record import EventRecord, record_event
from airgap.flow.serving.request_log import RequestLog
from airgap.format.receipt import encode_receipt
from airgap.format.request_log import ServedRequest
from airgap.sealing import identity_files
from tests.servers import fake_registry
from tests.servers.fake_registry import FakeRegistry
from tests.support import (
    drop_box,
    environments,
    image_builds,
    oci_images,
    pushes,
    receipts,
    sides,
    signers,
    stores,
)
from tests.support.sides import Side, Site

BELOW: Final = {
    "remote": ("add", "list", "show", "remove"),
    "config": ("show",),
    "key": ("generate", "fingerprint"),
    "root": (
        *("create", "show", "sign", "ceremony-sheet", "add-key", "remove-key", "revoke-key"),
        *("set-threshold", "revoke-bundle", "set-min-sequence", "set-expiry"),
    ),
    "trust": ("init", "show", "update", "reset-state"),
    "serve": ("check-log", "dropbox"),
    "inbox": ("discard", "list", "show", "sign"),
    "env": ("create", "list", "run", "remove"),
    "image": ("build", "list", "push", "save"),
    "ledger": ("checkpoint", "consistency", "cosign", "export", "prove", "verify"),
    "archive": (
        "check",
        "doctor",
    ),  # merge: tests/integration/archive, where the root names a recorder
    # approve: tests/integration/receipts, where the pinned root names the recorder
    "receipt": ("accept", "holds", "list", "note", "show"),
}
EVERY: Final = tuple(
    (name, below) if below else (name,)
    for name in COMMANDS
    # prove and rehearse: tests/integration/proof; kit: tests/integration/kit
    if name not in ("demo", "kit", "prove", "rehearse")
    for below in BELOW.get(name, ("",))
)
MADE: Final = {
    "inbox": "inbox_lines",
    "image": "image_lines",
    "ledger": "ledger_lines",
    "receipt": "receipt_lines",
    "seal": "seal_lines",
    "unseal": "seal_lines",
}
"""Groups of commands, and the fixture that makes what they need."""
ANSWERS: Final = {
    *(
        "list",
        "get",
        "inspect",
        "diff",
        "log",
        "doctor",
        "archive doctor",
        "config show",
        "completion",
        "docs",
        "env list",
        "env run",
        "image list",
        "bom",
        "licenses",
        "ledger verify",
        "inbox list",
        "inbox show",
        "serve check-log",
    ),
    *("receipt holds", "receipt list", "receipt note", "receipt show"),
    *("key fingerprint", "remote list", "remote show", "root show", "root ceremony-sheet"),
    "trust show",
}
"""Commands whose lines are what was asked for."""
COLUMNS: Final = 80
ID: Final = re.compile("[0-9a-f]{40,}")
NAMES: Final = [" ".join(words) for words in EVERY]


def only_object(ran: sides.Ran) -> dict[str, object]:
    """Standard output's one object: one line, nothing before or after it."""
    assert ran.out.endswith("\n")
    assert ran.out.count("\n") == 1
    value = json.loads(ran.out)
    assert isinstance(value, dict)
    return value


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry.serve() as served:
        yield served


@pytest.fixture
def image_lines(small: Side, registry: FakeRegistry, tmp_path: Path) -> dict[str, list[str | Path]]:
    """The same of the commands about images, of which there are one and what makes one."""
    image_builds.add_bento(small, tag="boxed:v1")
    image_builds.install_wheelhouse(small)
    manifest, blobs = oci_images.image_for("amd64", b"layer")
    oci_images.install(small, manifest, blobs)
    return {
        "image build": ["boxed", "--base", image_builds.base_layout(tmp_path / "base")],
        "image list": [],
        "image push": ["shop", f"{registry.host}/team/shop:1"],
        "image save": ["shop", tmp_path / "saved"],
    }


@pytest.fixture
def seal_lines(small: Side, site: Site, depot: Path, tmp_path: Path) -> dict[str, list[str | Path]]:
    """The same of the commands about sealed bundles, of which there is one."""
    secret, public, _ = identity_files.generate(tmp_path, "ward", post_quantum=False)
    options: list[str | Path] = ["--insecure-recipients", "--seal-to", public, "--key", site.key()]
    assert small.run("seal", depot, tmp_path / "sealed", *options).code == 0
    return {
        "seal": [depot, tmp_path / "sealed-again", *options],
        "unseal": [tmp_path / "sealed", "-o", tmp_path / "unsealed", "--identity", secret],
    }


@pytest.fixture
def ledger_lines(small: Side, tmp_path: Path) -> dict[str, list[str | Path]]:
    """The same of the commands about ledgers, of which the one of exports has an entry."""
    keys = tmp_path / "keys"
    recorder, witness = (signers.write_key(keys, name) for name in ("ray", "wim"))
    with small.here():
        record_event("any", "exporting", EventRecord("checked", bundle=b"\x77" * 32))
    mine: list[str | Path] = ["--exports", "--site", "any", "--key", recorder]
    request, checkpoint = tmp_path / "request", tmp_path / "checkpoint"
    ran = small.run("ledger", "consistency", "0", "-o", request, *mine)
    assert ran.code == 0, ran.err
    assert small.run("ledger", "checkpoint", *mine, "-o", checkpoint).code == 0
    theirs: list[str | Path] = ["--recorder", recorder.with_suffix(".pub")]
    name = ("--name", "audit.example/laptop")
    return {
        "ledger checkpoint": mine,
        "ledger consistency": ["1", "-o", tmp_path / "continued", *mine],
        "ledger cosign": [
            *(request, *name, "-o", tmp_path / "cosigned", "--key", witness, *theirs)
        ],
        "ledger export": ["-o", tmp_path / "entries", *mine],
        "ledger prove": ["1", "-o", tmp_path / "proof", *mine],
        "ledger verify": [checkpoint, *theirs],
    }


@pytest.fixture
def receipt_lines(small: Side, tmp_path: Path) -> dict[str, list[str | Path]]:
    """The same of the commands about receipts, of which there is one that was accepted."""
    root, path = tmp_path / "ward.msgpack", tmp_path / "it.receipt.json"
    signers.write_root(
        root, replace(signers.make_root(recorder=signers.team("ray")), created_at=7), "ann"
    )
    payload = encode_receipt(receipts.make_receipt())
    path.write_bytes(receipts.sign_receipt(payload, receipts.RECORDER))
    ran = small.run("receipt", "accept", path, "--root", root)
    assert ran.code == 0, ran.err
    verified: list[str | Path] = [path, "--root", root]
    return {
        "receipt accept": verified,
        "receipt holds": ["ward"],
        "receipt list": [],
        "receipt note": verified,
        "receipt show": verified,
    }


@pytest.fixture
def inbox_lines(small: Side, site: Site, tmp_path: Path) -> dict[str, list[str | Path]]:
    """The lines of ``airgap inbox``, on an inbox with a model."""
    del small
    inbox = tmp_path / "inbox"
    pushes.fill_inbox(inbox)
    target = ("--model", "--unseen", "--key", site.key())
    return {
        "inbox discard": [inbox, "m:v1", "--model"],
        "inbox list": [inbox],
        "inbox show": [inbox, "m:v1", "--model"],
        "inbox sign": [inbox, "m:v1", tmp_path / "signed", *target],
    }


@pytest.fixture
def lines(
    small: Side,
    site: Site,
    depot: Path,
    archive: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> dict[str, list[str | Path]]:
    """A command line of each command that succeeds on a side with ``shop`` that trusts ``site``.

    Images, sealed bundles, ledgers and receipts are made for those who need them.
    """
    if fixture := MADE.get(request.node.callspec.params["words"][0]):
        made: dict[str, list[str | Path]] = request.getfixturevalue(fixture)
        return made
    assert small.run("remote", "add", "vendor", "sftp://host/x").code == 0
    environments.install(small, environments.wheelhouse(requirements=None))
    environment = tmp_path / "environment"
    environments.pretend(environment, "shop:v1")
    more, key = tmp_path / "more", ("--key", site.key())
    policy = tmp_path / "licences.toml"
    policy.write_text('unknown = "warn"\n')
    root_key = ("--site", "s", "--root-key", site.folder / "site.key")
    builder = ("--builder", site.folder / "builder1.pub")
    waived = ("--site", "s", "--reason", "r", "--expires", "7d", "-o", tmp_path / "x.waiver")
    proposal, edited = tmp_path / "proposal.msgpack", ("-o", tmp_path / "next.msgpack")
    words = ("root", "add-key", site.root, "builder", site.folder / "site.pub", "-o", proposal)
    assert sides.run_cli(words, {}).code == 0
    return {
        "init": ["hospital-north", "--no-passphrase"],
        "export": ["shop", "-o", more, *key],
        "import": [depot],
        "push": ["shop", more, *key],
        "pull": ["shop", depot],
        "list": [depot],
        "get": ["shop", depot],
        "delete": ["shop:v1", depot, "--yes"],
        "gc": [depot],
        "verify": [depot],
        "split": [depot, "-o", more, "--volume-size", "DVD"],
        "join": [depot, "-o", more],
        "repair": [depot],
        "inspect": [depot, "--files"],
        "diff": [depot, archive],
        "copy": [depot, tmp_path / "copy"],
        "sign": [depot, *key],
        "attest": [depot, *key, "--role", "scanner", "--findings", site.root],
        "approve": [depot, *key],
        "scan": [depot, "--policy", _write_scan_policy(tmp_path)],
        "attach": [depot, site.root],
        "evidence": [depot, "-o", tmp_path / "x.intoto.jsonl"],
        "audit": [depot, "-o", tmp_path / "report.html"],
        "bom": [depot, "-o", tmp_path / "bill.json"],
        "licenses": [depot, "--policy", policy],
        "timestamp": [depot],
        "archive check": [depot],
        "archive doctor": [depot],
        "waive": [depot, *waived, *key],
        "remote add": ["gateway", "sftp://host/depot"],
        "remote list": [],
        "remote show": ["vendor"],
        "remote remove": ["vendor"],
        "key generate": ["new", "--dir", more, "--no-passphrase"],
        "key fingerprint": [site.folder / "site.pub"],
        "root create": [*root_key, *builder, "-o", tmp_path / "new-root.msgpack"],
        "trust init": [site.root, "--fingerprint", site.fingerprint],
        "root show": [site.root],
        "root sign": [
            *(site.root, "--key", site.folder / "site.key", "--fingerprint", site.fingerprint)
        ],
        "root ceremony-sheet": [site.root],
        "root add-key": [site.root, "scanner", site.folder / "site.pub", *edited],
        "root remove-key": [proposal, "builder", site.folder / "site.pub"],
        "root revoke-key": [proposal, "0" * 64],
        "root set-threshold": [site.root, "builder=1", *edited],
        "root revoke-bundle": [site.root, "0" * 64, *edited],
        "root set-min-sequence": [site.root, "default=1", *edited],
        "root set-expiry": [site.root, "2y", *edited],
        "trust show": [],
        "trust update": [site.root],
        "trust reset-state": [],
        "serve check-log": [_write_request_log(tmp_path)],
        "serve dropbox": ["--check", "--config", drop_box.write_config(tmp_path, None)],
        "watch": [depot, "--once"],
        "env create": ["shop"],
        "env list": [environment],
        "env run": [environment, "--dry-run"],
        "env remove": [environment],
        "log": [],
        "check": [],
        "remove": ["shop:v1", "--yes"],
        "prune": ["--yes"],
        "config show": [],
        "doctor": [],
        "docs": [],
        "completion": ["bash"],
    }


def _write_request_log(folder: Path) -> Path:
    log = RequestLog(folder / "requests.jsonl")
    log.add(ServedRequest("2026-12-01T10:00:00Z", "ci", "::1", "GET", "/simple/", 200, 17))
    log.close()
    return folder / "requests.jsonl"


def _write_scan_policy(folder: Path) -> Path:
    """Permit what ``shop`` has: noise of no form, and a script."""
    digest = hashlib.sha256(stores.noise(400_000)).hexdigest()
    noise = f"path = 'weights.bin'\nsha256 = '{digest}'\nreason = 'noise'\n"
    path = folder / "scan-policy.toml"
    path.write_text(f"[[permit]]\n{noise}[[permit]]\npath = 'run.sh'\nreason = 'ours'\n")
    return path


@pytest.mark.parametrize("words", EVERY, ids=NAMES)
def test_success_is_one_object(
    words: tuple[str, ...], lines: dict[str, list[str | Path]], small: Side, site: Site
) -> None:
    sides.trust(small, site)

    ran = small.run(*words, *lines[" ".join(words)], "--json")

    assert ran.code == 0, ran.err
    assert "error" not in only_object(ran)


@pytest.mark.parametrize("words", EVERY, ids=NAMES)
def test_success_without_json_prints_lines_for_people(
    words: tuple[str, ...], lines: dict[str, list[str | Path]], small: Side, site: Site
) -> None:
    sides.trust(small, site)

    ran = small.run(*words, *lines[" ".join(words)])

    assert ran.code == 0, ran.err
    assert ran.out
    assert not ran.out.startswith("{")


@pytest.mark.parametrize("words", EVERY, ids=NAMES)
def test_no_id_is_cut_by_the_end_of_a_row(
    words: tuple[str, ...],
    lines: dict[str, list[str | Path]],
    small: Side,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sides.trust(small, site)
    monkeypatch.setattr("airgap.cli.terminal.measure_columns", lambda **_: COLUMNS)

    ran = small.run(*words, *lines[" ".join(words)])

    assert ran.code == 0, ran.err
    printed = f"{ran.out}{ran.err}".splitlines()
    cut = [
        line
        for line in printed
        for id_ in ID.finditer(line)
        if id_.start() // COLUMNS != (id_.end() - 1) // COLUMNS
    ]
    assert cut == []


@pytest.mark.parametrize("words", EVERY, ids=NAMES)
def test_quiet_success_prints_what_was_asked_for_and_nothing_else(
    words: tuple[str, ...], lines: dict[str, list[str | Path]], small: Side, site: Site
) -> None:
    sides.trust(small, site)

    ran = small.run(*words, *lines[" ".join(words)], "--quiet")

    assert ran.code == 0, ran.err
    assert bool(ran.out) == (" ".join(words) in ANSWERS)
    assert ran.err == ""


@pytest.mark.parametrize("words", EVERY, ids=NAMES)
def test_json_and_quiet_print_nothing_else_at_all(
    words: tuple[str, ...], lines: dict[str, list[str | Path]], small: Side, site: Site
) -> None:
    sides.trust(small, site)

    ran = small.run(*words, *lines[" ".join(words)], "--json", "--quiet")

    assert only_object(ran)
    assert ran.err == ""


@pytest.mark.parametrize(
    ("words", "operands"),
    [
        (("export",), ["nothing", "-o", "x", "--key", "nothing.key"]),
        (("import",), ["nothing"]),
        (("push",), ["nothing", "x", "--key", "nothing.key"]),
        (("pull",), ["nothing", "x"]),
        (("list",), ["nothing"]),
        (("get",), ["nothing", "x"]),
        (("delete",), ["nothing:v1", "x", "--yes"]),
        (("verify",), ["nothing"]),
        (("split",), ["nothing", "-o", "x", "--volume-size", "DVD"]),
        (("join",), ["nothing", "-o", "x"]),
        (("repair",), ["nothing"]),
        (("inspect",), ["nothing"]),
        (("diff",), ["nothing", "nothing"]),
        (("sign",), ["nothing", "--key", "nothing.key"]),
        (("key", "generate"), ["a/b", "--no-passphrase"]),
        (("key", "fingerprint"), ["nothing"]),
        (
            ("root", "create"),
            ["--site", "s", "--root-key", "nothing", "--builder", "nothing", "-o", "x"],
        ),
        (("trust", "init"), ["nothing", "--fingerprint", "SHA256:" + "0" * 64]),
        (("trust", "show"), []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_failure_is_one_object(
    words: tuple[str, ...],
    operands: list[str],
    connected: Side,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)

    ran = connected.run(*words, *operands, "--json")

    told = only_object(ran)["error"]
    assert isinstance(told, dict)
    assert told["exit_code"] == ran.code != 0
    assert ran.err.startswith(f"airgap: {told['message']}")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("words", EVERY, ids=NAMES)
def test_a_usage_error_is_one_object(words: tuple[str, ...], connected: Side) -> None:
    ran = connected.run(*words, "--json", "--zzz")

    assert only_object(ran)["error"] == {
        "kind": "usage",
        "message": "No such option '--zzz'.",
        "hint": f"See `airgap {' '.join(words)} --help`.",
        "exit_code": 2,
    }
    assert ran.code == 2


@pytest.mark.parametrize("option", ["--help", "-h"])
@pytest.mark.parametrize("words", EVERY, ids=NAMES)
def test_help_is_one_object(words: tuple[str, ...], option: str, connected: Side) -> None:
    ran = connected.run(*words, "--json", option)

    assert ran.code == 0
    assert str(only_object(ran)["help"]).startswith(f"Usage: airgap {' '.join(words)} ")


def test_an_unknown_command_is_one_object(connected: Side) -> None:
    ran = connected.run("exprot", "--json")

    told = only_object(ran)["error"]
    assert isinstance(told, dict)
    assert told["hint"] == "Did you mean `airgap export`?"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--json", "list"), "Give it after the command: airgap list --json"),
        (("--json", "list", "a b"), "Give it after the command: airgap list 'a b' --json"),
        (("-q", "remote", "list"), "Give it after the command: airgap remote list -q"),
        (("--quiet",), "Give it after the command: airgap COMMAND --quiet"),
        (
            ("--key", "k", "export", "x"),
            "Give options of a command after it: see `airgap export --help`.",
        ),
    ],
)
def test_an_option_before_the_command_is_answered_with_the_right_order(
    words: tuple[str, ...], hint: str, connected: Side
) -> None:
    ran = connected.run(*words)

    assert ran.code == UsageError.exit_code
    assert ran.err.endswith(f"→ {hint}\n")
    assert "Did you mean" not in ran.err


def test_a_bug_is_one_object(connected: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("oh")

    monkeypatch.setattr("airgap.flow.bundle.open_bundle.open_unverified", broken)

    ran = connected.run("inspect", "x", "--json")

    assert ran.code == 1
    assert only_object(ran)["error"] == {
        "kind": "bug",
        "message": "This is a bug in airgap: RuntimeError: oh",
        "hint": "Nothing was installed that was not verified. Please report it with the lines"
        " above.",
        "exit_code": 1,
    }
    assert "Traceback" in ran.err


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("can't start new thread"),
        ImportError("libx.so: failed to map segment from shared object: Cannot allocate memory"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_too_little_memory_is_no_bug(
    error: Exception, connected: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr("airgap.flow.bundle.open_bundle.open_unverified", broken)

    ran = connected.run("inspect", "x", "--json")

    assert ran.code == 15
    assert only_object(ran)["error"]["message"] == "There is not enough memory."  # type: ignore[index]
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("stop", [KeyboardInterrupt, click.Abort])
def test_an_interruption_is_one_object(
    stop: type[BaseException], connected: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise stop

    monkeypatch.setattr("airgap.flow.bundle.open_bundle.open_unverified", stopped)

    ran = connected.run("inspect", "x", "--json")

    assert ran.code == 130
    told = only_object(ran)["error"]
    assert isinstance(told, dict)
    assert told["kind"] == "interrupted"


def test_a_path_beyond_unicode_is_no_obstacle(depot: Path, small: Side) -> None:
    strange = depot.rename(depot.parent / "d\udcff")

    ran = small.process("inspect", strange, "--json")

    assert ran.returncode == 0
    assert json.loads(ran.stdout)["items"]


def test_a_bundle_on_standard_output_and_json_exclude_each_other(small: Side, site: Site) -> None:
    ran = small.run("export", "shop", "-o", "-", "--key", site.key(), "--json")

    told = only_object(ran)["error"]
    assert isinstance(told, dict)
    assert told["kind"] == "usage"


def test_json_does_not_come_by_variable(
    depot: Path, small: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRGAP_INSPECT_AS_JSON", "1")

    assert small.run("inspect", depot).out.startswith("NOT VERIFIED")
