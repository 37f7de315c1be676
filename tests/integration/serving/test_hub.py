"""Stock huggingface_hub downloads snapshots from a mirror."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import stores
from tests.support.mirrors import RunningMirror, export, find_pack, flip_byte, running, serving
from tests.support.sides import Side, Site, unmeasured_environment

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b"{}",
    "onnx/model.onnx": stores.noise(300_000),
    "model.safetensors": stores.noise(200_000)[::-1],
}


@pytest.fixture
def depot(connected: Side, site: Site, tmp_path: Path) -> Path:
    stores.add_snapshot(connected, "acme/tiny", COMMIT, FILES)
    entry = stores.hugging_face_entry("acme/tiny", COMMIT)
    stores.add_bento(connected, "shop:v1", {"a.txt": b"a"}, models=[entry])
    export(connected, tmp_path / "depot", site, "shop:v1")
    return tmp_path / "depot"


@pytest.fixture
def mirror(isolated: Side, depot: Path) -> Iterator[RunningMirror]:
    with running(isolated, depot) as mirror:
        yield mirror


def run_hub(home: Path, mirror: RunningMirror, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in which ``hub`` is stock huggingface_hub, with a cache of its own."""
    environment = {**unmeasured_environment(), "HF_HOME": str(home), "HF_ENDPOINT": mirror.url}
    for name in ("HF_HUB_OFFLINE", "AIRGAP_HOME"):
        environment.pop(name, None)
    return subprocess.run(
        [sys.executable, "-c", f"import json\nimport huggingface_hub as hub\n{script}"],
        env={**environment, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


QUESTIONS = """
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError
from huggingface_hub.errors import RevisionNotFoundError

def error_of(function, *words, **options):
    try:
        function(*words, **options)
    except Exception as error:
        return type(error).__name__

api = hub.HfApi()
print(json.dumps({
    "folder": hub.snapshot_download("acme/tiny"),
    "by commit": hub.snapshot_download("Acme/Tiny", revision=COMMIT, cache_dir=OTHER),
    "files": sorted(api.list_repo_files("acme/tiny")),
    "exists": [hub.file_exists("acme/tiny", name) for name in ("config.json", "none.json")],
    "sha": api.model_info("acme/tiny").sha,
    "paths": [one.path for one in api.get_paths_info("acme/tiny", ["config.json", "none"])],
    "top": sorted(one.path for one in api.list_repo_tree("acme/tiny")),
    "refs": [one.name for one in api.list_repo_refs("acme/tiny").branches],
    "models": [one.id for one in api.list_models(search="tiny")],
    "who": api.whoami(token="any")["name"],
    "errors": [
        error_of(hub.hf_hub_download, "acme/tiny", "none.json"),
        error_of(hub.hf_hub_download, "acme/none", "config.json"),
        error_of(hub.snapshot_download, "acme/tiny", revision="dev"),
    ],
}))
"""


def test_snapshots_are_downloaded_and_described(mirror: RunningMirror, tmp_path: Path) -> None:
    other = tmp_path / "other"
    names = f"COMMIT, OTHER = {COMMIT!r}, {str(other)!r}\n"
    ran = run_hub(tmp_path / "home", mirror, names + QUESTIONS)
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)

    for folder in (Path(seen.pop("folder")), Path(seen.pop("by commit"))):
        assert folder.name == COMMIT
        for path, data in FILES.items():
            assert (folder / path).read_bytes() == data
            assert (folder / path).resolve().name == hashlib.sha256(data).hexdigest()
    assert seen == {
        "files": sorted(FILES),
        "exists": [True, False],
        "sha": COMMIT,
        "paths": ["config.json"],
        "top": ["config.json", "model.safetensors", "onnx"],
        "refs": ["main"],
        "models": ["acme/tiny"],
        "who": "airgap",
        "errors": ["RemoteEntryNotFoundError", "RepositoryNotFoundError", "RevisionNotFoundError"],
    }


def test_a_file_that_is_damaged_while_it_is_served_is_not_kept(
    isolated: Side, depot: Path, tmp_path: Path
) -> None:
    with serving(isolated, depot):
        pass
    with running(isolated, depot) as mirror:
        flip_byte(find_pack(depot), 100_000)
        ran = run_hub(tmp_path / "home", mirror, "hub.snapshot_download('acme/tiny')")
    assert ran.returncode != 0
    files = [path for path in (tmp_path / "home").rglob("snapshots/*/*") if path.is_file()]
    assert all(path.read_bytes() == FILES[path.name] for path in files)
    assert len(files) < len(FILES)
