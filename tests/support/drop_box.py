"""A drop box that tests start and stop, and clients for it. Everything is on 127.0.0.1."""

import ftplib
import json
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Thread
from typing import Any, Self

import pytest

from airgap.errors import AirgapError
from airgap.flow.admission import policy
from airgap.flow.bundle import base_bundles, open_bundle
from airgap.flow.importing import install_bundle
from airgap.flow.importing.verify import verify_content
from airgap.flow.location.connector import LOCAL
from airgap.flow.location.location import ArchiveFile, LocalDepot
from airgap.flow.progress import Silent
from airgap.server.dropbox import passwords, server, settings
from airgap.server.dropbox.server import DropBox
from airgap.server.intake.decisions import Verdict
from airgap.server.intake.intake import Runner
from airgap.server.intake.worker import Operation
from tests.support.sides import Side

PASSWORD = "correct horse"  # noqa: S105
PATIENCE = 60.0
_BARE = passwords.PasswordHash(14, 1, 1, bytes(16), b"")
HASH = str(replace(_BARE, key=passwords._derive_key(PASSWORD, _BARE)))  # cheaper than real ones


def wait_until(condition: Callable[[], Any], description: str = "") -> Any:  # noqa: ANN401
    """Wait until a condition holds and return its value; the timeout allows for slow machines."""
    end = time.monotonic() + PATIENCE
    while not (result := condition()):
        assert time.monotonic() < end, f"timed out: {description or condition}"
        time.sleep(0.01)
    return result


def run_in_process(
    operation: Operation,
    location: LocalDepot | ArchiveFile,
    depots: Sequence[LocalDepot | ArchiveFile] = (),
) -> Verdict:
    """Do in this process what the worker's command would do."""
    remember = operation == "import"
    try:
        with open_bundle.open_bundle(location, policy.load(), remember=remember) as bare:
            opened = base_bundles.with_depots(bare, depots, LOCAL)
            if operation == "verify":
                verify_content(opened, jobs=1, progress=Silent())
                return Verdict("done", report={"bundle": opened.bundle})
            imported = install_bundle.install_bundle(
                opened, replace=False, dry_run=False, jobs=1, progress=Silent()
            )
    except AirgapError as error:
        return Verdict(error.kind, error.message, error.hint)
    items = [
        {"tag": item.tag, "kind": item.kind, "outcome": outcome}
        for item, outcome in imported.outcomes
    ]
    return Verdict("done", report={"bundle": opened.bundle, "items": items})


@dataclass
class RunningDropBox:
    """A drop box with a user ``ann``."""

    state: Path
    certificate: Path
    drop_box: DropBox
    lines: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.drop_box.ports[0]

    @property
    def home(self) -> Path:
        return self.state / "incoming" / "ann"

    def log(self, event: str = "") -> list[dict[str, Any]]:
        """Return the lines of the log, or those of one event."""
        path = self.state / "log.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in map(json.loads, lines) if event in ("", line["event"])]

    def status(self) -> dict[str, Any]:
        value = json.loads((self.state / "status.json").read_bytes())
        assert isinstance(value, dict)
        return value

    def wait_for_event(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until an event has been logged ``count`` times; return its lines."""
        return list(wait_until(lambda: len(lines := self.log(event)) >= count and lines, event))

    def wait_for_quarantine(self) -> dict[str, Any]:
        """Wait until one bundle is in quarantine; return its reason."""
        self.wait_for_event("quarantined")
        (path,) = wait_until(lambda: [*self.state.glob("quarantine/ann/*/reason.json")])
        value = json.loads(path.read_bytes())
        assert isinstance(value, dict)
        return value

    def log_in(self, user: str = "ann", password: str = PASSWORD) -> "Client":
        client = Client(self)
        client.auth()
        client.login(user, password)
        client.prot_p()
        return client

    def curl(self, *words: str | Path, url: str = "") -> "subprocess.CompletedProcess[str]":
        """Run curl with TLS on both channels, and a timeout."""
        command = ["curl", "-sS", "--ssl-reqd", "--cacert", self.certificate, "--max-time", "60"]
        command += ["-u", f"ann:{PASSWORD}", *words, url or f"ftp://127.0.0.1:{self.port}/"]
        return subprocess.run(
            list(map(str, command)), capture_output=True, text=True, check=False, timeout=120
        )


class Client(ftplib.FTP_TLS):
    """An FTPS client that can close a data connection properly, or cut it."""

    def __init__(self, box: RunningDropBox, host: str = "127.0.0.1", port: int = 0) -> None:
        context = ssl.create_default_context(cafile=str(box.certificate))
        super().__init__(context=context, timeout=PATIENCE)
        self._connections: list[ssl.SSLSocket] = []
        try:
            self.connect(host, port or box.port)
        except ftplib.Error:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def deliver(
        self, name: str, data: bytes, rest: int | None = None, command: str = "STOR"
    ) -> str:
        """Upload bytes and end properly; return the reply."""
        connection = self.begin(name, rest, command)
        connection.sendall(data)
        connection.unwrap()
        connection.close()
        return self.voidresp()

    def begin(self, name: str, rest: int | None = None, command: str = "STOR") -> ssl.SSLSocket:
        """Begin an upload."""
        self.voidcmd("TYPE I")
        connection = self.transfercmd(f"{command} {name}", rest)
        assert isinstance(connection, ssl.SSLSocket)
        self._connections.append(connection)
        return connection

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        super().close()

    def cut(self, name: str, data: bytes, rest: int | None = None) -> str:
        """Upload bytes, then cut the connection without a TLS close_notify; return the reply."""
        connection = self.begin(name, rest)
        connection.sendall(data)
        with socket.socket(fileno=connection.detach()) as bare:
            bare.shutdown(socket.SHUT_RDWR)
        return self.expect_refusal(self.voidresp)

    def expect_refusal(self, call: Callable[..., Any], *arguments: Any) -> str:  # noqa: ANN401
        """Make a call that must be refused; return the reply."""
        try:
            reply = call(*arguments)
        except ftplib.Error as error:
            return str(error)
        raise AssertionError(f"not refused: {reply}")

    def make_folders(self, *folders: str) -> None:
        for folder in folders:
            self.mkd(folder)

    def deliver_depot(self, depot: Path, top: str = "") -> None:
        """Upload a depot as our own client does: each file as .part, renamed, the manifest last."""
        files = [path for path in depot.rglob("*") if path.is_file()]
        for path in sorted(files, key=lambda path: (path.name == "manifest.msgpack", path)):
            name = top + path.relative_to(depot).as_posix()
            for cut in [at for at, letter in enumerate(name) if letter == "/"]:
                try:
                    self.mkd(name[:cut])
                except ftplib.error_perm:
                    continue
            self.deliver(f"{name}.part", path.read_bytes())
            self.rename(f"{name}.part", name)


def make_certificate(folder: Path) -> Path:
    """Make a self-signed certificate for 127.0.0.1."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    words += ["-nodes", "-days", "2"]
    subject = ["-subj", "/CN=gateway", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run(
        ["openssl", *words, *subject, *files], check=True, capture_output=True, timeout=120
    )
    return folder / "certificate.pem"


def write_config(
    folder: Path,
    certificate: Path | None,
    top: str = "",
    limits: str = "",
    user: str = "",
    **more: str,
) -> Path:
    """Write a config file for tests."""
    tls = (
        f'certificate = "{certificate}"\nkey = "{certificate.with_name("key.pem")}"'
        if certificate
        else "required = false"
    )
    path = folder / "dropbox.toml"
    path.write_text(
        f"""
state = "state"
settle_seconds = 0
{top}
[listen]
address = "127.0.0.1"
port = 0
{more.get("listen", "")}
[tls]
{tls}
[limits]
keep_free = "0 B"
{limits}
[users.ann]
password = "{HASH}"
{user}
[users.bob]
password = "{HASH}"
"""
    )
    return path


@contextmanager
def run_drop_box(
    side: Side, path: Path, certificate: Path | None, run: Runner | None = run_in_process
) -> Iterator[RunningDropBox]:
    """Run a drop box on a side within the block."""
    lines: list[Mapping[str, Any]] = []
    with side.here(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "LOOP_TIMEOUT", 0.01)
        read = settings.load(path)
        box = DropBox(read, lines.append, run)
        thread = Thread(target=box.serve)
        thread.start()
        try:
            yield RunningDropBox(read.state, certificate or Path(), box, lines)
        finally:
            box.stop()
            thread.join(PATIENCE)
        assert not thread.is_alive()
        assert not [line for line in lines if line["event"] == "bug"], lines
