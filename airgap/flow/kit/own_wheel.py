"""airgap's own wheel: put together from the files that run, so that a kit carries what made it.

The same files give the same bytes: members are stored, sorted, and have one date.
"""

import base64
import csv
import hashlib
import io
import json
import tomllib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from airgap.errors import ConfigurationError
from airgap.version import __version__

__all__ = ["DISTRIBUTION", "make_wheel", "read_source", "write_own_wheel"]

DISTRIBUTION: Final = "bento-airgap"
_PACKAGE: Final = "airgap"
_INSTALLERS: Final = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
"""Files beside the metadata that an installer has written."""
_DATE: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = 0o100644 << 16
_WHEEL: Final = b"Wheel-Version: 1.0\nGenerator: airgap\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def write_own_wheel(folder: Path) -> Path | None:
    """Write the wheel of the airgap that runs into a folder; None if an index has the same.

    It is made from the source where this is an editable installation, else from the installed
    files, which are compared with the digests that their installer has recorded.

    Raises:
        ConfigurationError: airgap is not installed, or its files are not those that were.
        OSError: a file cannot be read or written.
    """
    try:
        distribution = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError as error:
        raise ConfigurationError(
            f"{DISTRIBUTION} is not installed in the Python that runs this.",
            f"Install it, or name its wheel: --wheel {_name_wheel()}",
        ) from error
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if not origin:
        return None
    if origin.get("dir_info", {}).get("editable"):
        members = read_source(Path(unquote(urlsplit(origin["url"]).path)))
    else:
        members = dict(_read_installed(distribution))
    path = folder / _name_wheel()
    path.write_bytes(make_wheel(members))
    return path


def _name_wheel() -> str:
    return f"{DISTRIBUTION.replace('-', '_')}-{__version__}-py3-none-any.whl"


def _info() -> str:
    return f"{DISTRIBUTION.replace('-', '_')}-{__version__}.dist-info"


def make_wheel(members: Mapping[str, bytes]) -> bytes:
    """Make a wheel of its members, by path, and the RECORD of them."""
    record = io.StringIO()
    writer = csv.writer(record, lineterminator="\n")
    for path, data in sorted(members.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        writer.writerow((path, f"sha256={digest}", len(data)))
    writer.writerow((f"{_info()}/RECORD", "", ""))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        recorded = f"{_info()}/RECORD", record.getvalue().encode()
        for path, data in (*sorted(members.items()), recorded):
            member = zipfile.ZipInfo(path, _DATE)
            member.external_attr = _MODE
            archive.writestr(member, data)
    return made.getvalue()


def read_source(clone: Path) -> dict[str, bytes]:
    """Read the package of a clone, and describe it as its pyproject.toml does.

    Raises:
        ConfigurationError: another package is what runs.
        OSError: a file cannot be read.
    """
    package = Path(__file__).parents[2]
    if package != (clone / _PACKAGE).resolve():
        raise ConfigurationError(
            f"{DISTRIBUTION} is installed from {clone}, and what runs is {package}.",
            "Run the airgap of that installation, or name a wheel with --wheel.",
        )
    project = tomllib.loads((clone / "pyproject.toml").read_text())["project"]
    scripts = "".join(f"{name} = {target}\n" for name, target in project["scripts"].items())
    files = {
        path.relative_to(clone).as_posix(): path.read_bytes()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    pages = {
        f"{_PACKAGE}/documents/{path.name}": path.read_bytes()
        for path in (clone / "docs").glob("*.md")
    }
    return {
        **files,
        **pages,
        f"{_info()}/METADATA": _format_metadata(project).encode(),
        f"{_info()}/WHEEL": _WHEEL,
        f"{_info()}/entry_points.txt": f"[console_scripts]\n{scripts}".encode(),
        f"{_info()}/licenses/LICENSE": (clone / "LICENSE").read_bytes(),
    }


def _format_metadata(project: Mapping[str, Any]) -> str:
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {DISTRIBUTION}",
        f"Version: {__version__}",
        f"Summary: {project['description']}",
        f"License-Expression: {project['license']}",
        "License-File: LICENSE",
        f"Requires-Python: {project['requires-python']}",
        *(f"Requires-Dist: {requirement}" for requirement in project["dependencies"]),
    ]
    for extra, requirements in sorted(project["optional-dependencies"].items()):
        lines.append(f"Provides-Extra: {extra}")
        lines += [f"Requires-Dist: {line}" for line in _add_extra(requirements, extra)]
    return "".join(f"{line}\n" for line in lines)


def _add_extra(requirements: Sequence[str], extra: str) -> Iterator[str]:
    """Yield requirements with the condition that the extra is wanted."""
    for requirement in requirements:
        name, semicolon, marker = requirement.partition(";")
        condition = f"({marker.strip()}) and " if semicolon else ""
        yield f'{name.strip()} ; {condition}extra == "{extra}"'


def _read_installed(distribution: metadata.Distribution) -> Iterator[tuple[str, bytes]]:
    """Yield the installed files that came in a wheel, and compare them with their RECORD."""
    for file in distribution.files or ():
        path = file.as_posix()
        inside = path.startswith((f"{_PACKAGE}/", f"{_info()}/"))
        if not inside or file.name in _INSTALLERS or "__pycache__" in file.parts:
            continue
        data = Path(str(file.locate())).read_bytes()
        if file.hash is not None:
            digest = base64.urlsafe_b64encode(hashlib.new(file.hash.mode, data).digest())
            if digest.rstrip(b"=").decode() != file.hash.value:
                raise ConfigurationError(
                    f"{file.locate()} was changed after its installation.",
                    "Install airgap again, or name its wheel with --wheel.",
                )
        yield path, data
