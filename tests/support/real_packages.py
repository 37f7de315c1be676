"""Real packages for an index of the tests: pip fetches them once from the configured index.

``AIRGAP_TEST_WHEELS`` names a folder to keep them in; else they are fetched once in each run.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from airgap.wheels.targets import format_for_uv, list_platforms, read_target
from tests.support.sides import REPOSITORY

SECONDS: Final = 300
DOWNLOADS: Final = 3
ARM: Final = "cp311-manylinux_2_28_aarch64"
MUSL: Final = ("cp311-musllinux_1_2_x86_64", "cp311-musllinux_1_2_aarch64")
OF_A_BENTO: Final = ("bentoml", "huggingface-hub", "humanize==4.9.0", "attrs")
SCIKIT_LEARN: Final = "scikit-learn"
NEEDED_BY_SCIKIT_LEARN: Final = ("joblib", "narwhals", "numpy", "scipy", "threadpoolctl")
"""It has no wheel for musl itself; all that it needs has."""
ONLY_WHEELS: Final = "--only-binary :all:"
TO_BUILD: Final = ("setuptools", "wheel")
"""What those that have no wheel are built with."""


def find_kit_requirements() -> list[str]:
    """Return what airgap needs, with all of its extras."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    return [*project["dependencies"], *(line for lines in extras for line in lines)]


def find_host_targets() -> tuple[str, ...]:
    """Return the targets of the Python that runs the tests, and of the Debian in them."""
    minors = sorted({11, sys.version_info.minor})
    return tuple(f"cp3{minor}-manylinux_2_28_x86_64" for minor in minors)


def fetch(folder: Path) -> Path:
    """Fetch the packages, with all that they need, for each target; return their folder."""
    kept = Path(os.environ.get("AIRGAP_TEST_WHEELS", folder / "kept"))
    if not kept.exists():
        packages = folder / "packages"
        packages.mkdir()
        with ThreadPoolExecutor(DOWNLOADS) as pool:
            lots = [
                pool.submit(_download, folder / f"lot{number}", target, lines)
                for number, (target, lines) in enumerate(_list_lots())
            ]
            for lot in lots:
                for path in lot.result().iterdir():
                    path.replace(packages / path.name)
        shutil.move(packages, kept)
    return kept


def _list_lots() -> Iterator[tuple[str, list[str]]]:
    """Yield targets, and what pip is asked for."""
    for target in find_host_targets():
        yield target, [*find_kit_requirements(), *TO_BUILD]
    for target in (*find_host_targets(), ARM):
        yield target, [*OF_A_BENTO, SCIKIT_LEARN, ONLY_WHEELS]
    for target in MUSL:
        yield target, [*OF_A_BENTO, *NEEDED_BY_SCIKIT_LEARN, ONLY_WHEELS]


def _download(folder: Path, name: str, lines: Sequence[str]) -> Path:
    folder.mkdir()
    target = read_target(name)
    asked, lock, wheels = folder / "asked.txt", folder / "lock.txt", folder / "wheels"
    asked.write_text("".join(f"{line}\n" for line in lines))
    platforms = (word for each in list_platforms(target) for word in ("--platform", each))
    platform = format_for_uv(target)
    compile_ = ("pip", "compile", "--quiet", "--no-header", "--no-annotate", asked, "-o", lock)
    download = ("download", "--quiet", "--no-deps", "--dest", wheels, "-r", lock)
    _run("uv", *compile_, "--python-version", target.python, "--python-platform", platform)
    _run("pip", *download, "--python-version", target.python, "--implementation", "cp", *platforms)
    return wheels


def _run(module: str, *words: str | Path) -> None:
    command = [sys.executable, "-m", module, *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
