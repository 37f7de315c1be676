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

__all__ = ["MODULES", "check_bentoml", "check_packages", "check_python"]

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
_USES: Final[Mapping[str, str]] = {
    "paramiko": "sftp://",
    "pyftpdlib": "the drop box",
    "pyopenssl": "the drop box",
}
_OLDEST_BENTOML: Final = (1, 4)
_FIRST_UNKNOWN_BENTOML: Final = (2,)
_MINIMUM: Final = re.compile(r"([\w-]+)(?:\[[^\]]*\])?\s*>=\s*([\d.]+)")


def check_python() -> Iterator[Finding]:
    """Report the versions of Python and airgap."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield ok("python", f"airgap {__version__} runs on Python {version} ({sys.executable}).")


def check_packages(modules: Mapping[str, str] = MODULES) -> Iterator[Finding]:
    """Import every package that airgap needs, and compare its version with the oldest allowed."""
    minimums = _read_minimums()
    versions: list[str] = []
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
        except Exception as error:  # noqa: BLE001  (it tries algorithms that FIPS mode may lack)
            use = _USES.get(distribution, "airgap")
            yield problem(
                "packages",
                f"The package {distribution} cannot be loaded ({type(error).__name__}).",
                f"Without it, {use} cannot be used. In FIPS mode, OpenSSL may lack what it needs.",
            )
            continue
        oldest = minimums.get(distribution, "0")
        if _parse_version(version) < _parse_version(oldest):
            yield problem(
                "packages",
                f"The package {distribution} is version {version}, older than {oldest}.",
                f"Run: {sys.executable} -m pip install --upgrade '{distribution}>={oldest}'",
            )
        versions.append(f"{distribution} {version}")
    yield ok("packages", f"Packages: {', '.join(versions)}.")


def check_bentoml() -> Iterator[Finding]:
    """Report which BentoML this Python has, and whether PATH has a different one."""
    spec = importlib.util.find_spec("bentoml")
    if spec is None or spec.origin is None:
        yield note(
            "bentoml",
            "This Python has no bentoml; airgap carries Bentos without it.",
            "To build, serve, or run the demo here: pip install 'bento-airgap[bentoml]'",
        )
    else:
        version = importlib.metadata.version("bentoml")
        if _OLDEST_BENTOML <= _parse_version(version) < _FIRST_UNKNOWN_BENTOML:
            yield ok("bentoml", f"bentoml {version} is in {Path(spec.origin).parent}.")
        else:
            yield problem(
                "bentoml",
                f"airgap does not know the store of bentoml {version}.",
                f"Run: {sys.executable} -m pip install 'bentoml>=1.4,<2'",
            )
    yield from _check_path(Path(sys.executable).parent)


def _check_path(own: Path) -> Iterator[Finding]:
    path = shutil.which("bentoml")
    if path is not None and Path(path).parent != own:
        yield note(
            "bentoml",
            f"The `bentoml` on PATH is a different one: {path}.",
            "That is fine as long as both have the same BENTOML_HOME.",
        )


def _read_minimums() -> dict[str, str]:
    """Return the oldest version allowed of each package, by airgap's own metadata."""
    try:
        required = importlib.metadata.requires("bento-airgap") or []
    except importlib.metadata.PackageNotFoundError:  # run from a folder
        return {}
    matches = map(_MINIMUM.match, required)
    return {match[1].lower(): match[2] for match in matches if match is not None}


def _parse_version(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, without what follows them."""
    leading = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, leading[0].split("."))) if leading else ()
