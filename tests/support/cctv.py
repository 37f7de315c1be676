"""The test vectors of age's specification (C2SP CCTV), from the npm package ``cctv-age``.

The package is in ``tests/vectors/age``; its licence (0BSD, CC0-1.0 or Unlicense) permits that.
"""

import base64
import re
import tarfile
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "vectors" / "age" / "cctv-age-0.2.0.tgz"
_VECTOR = re.compile(r'var \w+_default = __toBinary\("([A-Za-z0-9+/=]+)"\)')
_NAME = re.compile(r"// \.\./testdata/(\S+)")


@dataclass(frozen=True)
class Vector:
    """A file, the identities that it is opened with, and what must become of it."""

    name: str
    expect: str
    payload: str
    identities: tuple[str, ...]
    file: bytes
    is_armored: bool
    has_passphrase: bool


@cache
def read_vectors() -> tuple[Vector, ...]:
    with tarfile.open(PACKAGE) as package:
        member = package.extractfile("package/index.js")
        assert member is not None
        text = member.read().decode()
    names, files = _NAME.findall(text), _VECTOR.findall(text)
    assert len(names) == len(files)
    return tuple(
        _read(name, base64.b64decode(file)) for name, file in zip(names, files, strict=True)
    )


def _read(name: str, vector: bytes) -> Vector:
    head, _, file = vector.partition(b"\n\n")
    lines = [line.split(": ", 1) for line in head.decode().splitlines()]
    fields = dict(lines)
    return Vector(
        name,
        fields["expect"],
        fields.get("payload", ""),
        tuple(value for key, value in lines if key == "identity"),
        zlib.decompress(file) if fields.get("compressed") == "zlib" else file,
        fields.get("armored") == "yes",
        "passphrase" in fields,
    )
