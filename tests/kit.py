"""What tests share: stores that are made in milliseconds, a site with keys, and snapshots.

Everything here is plain functions and values; fixtures over them are in ``conftest.py``.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airgap.cli.main import main
from airgap.errors import AirgapError
from airgap.ledger.check import read_entries

REPOSITORY = Path(__file__).parent.parent
CREATED = "2026-01-02T03:04:05+00:00"


@dataclass(frozen=True)
class Side:
    """One side of the gap: its stores, its state, and the environment that points there."""

    top: Path

    @property
    def bentoml(self) -> Path:
        return self.top / "bentoml"

    @property
    def hugging_face(self) -> Path:
        return self.top / "hf"

    @property
    def state(self) -> Path:
        return self.top / "airgap"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "BENTOML_HOME": str(self.bentoml),
            "BENTOML_HF_CACHE_DIR": str(self.hugging_face),
            "AIRGAP_HOME": str(self.state),
            "BENTOML_DO_NOT_TRACK": "True",
            "HF_HUB_OFFLINE": "1",
        }

    @contextmanager
    def here(self) -> Iterator[None]:
        """Be on this side: in this process, for the length of the block."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            yield

    def run(self, *arguments: str | Path) -> "Ran":
        """Run the command line in this process."""
        return run_cli(arguments, self.environment)

    def process(
        self, *arguments: str | Path, stdin: bytes = b""
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run the command line in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "airgap", *map(str, arguments)],
            env={**os.environ, **self.environment},
            capture_output=True,
            check=False,
            timeout=120,
            input=stdin,
        )


@dataclass(frozen=True)
class Ran:
    """What a command line printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, which must be exactly one JSON object."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


def run_cli(arguments: Sequence[str | Path], environment: Mapping[str, str]) -> Ran:
    """Run ``airgap`` in this process with captured text output. Bytes need ``Side.process``."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name, value in environment.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, arguments)))
    code = ended.value.code
    assert isinstance(code, int)
    return Ran(code, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Site:
    """Keys and a root, made at run time."""

    folder: Path
    fingerprint: str
    builders: int

    @property
    def root(self) -> Path:
        return self.folder / "root.msgpack"

    def key(self, number: int = 1) -> Path:
        return self.folder / f"builder{number}.key"


def make_site(
    folder: Path, *, builders: int = 1, threshold: int = 1, algorithm: str = "ed25519"
) -> Site:
    """Make a site's keys and its root."""
    nobody = {"AIRGAP_HOME": str(folder / "nobody")}
    for name in ["site", *(f"builder{number + 1}" for number in range(builders))]:
        made = ("--dir", folder, "--no-passphrase", "--algorithm", algorithm, "--json")
        assert run_cli(["key", "generate", name, *made], nobody).code == 0
    options: list[str | Path] = []
    for number in range(builders):
        options += ["--builder", folder / f"builder{number + 1}.pub"]
    options += ["--threshold", f"builder={threshold}", "-o", folder / "root.msgpack", "--json"]
    made_root = run_cli(
        ["root", "create", "--site", "ward", "--root-key", folder / "site.key", *options], nobody
    )
    return Site(folder, made_root.json["fingerprint"], builders)


def trust(side: Side, site: Site) -> None:
    """Let a side trust a site."""
    ran = side.run("trust", "init", site.root, "--fingerprint", site.fingerprint)
    assert ran.code == 0, ran.err


def add_model(side: Side, tag: str, files: Mapping[str, bytes], *, created: str = CREATED) -> Path:
    """Put a model into a side's store as BentoML would, without importing it."""
    name, _, version = tag.partition(":")
    folder = side.bentoml / "models" / name / version
    lines = [f"name: {name}", f"version: {version}", f"creation_time: '{created}'", "module: ''"]
    lines += ["labels: {}", "options: {}", "metadata: {}", "signatures: {}", "api_version: v1"]
    lines += ["context: {framework_name: '', framework_versions: {}}"]
    write_files(folder, {"model.yaml": "\n".join(lines).encode() + b"\n", **files})
    (folder.parent / "latest").write_text(version)
    return folder


def add_bento(
    side: Side,
    tag: str,
    files: Mapping[str, bytes],
    *,
    models: Sequence[str | Mapping[str, Any]] = (),
    created: str = CREATED,
) -> Path:
    """Put a Bento into a side's store as BentoML would, without importing it.

    A model is a tag, or a whole entry of bento.yaml (as ``hugging_face_entry`` makes it).
    """
    name, _, version = tag.partition(":")
    folder = side.bentoml / "bentos" / name / version
    lines = [f"name: {name}", f"version: {version}", f"creation_time: '{created}'"]
    lines += ["service: service:Main", "services:", "- name: Main", "  service: ''"]
    lines += ["  models:" + ("" if models else " []")]
    entries = [{"tag": one} if isinstance(one, str) else one for one in models]
    lines += [f"  - {json.dumps({'creation_time': created, **entry})}" for entry in entries]
    write_files(folder, {"bento.yaml": "\n".join(lines).encode() + b"\n", **files})
    (folder.parent / "latest").write_text(version)
    return folder


def add_snapshot(side: Side, repository: str, commit: str, files: Mapping[str, bytes]) -> Path:
    """Put a snapshot into a side's cache as huggingface_hub would: blobs, and links to them."""
    top = side.hugging_face / f"models--{repository.replace('/', '--')}"
    for path, content in files.items():
        blob = top / "blobs" / hashlib.sha256(content).hexdigest()
        write_files(blob.parent, {blob.name: content})
        link = top / "snapshots" / commit / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return top / "snapshots" / commit


def hugging_face_entry(
    repository: str,
    commit: str,
    *,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Make what bento.yaml says of a Hugging Face model: its id in lower case."""
    name = repository.lower()
    return {
        "tag": f"{name.replace('/', '--')}:{hashlib.md5(commit.encode()).hexdigest()}",  # noqa: S324  (BentoML's)
        "registry": "huggingface",
        "metadata": {
            "model_id": name,
            "revision": commit,
            "endpoint": "https://huggingface.co",
            "include": include,
            "exclude": exclude,
        },
    }


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress, the same at every call."""
    return hashlib.shake_128(b"airgap test noise %d" % seed).digest(size)


class InMemory:
    """A file to be cut, that lies in memory; ``size`` is what it claims to have."""

    def __init__(self, data: bytes, size: int | None = None) -> None:
        self.size = len(data) if size is None else size
        self._data = data
        self._at = 0

    def read(self, count: int) -> bytes:
        self._at += count
        return self._data[self._at - count : self._at]

    def peek(self, offset: int, count: int) -> bytes:
        return self._data[offset : offset + count]


def snapshot(*tops: Path, without: str = "") -> dict[str, str]:
    """Everything below some folders: type, mode, content or target of each path."""
    found: dict[str, str] = {}
    for top in tops:
        for path in [top, *sorted(top.rglob("*"))] if top.exists() else []:
            if without and without in path.parts:
                continue
            found[str(path)] = _describe(path)
    return found


def _describe(path: Path) -> str:
    mode = path.lstat().st_mode
    if path.is_symlink():
        return f"link to {path.readlink()}"
    if path.is_file():
        return f"{mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return f"{mode:o}"


def expect_refusal(
    side: Side, *arguments: str | Path, error: type[AirgapError], staging: bool = False
) -> Ran:
    """Run a command that must be refused, with stores and state byte for byte as before.

    Args:
        side: where it runs.
        arguments: the command line.
        error: the class of the refusal; exit code and kind must be its own.
        staging: whether verified content may stay in staging for the next try.
    """
    without = ".airgap" if staging else ""
    if staging:  # staging needs the homes
        side.bentoml.mkdir(exist_ok=True)
        side.hugging_face.mkdir(exist_ok=True)
    before = _kept(side, without)
    with ledger_tells_refusals(side) if arguments[0] in ("import", "pull") else nullcontext():
        ran = side.run(*arguments, "--json")
    assert ran.code == error.exit_code, f"exit {ran.code}: {ran.err}"
    told = ran.json["error"]
    assert (told["kind"], told["exit_code"]) == (error.kind, error.exit_code)
    assert told["message"]
    assert told["hint"]
    assert _kept(side, without) == before
    return ran


def _kept(side: Side, without: str) -> dict[str, str]:
    """What a refusal may not change: all but copies of manifests that were read in depots."""
    cache = str(side.state / "cache")
    found = snapshot(side.top, without=without)
    return {path: about for path, about in found.items() if not path.startswith(cache)}


@contextmanager
def ledger_tells_refusals(side: Side) -> Iterator[None]:
    """Demand that ledgers grow by no more than refusals; then put them back as they were."""
    folders = [one for one in side.state.glob("sites/*") if (one / "ledger").is_file()]
    before = {path: path.read_bytes() for one in folders for path in one.iterdir()}
    yield
    for folder in folders:
        old, new = before[folder / "ledger"], (folder / "ledger").read_bytes()
        if new == old:
            continue
        assert new.startswith(old)
        count = len(list(read_entries(folder.name, old)))
        entries = [entry for entry, _ in read_entries(folder.name, new)][count:]
        assert [entry.event for entry in entries] == ["refused"]
        for path in folder.iterdir():
            path.write_bytes(before[path])


def openssl_has(algorithm: str) -> bool:
    """Tell whether there is an openssl that can sign with an algorithm."""
    if shutil.which("openssl") is None:
        return False
    listed = subprocess.run(
        ["openssl", "list", "-signature-algorithms"], capture_output=True, text=True, check=False
    )
    return algorithm in listed.stdout
