"""Signatures of single models, with OpenSSF's real ``model_signing`` on both ends (format §18)."""

import base64
import importlib.util
import json
import os
import re
import shlex
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airgap.errors import UsageError
from tests.support import refusals, sides, stores
from tests.support.python_scripts import Scripts
from tests.support.sides import Ran, Side, Site

COMMIT = "0123456789abcdef0123456789abcdef01234567"
stock = pytest.mark.skipif(
    importlib.util.find_spec("model_signing") is None, reason="model_signing is not here"
)


ModelSigning = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def model_signing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelSigning]:
    """The command line of stock model_signing."""
    program = "from model_signing import _cli; _cli.main()"
    with Scripts(tmp_path_factory.mktemp("scripts"), ["model_signing._cli"]) as scripts:
        yield lambda *arguments: scripts.run(program, os.environ, *arguments)


@pytest.fixture(scope="module", params=["ecdsa-p256-sha256", "ecdsa-p384-sha384"])
def curve(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site whose builders have ECDSA keys."""
    return sides.make_site(
        tmp_path_factory.mktemp("curve"), builders=2, algorithm=str(request.param)
    )


@pytest.fixture
def models(connected: Side) -> Side:
    """A Bento with a BentoML model and a Hugging Face snapshot that are awkward to hash."""
    model = stores.add_model(
        connected,
        "ranker:v1",
        {
            "weights.bin": stores.noise(300_000),
            ".hidden/secret": b"1",
            "a/b.txt": b"2",
            "a.txt": b"3",
            "Gr\u00fc\u00dfe/\u6587\u4ef6.txt": b"4",
            "empty": b"",
            ".gitattributes": b"* text",
            "sub/.gitattributes": b"5",
        },
    )
    (model / "nothing").mkdir()
    stores.add_snapshot(
        connected, "org/mini", COMMIT, {"w.safetensors": b"6", ".gitattributes": b"7", "d/x": b"8"}
    )
    stores.add_bento(
        connected,
        "shop:v1",
        {"s.py": b""},
        models=["ranker:v1", stores.hugging_face_entry("org/mini", COMMIT)],
    )
    return connected


@pytest.fixture
def ward(tmp_path: Path, curve: Site) -> Side:
    side = Side(tmp_path / "ward")
    side.top.mkdir()
    sides.trust(side, curve)
    return side


def export(side: Side, location: Path, site: Site, *words: str | Path) -> Ran:
    signed = ("--key", site.key(), "--emit-model-signature", *words)
    ran = side.run("export", "shop:v1", "-o", location, *signed)
    assert ran.code == 0, ran.err
    return ran


def signatures(depot: Path) -> list[Path]:
    return sorted(depot.glob("bundles/*/*.model.sig"))


@stock
@pytest.mark.parametrize("form", ["depot", "shop.airgap"])
def test_stock_model_signing_accepts_each_model_as_it_is_installed(
    model_signing: ModelSigning, form: str, models: Side, ward: Side, curve: Site, tmp_path: Path
) -> None:
    export(models, tmp_path / form, curve)

    handed = tmp_path / "handed"
    ran = ward.run("import", tmp_path / form, "--model-signatures", handed, "--json")

    assert ran.code == 0, ran.err
    commands = ran.json["model_signature_commands"]
    assert len(commands) == 2
    for command in commands:
        words = shlex.split(command.replace("KEY.pub", str(curve.folder / "builder1.pub")))
        checked = model_signing(*words[1:])
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert "succeeded" in checked.stdout
    assert [one["verdict"] for one in ran.json["model_signatures"]] == ["holds", "holds"]


@stock
def test_stock_model_signing_notices_a_changed_weight(
    model_signing: ModelSigning, models: Side, ward: Side, curve: Site, tmp_path: Path
) -> None:
    export(models, tmp_path / "depot", curve)
    assert ward.run("import", tmp_path / "depot", "--model-signatures", tmp_path / "h").code == 0
    folder = ward.bentoml / "models" / "ranker" / "v1"
    (folder / "weights.bin").write_bytes(stores.noise(300_000, 1))

    signature = tmp_path / "h" / "model" / "ranker" / "v1" / "model.sig"
    key = curve.folder / "builder1.pub"
    checked = model_signing("verify", "key", "--signature", signature, "--public_key", key, folder)

    assert checked.returncode != 0
    assert "weights.bin" in checked.stdout + checked.stderr


@stock
def test_a_model_with_links_is_checked_with_allow_symlinks(
    model_signing: ModelSigning, connected: Side, ward: Side, curve: Site, tmp_path: Path
) -> None:
    model = stores.add_model(connected, "ranker:v1", {"real/w.bin": b"w", "x": b"x"})
    (model / "link.bin").symlink_to("real/w.bin")
    (model / "again").symlink_to("link.bin")
    (model / "folder").symlink_to("real")
    options = ("-o", tmp_path / "depot", "--key", curve.key(), "--emit-model-signature")
    assert connected.run("export", "--model", "ranker:v1", *options).code == 0

    ran = ward.run("import", tmp_path / "depot", "--model-signatures", tmp_path / "h", "--json")

    (command,) = ran.json["model_signature_commands"]
    assert "--allow_symlinks" in command
    words = shlex.split(command.replace("KEY.pub", str(curve.folder / "builder1.pub")))
    checked = model_signing(*words[1:])
    assert checked.returncode == 0, checked.stdout + checked.stderr


@stock
def test_a_signature_that_stock_model_signing_made_holds_for_airgap(
    model_signing: ModelSigning, models: Side, ward: Side, curve: Site, tmp_path: Path
) -> None:
    export(models, tmp_path / "depot", curve)
    for path in signatures(tmp_path / "depot"):
        name = _statement(path)["subject"][0]["name"]
        folder = models.bentoml / "models" / "ranker" / "v1"
        if name != "ranker:v1":
            folder = models.hugging_face / "models--org--mini" / "snapshots" / COMMIT
        key = tmp_path / "plain.pem"
        subprocess.run(
            ["openssl", "pkey", "-in", _pkcs8(curve, tmp_path), "-out", key],
            check=True,
            timeout=120,
        )
        words = ("--private_key", key, "--signature", path, "--allow_symlinks", folder)
        made = model_signing("sign", "key", *words)
        assert made.returncode == 0, made.stdout + made.stderr

    ran = ward.run("verify", tmp_path / "depot", "--json")

    assert ran.code == 0, ran.err
    assert [one["verdict"] for one in ran.json["model_signatures"]] == ["holds", "holds"]


def _pkcs8(site: Site, folder: Path) -> Path:
    """Write a builder's key as other tools read it."""
    from cryptography.hazmat.primitives import serialization

    private: Any = serialization.load_ssh_private_key(site.key().read_bytes(), None)
    path = folder / "pkcs8.pem"
    path.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


def _statement(path: Path) -> dict[str, Any]:
    envelope = json.loads(path.read_bytes())["dsseEnvelope"]
    found = json.loads(base64.b64decode(envelope["payload"]))
    assert isinstance(found, dict)
    return found


# What airgap says of them


def test_verify_says_who_signed_a_model(
    models: Side, ward: Side, curve: Site, tmp_path: Path
) -> None:
    export(models, tmp_path / "depot", curve)

    ran = ward.run("verify", tmp_path / "depot")

    line = r"^model signature of \S+ \S+: holds, signed by builder\n  ([0-9a-f]{64})$"
    told = re.findall(line, ran.out, re.MULTILINE)
    assert told == ward.run("verify", tmp_path / "depot", "--json").json["signed_by"] * 2


def test_a_key_that_is_no_builders_is_told_as_unknown(
    models: Side, ward: Side, curve: Site, tmp_path: Path
) -> None:
    other = sides.make_site(tmp_path / "other", algorithm="ecdsa-p256-sha256")
    export(models, tmp_path / "depot", curve, "--model-signature-key", other.key())

    ran = ward.run("verify", tmp_path / "depot", "--json")

    assert ran.code == 0
    found = ran.json["model_signatures"]
    assert [(one["verdict"], one["key_id"]) for one in found] == [("unknown signer", None)] * 2


def test_a_model_sig_among_a_models_own_files_is_told_as_not_checked(
    connected: Side, ward: Side, curve: Site, tmp_path: Path
) -> None:
    stores.add_model(connected, "ranker:v1", {"w": b"w", "model.sig": b"{}"})
    options = ("-o", tmp_path / "x.airgap", "--key", curve.key())
    assert connected.run("export", "--model", "ranker:v1", *options).code == 0

    ran = ward.run("verify", tmp_path / "x.airgap")

    folder = ward.bentoml / "models" / "ranker" / "v1"
    assert "'model.sig', and was not checked" in ran.out
    assert f"--signature {folder}/model.sig --public_key KEY.pub {folder}" in ran.out


def test_an_import_without_the_option_hands_out_nothing(
    models: Side, ward: Side, curve: Site, tmp_path: Path
) -> None:
    export(models, tmp_path / "depot", curve)

    ran = ward.run("import", tmp_path / "depot", "--json")

    assert ran.code == 0
    assert "model_signatures" not in ran.json


def test_the_same_import_again_still_hands_them_out(
    models: Side, ward: Side, curve: Site, tmp_path: Path
) -> None:
    export(models, tmp_path / "x.airgap", curve)
    assert ward.run("import", tmp_path / "x.airgap").code == 0

    ran = ward.run("import", tmp_path / "x.airgap", "--model-signatures", tmp_path / "h")

    assert ran.code == 0, ran.err
    assert len(list((tmp_path / "h").rglob("model.sig"))) == 2


def test_a_copy_brings_them_along(models: Side, ward: Side, curve: Site, tmp_path: Path) -> None:
    export(models, tmp_path / "depot", curve)
    assert models.run("copy", tmp_path / "depot", tmp_path / "x.airgap").code == 0
    assert models.run("copy", tmp_path / "x.airgap", tmp_path / "again").code == 0

    ran = ward.run("verify", tmp_path / "again", "--json")

    assert [one["verdict"] for one in ran.json["model_signatures"]] == ["holds", "holds"]


def test_volumes_bring_them_along(models: Side, ward: Side, curve: Site, tmp_path: Path) -> None:
    export(models, tmp_path / "depot", curve)
    size = ("--volume-size", "2MB")
    split = models.run("split", tmp_path / "depot", "-o", tmp_path / "volumes", *size)
    assert split.code == 0, split.err
    folders = sorted(one for one in (tmp_path / "volumes").iterdir() if one.is_dir())

    ran = ward.run("verify", *folders, "--json")

    assert ran.code == 0, ran.err
    assert [one["verdict"] for one in ran.json["model_signatures"]] == ["holds", "holds"]


# Exporting them


def test_all_but_the_signature_is_the_same_at_every_export(
    models: Side, curve: Site, tmp_path: Path
) -> None:
    statements = []
    for name in ("one", "two"):
        export(models, tmp_path / name, curve)
        statements.append([_statement(path) for path in signatures(tmp_path / name)])

    assert statements[0] == statements[1]


@pytest.mark.parametrize("location", ["depot", "x.airgap"])
def test_another_key_than_ecdsa_is_refused_before_anything_is_written(
    location: str, models: Side, site: Site, tmp_path: Path
) -> None:
    words = ("-o", tmp_path / location, "--key", site.key(), "--emit-model-signature")
    ran = refusals.expect_refusal(models, "export", "shop:v1", *words, error=UsageError)

    assert "--model-signature-key" in ran.json["error"]["hint"]
    assert not (tmp_path / location).exists()


def test_a_link_that_leads_nowhere_is_refused_before_anything_is_written(
    connected: Side, curve: Site, tmp_path: Path
) -> None:
    model = stores.add_model(connected, "ranker:v1", {"w": b"w"})
    (model / "link").symlink_to("nowhere")
    words = ("--model", "ranker:v1", "-o", tmp_path / "d", "--key", curve.key())

    ran = refusals.expect_refusal(
        connected, "export", *words, "--emit-model-signature", error=UsageError
    )

    assert "is broken" in ran.json["error"]["message"]
    assert not (tmp_path / "d").exists()


def test_an_archive_for_stock_bentoml_takes_none(models: Side, curve: Site, tmp_path: Path) -> None:
    words = ("-o", tmp_path / "x.bento", "--key", curve.key(), "--emit-model-signature")

    refusals.expect_refusal(models, "export", "shop:v1", *words, error=UsageError)


# What somebody else may have put there


def _wrapped(raw: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(raw)
    change(document)
    return json.dumps(document).encode()


def _restated(raw: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    def rewrite(document: dict[str, Any]) -> None:
        envelope = document["dsseEnvelope"]
        statement = json.loads(base64.b64decode(envelope["payload"]))
        change(statement)
        envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()

    return _wrapped(raw, rewrite)


ODD: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "no JSON": lambda _: b"\xff\r\n",
    "deep": lambda _: b"[" * 100_000,
    "deep objects": lambda _: b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "a huge number": lambda _: b"9" * 60_000,
    "a number": lambda _: b"1",
    "a list": lambda _: b"[]",
    "huge": lambda raw: raw + b" " * 2**20,
    "cut off": lambda raw: raw[: len(raw) // 2],
    "other media": lambda raw: raw.replace(b"v0.3", b"v9.9"),
    "no envelope": lambda raw: _wrapped(raw, lambda one: one.pop("dsseEnvelope")),
    "no hint map": lambda raw: _wrapped(raw, lambda one: one.update(verificationMaterial=[])),
    "two signatures": lambda raw: _wrapped(
        raw, lambda one: one["dsseEnvelope"]["signatures"].append({"sig": ""})
    ),
    "keys twice": lambda raw: raw.replace(b'{"mediaType"', b'{"mediaType":1,"mediaType"'),
    "line ends": lambda raw: raw.replace(b",", b",\r\n"),
    "a file less": lambda raw: _restated(raw, lambda one: one["predicate"]["resources"].pop()),
    "another digest": lambda raw: _restated(
        raw, lambda one: one["predicate"]["resources"][0].update(digest="00" * 32)
    ),
    "weights ignored": lambda raw: _restated(
        raw, lambda one: one["predicate"]["serialization"]["ignore_paths"].append("weights.bin")
    ),
    "odd ignored": lambda raw: _restated(
        raw, lambda one: one["predicate"]["serialization"].update(ignore_paths=[[]])
    ),
    "a method": lambda raw: _restated(
        raw, lambda one: one["predicate"]["serialization"].update(method="shards")
    ),
    "no subject": lambda raw: _restated(raw, lambda one: one.update(subject=[])),
    "another signature": lambda raw: _wrapped(
        raw, lambda one: one["dsseEnvelope"]["signatures"][0].update(sig="AAAA")
    ),
    "no signature": lambda raw: _wrapped(
        raw, lambda one: one["dsseEnvelope"]["signatures"][0].update(sig="")
    ),
    "another hint": lambda raw: _wrapped(
        raw, lambda one: one["verificationMaterial"]["publicKey"].update(hint="x")
    ),
}
HARMLESS = {"keys twice", "line ends"}  # the same to whoever reads JSON
UNKNOWN = {"another signature", "no signature", "another hint"}


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, Path]:
    """A depot with one model and its signature."""
    folder = tmp_path_factory.mktemp("odd")
    site = sides.make_site(folder / "site", algorithm="ecdsa-p256-sha256")
    side = Side(folder / "connected")
    stores.add_model(side, "ranker:v1", {"weights.bin": b"w", "a": b"1"})
    words = ("-o", folder / "depot", "--key", site.key(), "--emit-model-signature")
    assert side.run("export", "--model", "ranker:v1", *words).code == 0
    return site, folder / "depot"


@pytest.fixture
def checker(tmp_path: Path, signed: tuple[Site, Path]) -> Side:
    side = Side(tmp_path / "judge")
    side.top.mkdir()
    sides.trust(side, signed[0])
    return side


@pytest.mark.parametrize("what", ODD)
def test_an_odd_signature_is_harmless(what: str, signed: tuple[Site, Path], checker: Side) -> None:
    (path,) = signatures(signed[1])
    good = path.read_bytes()
    path.write_bytes(ODD[what](good))
    try:
        ran = checker.run("verify", signed[1], "--json")
    finally:
        path.write_bytes(good)

    assert ran.code == 0, ran.err
    expected = "holds" if what in HARMLESS else "does not fit"
    expected = "unknown signer" if what in UNKNOWN else expected
    assert [one["verdict"] for one in ran.json["model_signatures"]] == [expected]


def test_a_signature_that_does_not_fit_is_not_handed_out(
    signed: tuple[Site, Path], checker: Side, tmp_path: Path
) -> None:
    (path,) = signatures(signed[1])
    good = path.read_bytes()
    path.write_bytes(b"{}")
    try:
        ran = checker.run("import", signed[1], "--model-signatures", tmp_path / "h")
    finally:
        path.write_bytes(good)

    assert ran.code == 0, ran.err
    assert not list(tmp_path.glob("h/**/model.sig"))


@pytest.mark.parametrize("what", ["link", "folder", "other name"])
def test_what_is_no_file_or_no_models_is_passed_over(
    what: str, signed: tuple[Site, Path], checker: Side
) -> None:
    (path,) = signatures(signed[1])
    aside = path.with_name("aside")
    path.rename(aside)
    stranger = path.with_name(f"{'0' * 64}.model.sig") if what == "other name" else path
    if what == "link":
        stranger.symlink_to(aside)
    elif what == "folder":
        stranger.mkdir()
    else:
        stranger.write_bytes(b"{}")
    try:
        ran = checker.run("verify", signed[1], "--json")
    finally:
        stranger.rmdir() if what == "folder" else stranger.unlink()
        aside.rename(path)

    assert ran.code == 0, ran.err
    verdicts = [one["verdict"] for one in ran.json["model_signatures"]]
    assert verdicts == ([] if what == "other name" else ["does not fit"])


def test_in_a_single_file_they_come_after_the_packs(
    models: Side, curve: Site, tmp_path: Path
) -> None:
    export(models, tmp_path / "x.airgap", curve)

    with tarfile.open(tmp_path / "x.airgap") as opened:
        names = [one.name.rpartition("/")[2] for one in opened.getmembers()]

    kinds = [name.rpartition(".")[2] for name in names]
    assert kinds[-6:] == ["pack", "sig", "sig", "txt", "txt", "py"]
    assert names[-5] < names[-4]
