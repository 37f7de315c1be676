"""What files of weights say of themselves: the headers of GGUF and of safetensors (§30.3)."""

import hashlib
import json
import re
import struct
from dataclasses import dataclass
from typing import Final

from airgap.bom.claims import LicenceClaim, read_hub_licences
from airgap.chunking.gguf import HeaderReader
from airgap.printable import cut_text, make_printable

__all__ = ["GGUF_BYTES", "SAFETENSORS_BYTES", "WeightsHeader", "read_gguf", "read_safetensors"]

GGUF_BYTES: Final = 16 * 1024 * 1024
SAFETENSORS_BYTES: Final = 8 * 1024 * 1024
"""The most that is read of a file of its form."""
_MOST: Final = 50
_CHARACTERS: Final = 200
_STRING: Final = 8
_MAGIC: Final = b"GGUF"
_KEPT: Final = re.compile(
    rb"general\.(?:architecture|name|license(?:\.name|\.link)?"
    rb"|base_model\.\d{1,2}\.(?:name|organization|repo_url))"
    rb"|tokenizer\.chat_template(?:\.[a-z0-9_]{1,40})?"
)
_REPOSITORY: Final = re.compile(r"https://huggingface\.co/([\w.-]{1,96}/[\w.-]{1,96})/?")


@dataclass(frozen=True, slots=True)
class WeightsHeader:
    """What a header says. ``chat_templates`` are SHA-256 of their texts, in hex."""

    licences: tuple[LicenceClaim, ...] = ()
    architecture: str = ""
    base_models: tuple[str, ...] = ()
    chat_templates: tuple[str, ...] = ()


def read_gguf(raw: bytes, path: str) -> WeightsHeader:
    """Read the beginning of a GGUF file; its tensors are not looked at.

    Raises:
        ValueError: it is not GGUF, or its keys do not end within what was read.
    """
    if not raw.startswith(_MAGIC):
        raise ValueError("it is not a GGUF file")
    try:
        values = _read_keys(HeaderReader(raw))
    except (struct.error, IndexError) as error:
        raise ValueError(f"its header is damaged or has more than {GGUF_BYTES:,} bytes") from error
    templates = {
        hashlib.sha256(value).hexdigest()
        for key, value in values.items()
        if key.startswith("tokenizer.chat_template")
    }
    licence = _decode(values.get("general.license", b""))
    return WeightsHeader(
        read_hub_licences(
            [licence],
            f"{path}: general.license",
            name=_decode(values.get("general.license.name", b"")),
            link=_decode(values.get("general.license.link", b"")),
        ),
        _decode(values.get("general.architecture", b"")),
        _list_base_models(values),
        tuple(sorted(templates)),
    )


def read_safetensors(raw: bytes, path: str) -> WeightsHeader:
    """Read the beginning of a safetensors file: ``__metadata__`` of its header.

    Raises:
        ValueError: it is not safetensors, or the header does not end within what was read.
    """
    length = int.from_bytes(raw[:8], "little")
    if len(raw) < 9 or raw[8:9] != b"{" or 8 + length > len(raw):  # noqa: PLR2004  (§30.3)
        raise ValueError(f"its header is damaged or has more than {SAFETENSORS_BYTES:,} bytes")
    try:
        header = json.loads(raw[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise ValueError("its header is not JSON") from error
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict):
        return WeightsHeader()
    claims: tuple[LicenceClaim, ...] = ()
    for field in ("license", "modelspec.license"):
        text = metadata.get(field)
        if isinstance(text, str):
            claims += read_hub_licences([text], f"{path}: {field}")
    return WeightsHeader(claims)


def _read_keys(reader: HeaderReader) -> dict[str, bytes]:
    """Return the strings that are wanted, by key; the first of each."""
    values: dict[str, bytes] = {}
    _, keys = reader.read_counts()
    for _ in range(keys):
        key = reader.read_string()
        (value_type,) = reader.unpack("<I")
        if value_type == _STRING and len(values) < _MOST and _KEPT.fullmatch(key):
            values.setdefault(key.decode(), reader.read_string())
        else:
            reader.read_value(value_type)
    return values


def _list_base_models(values: dict[str, bytes]) -> tuple[str, ...]:
    """Return the base models as names of the hub, or as ``organization/name``."""
    names = []
    for number in range(_MOST):
        key = f"general.base_model.{number}"
        name, organization, url = (
            _decode(values.get(f"{key}.{part}", b""))
            for part in ("name", "organization", "repo_url")
        )
        match = _REPOSITORY.fullmatch(url)
        names.append(match[1] if match else "/".join(filter(None, (organization, name))))
    return tuple(filter(None, dict.fromkeys(names)))


def _decode(raw: bytes) -> str:
    text = " ".join(raw.decode(errors="replace").split())  # whole: its end may say something else
    return make_printable(cut_text(text, _CHARACTERS))
