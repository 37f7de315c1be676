"""What airgap wrote itself may be damaged, or written by others: it is read with care."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from airgap.store import environments
from airgap.store.bento_runtime import read_runtime
from airgap.store.environments import EnvironmentDescription, read_environment
from airgap.store.install_paths import InstallPath
from airgap.store.volume_progress import VolumeProgress, VolumeRecord
from tests.support import stores

DESCRIPTION = EnvironmentDescription(
    "shop:v1", "shop:w1", 2, ("words:v1",), "/usr/bin/python3", "3.11.7", "ab", 1_700_000_000
)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((name, 1) for name in ("bento", "wheelhouse", "python", "bundle")),
        *((name, []) for name in ("bento", "wheelhouse", "python", "bundle")),
        ("python_version", None),
        *(("packages", count) for count in ("2", 2.5, True, -1, 10**30)),
        *(("created_at", time) for time in ("now", 1e300, 10**18, -1, None)),
        *(("files", files) for files in ("abc", [1], {"a": 1}, None)),
    ],
)
def test_a_description_of_an_environment_with_another_type_is_none(
    field: str, value: object, tmp_path: Path
) -> None:
    document = {"format": 1, **asdict(DESCRIPTION)}
    for change, is_read in (({}, True), ({field: value}, False)):
        text = json.dumps({**document, **change}, sort_keys=True, indent=1) + "\n"
        (tmp_path / environments.DESCRIPTION).write_text(text)

        assert (read_environment(tmp_path) is not None) is is_read


@pytest.fixture
def progress(tmp_path: Path) -> VolumeProgress:
    progress = VolumeProgress(
        InstallPath(tmp_path / "shop" / "v1", tmp_path, None, may_hold_more=False), "0" * 64
    )
    progress.save(VolumeRecord(frozenset({0, 1, 999_999}), frozenset({7})))
    return progress


def test_the_packs_that_were_seen_are_remembered(progress: VolumeProgress) -> None:
    assert progress.load() == VolumeRecord(frozenset({0, 1, 999_999}), frozenset({7}))


@pytest.mark.parametrize(
    "runs",
    [
        [[0, 10**15]],
        [[0, 900_000]] * 100_000,
        [[-5, 6]],
        [[5, -1]],
        [[999_999, 2]],
        [[0.0, 2.0]],
        [["0", 1]],
        [[0]],
        [[0, 1, 2]],
        {"0": 1},
        7,
    ],
)
def test_runs_of_no_packs_are_not_remembered(runs: object, progress: VolumeProgress) -> None:
    (journal,) = progress.folder.glob("seen.json")
    journal.write_text(json.dumps({"staged": runs, "damaged": []}))

    assert progress.load() == VolumeRecord()


@pytest.mark.parametrize(
    ("version", "python"),
    [("3.11.7", "3.11"), (" 3.12.1\n", "3.12"), ("\n", "3.13"), (" \t", "3.13"), (None, "3.13")],
)
def test_the_python_of_a_bento_is_that_of_its_version_file_unless_that_is_blank(
    version: str | None, python: str, tmp_path: Path
) -> None:
    stores.write_files(tmp_path, {"bento.yaml": b"image: {python_version: ' 3.13 '}\n"})
    if version is not None:
        stores.write_files(tmp_path, {"env/python/version.txt": version.encode()})

    assert read_runtime(tmp_path).python == python
