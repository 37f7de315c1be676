"""Python, the packages that airgap needs, and BentoML."""

import importlib
import importlib.metadata
import importlib.util
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from airgap.flow.doctor.finding import Finding, note, ok, problem
from airgap.version import __version__

__all__ = ["MODULES", "bentoml", "packages", "python"]

# The distributions that pyproject.toml names (and bcrypt, for encrypted keys), and what to import.
MODULES: Final[Mapping[str, str]] = {
    "bcrypt": "bcrypt",
    "click": "click",
    "cryptography": "cryptography",
    "msgpack": "msgpack",
    "numpy": "numpy",
    "paramiko": "paramiko",
    "pyftpdlib": "pyftpdlib",
    "pyopenssl": "OpenSSL",
    "pyyaml": "yaml",
    "rich": "rich",
    "zstandard": "zstandard",
}
_OLDEST_BENTOML: Final = (1, 4)
_FIRST_UNKNOWN_BENTOML: Final = (2,)
_MINIMUM: Final = re.compile(r"([\w-]+)(?:\[[^\]]*\])?\s*>=\s*([\d.]+)")


def python() -> Iterator[Finding]:
    """Say which Python and which airgap this is."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield ok("python", f"airgap {__version__} runs on Python {version} ({sys.executable}).")


def packages(modules: Mapping[str, str] = MODULES) -> Iterator[Finding]:
    """Import every package that airgap needs, and compare its version with the oldest allowed."""
    minimums = _minimums()
    found: list[str] = []
    for distribution, module in modules.items():
        try:
            importlib.import_module(module)
            version = importlib.metadata.version(distribution)
        except (ImportError, importlib.metadata.PackageNotFoundError) as error:
            yield problem(
                "packages",
                f"The package {distribution} cannot be used: {error}.",
                f"Run: {sys.executable} -m pip install --force-reinstall {distribution}",
            )
            continue
        oldest = minimums.get(distribution, "0")
        if _numbers(version) < _numbers(oldest):
            yield problem(
                "packages",
                f"The package {distribution} is version {version}, older than {oldest}.",
                f"Run: {sys.executable} -m pip install --upgrade '{distribution}>={oldest}'",
            )
        found.append(f"{distribution} {version}")
    yield ok("packages", f"Packages: {', '.join(found)}.")


def bentoml() -> Iterator[Finding]:
    """Say which BentoML this Python has, and whether the one on PATH is another."""
    here = importlib.util.find_spec("bentoml")
    if here is None or here.origin is None:
        yield note(
            "bentoml",
            "This Python has no bentoml; airgap carries Bentos without it.",
            "To build, serve, or run the demo here: pip install 'bento-airgap[bentoml]'",
        )
    else:
        version = importlib.metadata.version("bentoml")
        if _OLDEST_BENTOML <= _numbers(version) < _FIRST_UNKNOWN_BENTOML:
            yield ok("bentoml", f"bentoml {version} is in {Path(here.origin).parent}.")
        else:
            yield problem(
                "bentoml",
                f"bentoml {version} is not one whose store airgap knows.",
                f"Run: {sys.executable} -m pip install 'bentoml>=1.4,<2'",
            )
    yield from _bentoml_on_path(Path(sys.executable).parent)


def _bentoml_on_path(own: Path) -> Iterator[Finding]:
    found = shutil.which("bentoml")
    if found is not None and Path(found).parent != own:
        yield note(
            "bentoml",
            f"The `bentoml` on PATH is another one: {found}.",
            "That is fine as long as both have the same BENTOML_HOME.",
        )


def _minimums() -> dict[str, str]:
    """Return the oldest version allowed of each package, as airgap's own metadata says."""
    try:
        required = importlib.metadata.requires("bento-airgap") or []
    except importlib.metadata.PackageNotFoundError:  # run from a folder
        return {}
    matches = map(_MINIMUM.match, required)
    return {match[1].lower(): match[2] for match in matches if match is not None}


def _numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version; what follows them does not matter here."""
    leading = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, leading[0].split("."))) if leading else ()
