"""The demo's steps: build, sign, carry, verify, import, serve; then a changed byte."""

import http.client
import importlib.util
import json
import re
import shutil
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from airgap.disk.digests import digest_file
from airgap.errors import AirgapError, ConfigurationError, CorruptError
from airgap.flow.bundle import open_bundle
from airgap.flow.demo.hub import serve_hub
from airgap.flow.demo.machine import DemoDisplay, Machine, Step, format_command
from airgap.flow.demo.server import LOOPBACK, RunningServer, find_free_port, run_server
from airgap.flow.location.location import ArchiveFile

__all__ = ["QUESTION", "DemoResult", "build", "run_demo"]

BENTO: Final = "mood:v1"
QUESTION: Final = {"text": "thank you for the lovely and friendly help"}
_STICK: Final = "../usb-stick"


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The bundle, the prediction that was served, the refusal, and every command."""

    bundle: str
    prediction: dict[str, Any]
    refusal: Step
    steps: tuple[Step, ...]


def run_demo(folder: Path, display: DemoDisplay, *, with_env: bool = False) -> DemoResult:
    """Carry a Bento from ``folder/connected`` to ``folder/isolated`` and serve it there.

    With ``with_env``, its Python packages come from an index and travel too, and it is served in an
    environment that is made from them; else by the bentoml of this Python.

    Raises:
        ConfigurationError: this Python has no bentoml, or one of the commands failed.
    """
    if importlib.util.find_spec("bentoml") is None:
        raise ConfigurationError(
            "The demo builds and serves a real Bento, and this Python has no bentoml.",
            "Run: pip install 'bento-airgap[bentoml]'",
        )
    steps: list[Step] = []
    display.show_heading("The connected side")
    connected = Machine(folder / "connected", display, steps, offline=False)
    build(connected, display)
    fingerprint = _make_keys(connected, display)
    _export(connected, display, with_env=with_env)
    display.show_heading("The isolated side")
    isolated = Machine(folder / "isolated", display, steps)
    _pin(isolated, fingerprint, display)
    bundle = _verify(isolated, display)
    _import(isolated, display)
    if with_env:
        _make_environment(isolated, display)
    prediction = _serve(isolated, display, with_env=with_env)
    display.show_heading("A changed byte")
    refusal = _tamper(isolated, display)
    return DemoResult(bundle, prediction, refusal, tuple(steps))


def build(connected: Machine, display: DemoDisplay) -> None:
    """Train the model and build the Bento, in the stores of a machine."""
    display.show_text(
        "A small model is trained, and a Bento that needs it is built. Its words are a model of"
        " Hugging Face, which the Bento only names; the demo stands for the Hub."
    )
    project = Path(__file__).parent / "project"
    shutil.copytree(
        project, connected.folder / "project", ignore=shutil.ignore_patterns("__pycache__")
    )
    connected.run("python", "train.py", folder="project")
    with serve_hub(connected.hugging_face_cache) as url:
        connected.run(
            *("bentoml", "build", "--version", "v1", "--output", "tag"),
            folder="project",
            settings=f"HF_ENDPOINT={url}",
        )


def _make_keys(connected: Machine, display: DemoDisplay) -> str:
    display.show_text(
        "The site has a key of its own, and one that builders sign with. Real keys have a"
        " passphrase. The root says whose signatures count."
    )
    for name in ("site", "builder"):
        connected.run("airgap", "key", "generate", name, "--no-passphrase")
    made = connected.run(
        *("airgap", "root", "create", "--site", "ward-7", "--root-key", "site.key"),
        *("--builder", "builder.pub", "-o", "root.msgpack"),
    )
    return str(re.findall(r"SHA256:[0-9a-f]{64}", made.output)[-1])


def _export(connected: Machine, display: DemoDisplay, *, with_env: bool) -> None:
    options = ("-o", "mood.airgap", "--key", "builder.key")
    if with_env:
        display.show_text(
            "The Bento, the models it names and all Python packages that it needs become one signed"
            " file. The packages come from the package index, which takes a while..."
        )
        connected.run("airgap", "export", BENTO, "--with-env", "--quiet", *options)
    else:
        display.show_text("The Bento and the models it names become one signed file...")
        connected.run("airgap", "export", BENTO, *options)
    display.show_text("... that crosses the gap on a stick, with the root.")
    stick = connected.folder / _STICK
    stick.mkdir()
    files = ["mood.airgap", *sorted(path.name for path in connected.folder.glob("root.*"))]
    display.show_command("cp mood.airgap root.* ../usb-stick/")
    for file in files:
        shutil.copy(connected.folder / file, stick)
    connected.record("cp mood.airgap root.* ../usb-stick/", 0, "")


def _pin(isolated: Machine, fingerprint: str, display: DemoDisplay) -> None:
    display.show_text(
        "Nothing is trusted on first use: the fingerprint was read out over the phone."
    )
    isolated.run(
        *("airgap", "trust", "init", f"{_STICK}/root.msgpack", "--fingerprint", fingerprint)
    )


def _verify(isolated: Machine, display: DemoDisplay) -> str:
    display.show_text("What is on the stick? Looking needs no trust, and proves nothing.")
    isolated.run("airgap", "inspect", f"{_STICK}/mood.airgap")
    display.show_text("Verifying reads every byte and writes none.")
    isolated.run("airgap", "verify", f"{_STICK}/mood.airgap")
    archive = ArchiveFile(isolated.folder / _STICK / "mood.airgap")
    with open_bundle.open_unverified(archive) as opened:
        return opened.bundle


def _import(isolated: Machine, display: DemoDisplay) -> None:
    display.show_text("BentoML knows no Bento here; after the import it does.")
    isolated.run("bentoml", "list")
    isolated.run("airgap", "import", f"{_STICK}/mood.airgap")
    isolated.run("bentoml", "list")


def _make_environment(isolated: Machine, display: DemoDisplay) -> None:
    display.show_text(
        "This side has no index. The packages are installed from the bundle, BentoML among them."
    )
    isolated.run("airgap", "env", "create", BENTO)


def _serve(isolated: Machine, display: DemoDisplay, *, with_env: bool) -> dict[str, Any]:
    options = ["serve", BENTO, "--host", LOOPBACK, "--port", str(find_free_port())]
    if with_env:
        display.show_text("It serves, from this side's store and that environment alone.")
        words = ["airgap", "env", "run", BENTO, "--", *options]
    else:
        display.show_text("It serves, from this side's store alone.")
        words = ["bentoml", *options]
    typed = format_command([*words, "&"])
    display.show_command(typed)
    with run_server(
        [sys.executable, "-m", *words],
        int(options[-1]),
        isolated.folder / "serve.log",
        isolated.environment(),
    ) as server:
        isolated.record(typed, 0, f"[1] {server.pid}")
        prediction = _ask(server, isolated, display)
        display.show_command(f"kill {server.pid}")
    isolated.record(f"kill {server.pid}", 0, "")
    return prediction


def _ask(server: RunningServer, isolated: Machine, display: DemoDisplay) -> dict[str, Any]:
    """Send the question as curl would, which not every machine has."""
    body = json.dumps(QUESTION)
    typed = format_command(
        [
            *("curl", "-i", f"http://{LOOPBACK}:{server.port}/classify"),
            *("-H", "Content-Type: application/json", "-d", body),
        ]
    )
    display.show_command(typed)
    answer = server.post("/classify", body.encode())
    text = answer.body.decode(errors="replace")
    isolated.record(typed, 0, f"{answer.head}\n\n{text}")
    if answer.status != http.client.OK:
        raise ConfigurationError(
            f"The server answered with status {answer.status}.",
            "Run the demo with --keep and see isolated/serve.log in its folder.",
        )
    return dict(json.loads(text))


def _tamper(isolated: Machine, display: DemoDisplay) -> Step:
    """Change one byte of the model's pack; the import must refuse and leave the stores alone."""
    file = isolated.folder / _STICK / "mood.airgap"
    offset, before, after = _flip_byte(file)
    display.show_text(
        f"Now one byte of the file on the stick is changed: byte {offset:,} of"
        f" {file.stat().st_size:,}, from 0x{before:02x} to 0x{after:02x}. An import into another,"
        " empty store refuses it:"
    )
    stores = [isolated.bentoml_home, isolated.folder / "other-store"]
    stores[1].mkdir()
    empty = "BENTOML_HOME=other-store"
    isolated.run("bentoml", "list", settings=empty)
    untouched = [_digest_files(store) for store in stores]
    command = ("airgap", "import", f"{_STICK}/mood.airgap")
    refusal = isolated.run(*command, settings=empty, exit_code=CorruptError.exit_code)
    display.show_command("echo $?")
    display.show_output(str(refusal.exit_code))
    if [_digest_files(store) for store in stores] != untouched:
        raise AirgapError("A refused import changed the store.", "Please report this.")
    isolated.run("bentoml", "list", settings=empty)
    display.show_text(
        f"Exit code {refusal.exit_code} is corrupt. Both stores are byte for byte what they were."
    )
    return refusal


def _flip_byte(file: Path) -> tuple[int, int, int]:
    """Invert the middle byte of the last pack; return where it is, what it was, and what it is."""
    with tarfile.open(file) as archive:
        pack = [member for member in archive if member.name.endswith(".pack")][-1]
    offset = pack.offset_data + pack.size // 2
    with file.open("r+b") as stream:
        stream.seek(offset)
        before = stream.read(1)[0]
        stream.seek(offset)
        stream.write(bytes([before ^ 0xFF]))
    return offset, before, before ^ 0xFF


def _digest_files(store: Path) -> dict[str, bytes]:
    """Return every file of a store with its digest; airgap's own folder is none of the store."""
    return {
        str(path.relative_to(store)): digest_file(path) if path.is_file() else b""
        for path in sorted(store.rglob("*"))
        if ".airgap" not in path.parts
    }
