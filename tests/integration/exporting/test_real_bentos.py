"""The main job on Bentos that the real bentoml built, and that it lists, loads and serves after."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pytest

from airgap.errors import CorruptError
from tests.servers import silent
from tests.support import build_bentos, refusals, sides
from tests.support.python_scripts import Scripts
from tests.support.sides import Side, Site

# `--dist loadfile` lets one worker run them all, so that the Bentos are built once.
pytestmark = pytest.mark.bentoml

BENTOS: Final = ("alias", "hugging", "many", "odd", "pair", "plain")
MODELS: Final = {"alias": ["aliased"], "pair": ["shared"]}
SNAPSHOT: Final = Path("snapshots", build_bentos.COMMIT)
LOWER: Final = "models--sentence-transformers--all-minilm-l6-v2"
MIXED: Final = "models--Sentence-Transformers--All-MiniLM-L6-v2"
TAKEN: Final = {
    "1_Pooling/config.json",
    "config.json",
    "config_sentence_transformers.json",
    "model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
}
"""What the patterns of the Bento take; README.md, vocab.txt and data_config.json stay."""
PATIENCE_SECONDS: Final = 60


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Side:
    """The connected side, with all Bentos. Tests change nothing in it."""
    top = tmp_path_factory.mktemp("built")
    (top / "projects").mkdir()
    side = Side(top / "connected")
    build = subprocess.run(
        [sys.executable, build_bentos.__file__, top / "projects"],
        env={**os.environ, **side.environment},
        cwd=top,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert build.returncode == 0, build.stderr
    return side


@pytest.fixture(scope="session")
def arrived(built: Side, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Side:
    """An isolated side into which all Bentos were imported from one file."""
    top = tmp_path_factory.mktemp("arrived")
    side = Side(top / "isolated")
    side.top.mkdir()
    sides.trust(side, site)
    tags = [f"{name}:v1" for name in BENTOS]
    sent = built.run("export", *tags, "-o", top / "all.airgap", "--key", site.key())
    assert sent.code == 0, sent.err
    came = side.run("import", top / "all.airgap")
    assert came.code == 0, came.err
    (top / "all.airgap").unlink()
    return side


@pytest.mark.parametrize("form", ["depot", "x.airgap"])
@pytest.mark.parametrize(
    "name",  # of "many", 5,000 files run the same lines
    [pytest.param(name, marks=[pytest.mark.no_cover] * (name == "many")) for name in BENTOS],
)
def test_a_real_bento_arrives_as_it_was(
    name: str, form: str, built: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    bundle = tmp_path / form
    sent = built.run("export", f"{name}:v1", "-o", bundle, "--key", site.key())
    assert sent.code == 0, sent.err

    assert isolated.run("verify", bundle).code == 0
    assert not isolated.bentoml.exists()
    assert isolated.run("import", bundle).code == 0

    came = described(isolated.bentoml)
    expected = described(built.bentoml / "bentos" / name, Path("bentos") / name)
    for model in MODELS.get(name, []):
        expected |= described(built.bentoml / "models" / model, Path("models") / model)
    assert came == expected


@pytest.mark.parametrize("form", ["depot", "x.airgap"])
def test_a_real_snapshot_arrives_under_its_lower_case_name(
    form: str, built: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    bundle = tmp_path / form
    assert built.run("export", "hugging:v1", "-o", bundle, "--key", site.key()).code == 0

    assert isolated.run("import", bundle).code == 0

    source, record = built.hugging_face / MIXED / SNAPSHOT, f"trees/{build_bentos.COMMIT}.json"
    assert described(isolated.hugging_face) == {
        f"{LOWER}/{SNAPSHOT}/{path}": f"- {digest(source / path)}" for path in TAKEN
    } | {f"{LOWER}/{record}": f"- {digest(isolated.hugging_face / LOWER / record)}"}


def test_a_real_bento_has_what_the_tests_say(built: Side) -> None:
    odd = described(built.bentoml / "bentos" / "odd" / "v1")

    assert odd["src/run.sh"].startswith("x ")
    assert odd["src/data/run"] == "-> ../run.sh"
    assert odd["src/data/nowhere"] == "-> 日本/not-there"
    assert odd["src/cache/empty"] == "folder"
    assert {"src/data/über.txt", "src/data/日本/語.txt"} <= odd.keys()
    many = described(built.bentoml / "bentos" / "many" / "v1" / "src" / "data")
    assert len(many) == build_bentos.SMALL_FILES


def test_a_real_bento_with_a_decomposed_name_is_refused(
    built: Side, site: Site, tmp_path: Path
) -> None:
    target = tmp_path / "depot"

    ran = refusals.expect_refusal(
        built, "export", "decomposed:v1", "-o", target, "--key", site.key(), error=CorruptError
    )

    assert "src/data/u\u0308ber.txt" in ran.json["error"]["message"]
    assert "normal form C" in ran.json["error"]["message"]
    assert not target.exists()


def test_bentoml_lists_what_arrived(arrived: Side, scripts: Scripts) -> None:
    listed = json.loads(scripts.bentoml(offline(arrived), "list", "-o", "json"))

    assert {one["tag"] for one in listed} == {f"{name}:v1" for name in BENTOS}


def test_bentoml_lists_the_models_that_arrived(arrived: Side, scripts: Scripts) -> None:
    listed = json.loads(scripts.bentoml(offline(arrived), "models", "list", "-o", "json"))

    assert {one["tag"] for one in listed} == {"aliased:v1", "shared:v1"}


def test_bentoml_gets_what_arrived(arrived: Side, scripts: Scripts) -> None:
    got = json.loads(scripts.bentoml(offline(arrived), "get", "odd:latest", "-o", "json"))

    assert (got["name"], got["version"]) == ("odd", "v1")


def test_bentoml_loads_what_arrived(arrived: Side, scripts: Scripts) -> None:
    program = (
        "import bentoml\n"
        "for name in 'alias many odd pair plain hugging'.split():\n"
        "    print(bentoml.get(name + ':v1').tag, *bentoml.get(name).info.entry_service.split())\n"
        "print(bentoml.models.get('shared').path)\n"
    )

    told = scripts.print(program, offline(arrived)).splitlines()

    assert told[0] == "alias:v1 Alias"
    assert len(told) == len(BENTOS) + 1
    assert told[-1] == str(arrived.bentoml / "models" / "shared" / "v1")


def test_a_snapshot_that_arrived_is_served_where_the_hub_never_answers(arrived: Side) -> None:
    with silent.endpoint() as hub:
        variables = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"}
        with served(arrived, "hugging:v1", variables) as port:
            facts = json.loads(ask(port, "POST", "/facts"))

    assert hub.requests == 0
    weights = arrived.hugging_face / LOWER / SNAPSHOT / "model.safetensors"
    assert facts == {"hidden_size": 384, "weights": weights.stat().st_size}


def test_two_services_that_share_a_model_are_served(arrived: Side) -> None:
    with served(arrived, "pair:latest") as port:
        assert ask(port, "POST", "/twice") == b"10000000"


def test_a_model_is_found_by_its_alias_when_served(arrived: Side) -> None:
    with served(arrived, "alias:v1") as port:
        assert ask(port, "POST", "/tag") == b"aliased:v1"


def described(top: Path, prefix: Path = Path()) -> dict[str, str]:
    """What BentoML and people can see of a folder: names, bytes, exec bits, links, empty ones."""
    found = {}
    for path in sorted(top.rglob("*")):
        name = str(prefix / path.relative_to(top))
        if name.startswith(".airgap"):  # what the site remembers
            continue
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            executable = "x" if path.stat().st_mode & 0o100 else "-"
            found[name] = f"{executable} {digest(path)}"
        elif not any(path.iterdir()):
            found[name] = "folder"
    return found


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def offline(side: Side) -> dict[str, str]:
    """The isolated side's environment: no Hub, and no endpoint that would answer."""
    return {**os.environ, **side.environment, "HF_ENDPOINT": "http://127.0.0.1:9"}


@contextmanager
def served(
    side: Side, tag: str, variables: Mapping[str, str] = MappingProxyType({})
) -> Iterator[int]:
    """Serve a Bento with the real bentoml; yield its port once it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = side.top / f"serve-{port}.log"
    command = ["-m", "bentoml", "serve", tag, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            env={**offline(side), **variables},
            cwd=side.top,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until_ready(port, process, log)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_SECONDS)


def wait_until_ready(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Ask until the server says that it is ready; fail at once if it has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with suppress(OSError, HTTPException, AssertionError):
            ask(port, "GET", "/readyz")
            return
        time.sleep(0.1)
    pytest.fail(f"not ready: {log.read_text()}")


def ask(port: int, method: str, path: str) -> bytes:
    """Call an endpoint without arguments; return its answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request(method, path, b"{}", {"Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        return body
    finally:
        connection.close()
