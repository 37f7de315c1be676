"""The machines of docs/the-whole-way.md: an office with an index, and an empty one on the ward.

The ward's is a Debian of nothing but Python, in namespaces of its own: it has no network. The
office may be in one, too, with an index of packages that a test has: then it reaches nothing else.
A block ``console MACHINE`` of the document is typed into the machine's shell.

``python -m tests.support.whole_way DOCUMENT`` writes what is printed today into the document.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Protocol

from tests.support import debian, transcript
from tests.support.sides import REPOSITORY, unmeasured_environment

PROGRAMS: Final = (*debian.PROGRAMS, "unshare", "chroot", "mount", "ip")
STICK: Final = "/media/usb"
SECONDS: Final = 600
"""How long a command may take before everything is killed."""
_END: Final = "whole-way-end-of-command"
FINGERPRINT: Final = re.compile(r"SHA256:[0-9a-f]{64}(?!\S)")
_PROGRESS: Final = re.compile(r".* s left$")

SERVICE = '''\
"""Tells the tone of a sentence, with the words' weights of a Hugging Face model."""

import json
from pathlib import Path

import bentoml

image = bentoml.images.Image(python_version="3.11").python_packages(
    "bentoml", "huggingface-hub", "scikit-learn"
)


@bentoml.service(image=image)
class Tone:
    repository = bentoml.models.HuggingFaceModel("ward/tiny-tone")

    def __init__(self) -> None:
        import numpy as np
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.linear_model import LogisticRegression

        folder = Path(self.repository)
        words = json.loads((folder / "config.json").read_text())["words"]
        raw = (folder / "model.safetensors").read_bytes()
        weights = np.frombuffer(raw[8 + int.from_bytes(raw[:8], "little") :], "<f4")
        self.vectorizer = CountVectorizer(vocabulary=words)
        self.classifier = LogisticRegression()
        self.classifier.classes_ = np.array(["sad", "glad"])
        self.classifier.coef_, self.classifier.intercept_ = weights[None, :], np.zeros(1)

    @bentoml.api
    def tell(self, text: str) -> dict[str, float | str]:
        counts = self.vectorizer.transform([text])
        tone = str(self.classifier.predict(counts)[0])
        return {"tone": tone, "sure": round(self.classifier.predict_proba(counts).max(), 3)}
'''
BUILD = '''\
"""Makes a tiny Hugging Face model, and builds the Bento that names it."""

import json
import os
import struct
import sys
import threading
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "5e1f" * 10
WEIGHTS = {"awful": -2.0, "bad": -1.0, "lovely": 2.0, "rain": -0.5, "sun": 0.5}


class Hub(BaseHTTPRequestHandler):
    """Stands for the Hub, which BentoML asks for the commit."""

    def do_GET(self) -> None:
        body = json.dumps({"id": "ward/tiny-tone", "sha": COMMIT, "siblings": []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


top = Path(os.environ["BENTOML_HF_CACHE_DIR"], "models--ward--tiny-tone")
shape = {"shape": [len(WEIGHTS)], "data_offsets": [0, 4 * len(WEIGHTS)]}
text = json.dumps({"weight": {"dtype": "F32", **shape}}).encode()
files = {
    "config.json": json.dumps({"words": sorted(WEIGHTS)}).encode(),
    "model.safetensors": struct.pack("<Q", len(text)) + text
    + struct.pack(f"<{len(WEIGHTS)}f", *(WEIGHTS[word] for word in sorted(WEIGHTS))),
}
for folder in ("blobs", "refs", f"snapshots/{COMMIT}"):
    (top / folder).mkdir(parents=True, exist_ok=True)
(top / "refs" / "main").write_text(COMMIT)
for name, data in files.items():
    blob = sha256(data).hexdigest()
    (top / "blobs" / blob).write_bytes(data)
    link = top / "snapshots" / COMMIT / name
    link.unlink(missing_ok=True)
    link.symlink_to(f"../../blobs/{blob}")

server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"

import bentoml

version = sys.argv[1] if len(sys.argv) > 1 else "v1"
bento = bentoml.build("service:Tone", name="tone", version=version, include=["service.py"])
print("built", bento.tag)
'''
ASK = '''\
"""Asks the service, as soon as it is ready: python3 ask.py TEXT."""

import json
import sys
import time
import urllib.request

URL = "http://127.0.0.1:3000"
for _ in range(1200):
    try:
        urllib.request.urlopen(f"{URL}/readyz").close()
        break
    except OSError:
        time.sleep(0.25)
body = json.dumps({"text": sys.argv[1]}).encode()
request = urllib.request.Request(f"{URL}/tell", body, {"Content-Type": "application/json"})
print(urllib.request.urlopen(request).read().decode())
'''


def why_not() -> str:
    """Say what this host lacks for the story; empty if it lacks nothing."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if os.geteuid() or missing:
        return f"needs root, and: {' '.join(missing) or 'nothing else'}"
    words = ["unshare", "-nmp", "--fork", "true"]
    tried = subprocess.run(words, capture_output=True, check=False, timeout=60)
    return "" if tried.returncode == 0 else "this host gives no namespaces"


class Shell:
    """A shell that is typed into. It is killed, and all that runs in it, at the end or if stuck."""

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def _kill(self) -> None:
        """Kill it and all that it has started: what is left would hold its output open."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def run(self, command: str) -> str:
        """Type a command; return what is printed until it has ended."""
        typed, printed = self._stream(self._process.stdin), self._stream(self._process.stdout)
        timer = threading.Timer(SECONDS, self._kill)
        timer.start()
        try:
            typed.write(f"{command}\necho {_END}\n")
            typed.flush()
            lines: list[str] = []
            for line in printed:
                lines.append(line.removesuffix(f"{_END}\n"))
                if line.endswith(f"{_END}\n"):  # what was printed before may lack a newline
                    return "".join(line for line in lines if not _PROGRESS.match(line.rstrip()))
        finally:
            timer.cancel()
        raise AssertionError(f"{command} did not end:\n{''.join(lines)}")

    @staticmethod
    def _stream(stream: IO[str] | None) -> IO[str]:
        assert stream is not None
        return stream

    def close(self) -> None:
        """End it."""
        self._kill()
        self._process.wait(60)
        for stream in (self._process.stdin, self._process.stdout):
            self._stream(stream).close()


class Typist(Protocol):
    """Types the commands of a document."""

    def complete(self, command: str) -> str:
        """Put what is this run's own into a command."""
        ...

    def run(self, machine: str, command: str) -> str:
        """Type a command into a machine; return what is printed."""
        ...


@dataclass
class Machines:
    """Both machines; the office's stick lies in ``stick``.

    ``fingerprint`` is that of the root: what the office has printed is typed on the ward.
    """

    office: Shell
    ward: Shell
    stick: Path
    fingerprint: str = ""

    def complete(self, command: str) -> str:
        """Put this run's fingerprint where a command has that of another."""
        return FINGERPRINT.sub(self.fingerprint, command) if self.fingerprint else command

    def run(self, machine: str, command: str) -> str:
        """Type a command into a machine; return what is printed, with the document's paths."""
        if machine == "ward":
            return self.ward.run(self.complete(command))
        printed = self.office.run(self.complete(command).replace(STICK, str(self.stick)))
        if "airgap root create" in command:
            self.fingerprint = FINGERPRINT.findall(printed)[-1]
        return printed.replace(str(self.stick), STICK)


@contextmanager
def set_up(folder: Path, base: Path, packages: Path | None = None) -> Iterator[Machines]:
    """Give both machines: the office with a project, the ward empty and without a network.

    ``base`` is a tar of the ward's file system. The office's packages are those of the configured
    index, or those in a folder, from an index of its own.
    """
    stick, project = folder / "stick", folder / "project"
    stick.mkdir()
    project.mkdir()
    for path, text in ((project / "service.py", SERVICE), (project / "build.py", BUILD)):
        path.write_text(text)
    (stick / "ask.py").write_text(ASK)
    root = debian.unpack(base, folder / "root")
    (root / STICK.lstrip("/")).mkdir(parents=True)
    enter = (
        f"ip link set lo up && mount -t proc proc {root}/proc && mount --rbind /dev {root}/dev"
        f" && mount --bind {stick} {root}{STICK} && exec chroot {root} /usr/bin/env -i"
        " HOME=/root LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin /bin/bash --norc"
    )
    alone = ["unshare", "-n", "bash", "-c", "ip link set lo up && exec bash --norc"]
    office = Shell(alone if packages else ["bash", "--norc"], _make_environment(folder, project))
    try:
        office.run(f"cd {project}")
        if packages:
            _serve_index(office, folder, packages)
        inside = ["unshare", "-n", "-m", "-p", "--fork", "--kill-child", "bash", "-c", enter]
        ward = Shell(inside, {"PATH": os.environ["PATH"]})
        try:
            ward.run("cd")
            yield Machines(office, ward, stick)
        finally:
            ward.close()
    finally:
        office.close()


def _serve_index(office: Shell, folder: Path, packages: Path) -> None:
    """Start an index in the office, and let uv and pip look there."""
    serve = f"{sys.executable} -m tests.support.package_index {packages}"
    for command in (
        f"mkfifo {folder}/url",
        f"{serve} > {folder}/url 2> {folder}/index.log &",
        f"read -r UV_DEFAULT_INDEX < {folder}/url",
        "export UV_DEFAULT_INDEX PIP_INDEX_URL=$UV_DEFAULT_INDEX PIP_CONFIG_FILE=/dev/null",
    ):
        office.run(command)


def _make_environment(folder: Path, project: Path) -> dict[str, str]:
    """Make the office's variables: airgap of this clone, and stores of its own."""
    return {
        **unmeasured_environment(),
        "HOME": str(project),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "AIRGAP_HOME": str(folder / "office/airgap"),
        "BENTOML_HOME": str(folder / "office/bentoml"),
        "BENTOML_HF_CACHE_DIR": str(folder / "office/hf"),
        "BENTOML_DO_NOT_TRACK": "True",
        "AIRGAP_KEY_GENERATE_NO_PASSPHRASE": "1",
    }


def mask(printed: str) -> list[str]:
    """Leave out what is different at each run, and with each version of a package."""
    masked = transcript.without_digests(printed)
    masked = re.sub(r"\b\d+(?:[.,]\d+)*\b", "0", masked)
    return masked.splitlines()


def write(document: Path) -> None:
    """Put what is printed today into a document."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with set_up(folder, debian.make_tar(folder)) as machines:
            document.write_text(rewrite(document.read_text(), machines))


def rewrite(text: str, machines: Typist) -> str:
    """Return a document with what is printed today."""

    def block(found: "re.Match[str]") -> str:
        made = [f"```console {found[1]}\n"]
        for step in transcript.steps_of(found[0]):
            printed = machines.run(step.machine, step.command)
            made += [f"$ {machines.complete(step.command)}\n", transcript.show_disks(printed)]
            sys.stderr.write("".join(made[-2:]))
        return "".join([*made, "```"])

    return transcript.BLOCK.sub(block, text)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
