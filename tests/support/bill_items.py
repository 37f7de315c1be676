"""Items for bills of materials: models with cards, headers of weights, wheels with licences."""

import io
import json
import struct
import zipfile
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Final

from airgap.bom.bill import Bill, BilledItem
from airgap.bom.documents import list_documents
from airgap.bom.facts import FactsBuilder
from airgap.format import manifest as manifests
from airgap.format.kinds import required_reader
from tests.support import forge

if TYPE_CHECKING:
    from cyclonedx.validation.json import JsonStrictValidator

COMMIT: Final = "0123456789abcdef0123456789abcdef01234567"


def gguf(values: Mapping[str, str]) -> bytes:
    """The header of a GGUF file with these strings, and a list that is passed over."""
    raw = b"GGUF" + struct.pack("<IQQ", 3, 0, len(values) + 2)
    raw += _gguf_text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 1) + _gguf_text("a")
    raw += _gguf_text("general.alignment") + struct.pack("<II", 4, 32)
    for key, value in values.items():
        raw += _gguf_text(key) + struct.pack("<I", 8) + _gguf_text(value)
    return raw


def _gguf_text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def safetensors(metadata: Mapping[str, str] | None) -> bytes:
    """A safetensors file with one tensor."""
    header: dict[str, object] = {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    if metadata is not None:
        header["__metadata__"] = metadata
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + bytes(4)


def wheel(
    name: str, *headers: str, version: str = "1.0", method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    """A wheel whose METADATA has these headers; the same everywhere if it is only stored."""
    lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *headers, "", "Text"]
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(zipfile.ZipInfo(f"{name}.py"), "VERSION = 1\n")
        member = zipfile.ZipInfo(f"{name}-{version}.dist-info/METADATA")
        member.compress_type = method
        archive.writestr(member, "\n".join(lines))
    return made.getvalue()


def snapshot(files: Mapping[str, bytes], name: str = "org--model") -> forge.Item:
    """A Hugging Face snapshot."""
    return forge.Item("hugging-face", name, COMMIT, dict(files))


def make_bill(*items: forge.Item, **fields: object) -> Bill:
    """The bill of a bundle with these items."""
    kinds = {item.kind for item in items}
    raw = forge.draft(*items, **{"reader": required_reader(kinds), **fields}).raw()
    manifest = manifests.decode(raw)
    contents = {(item.kind, item.name): item.entries for item in items}
    billed = []
    for item in manifest.items:
        builder = FactsBuilder(item.kind)
        for document in list_documents(item.kind, item.files):
            data = _bytes_of(contents[item.kind, item.name][document.path])
            builder.take(document, data[document.offset : document.offset + document.length])
        digests = {file.path: file.digest for file in item.files}
        billed.append(BilledItem(item, builder.finish(item.files, digests)))
    return Bill(
        billed,
        manifest.created_at,
        manifests.bundle_id(raw),
        manifest.channel,
        manifest.sequence,
        manifest.audience,
        manifest.labels,
    )


def _bytes_of(content: object) -> bytes:
    if isinstance(content, forge.File):
        return b"".join(content.chunks)
    assert isinstance(content, bytes)
    return content


def card(**fields: object) -> bytes:
    """A model card with these fields."""
    lines = [f"{name}: {json.dumps(value)}" for name, value in fields.items()]
    return "\n".join(["---", *lines, "---", "# A model", ""]).encode()


_BSD: Final = (
    "Redistribution and use in source and binary forms, with or without modification, are permitted"
)
LICENCE_TEXTS: Final = {
    name: text.encode()
    for name, text in {
        "MIT": (
            "Permission is hereby granted, free of charge, to any person obtaining a copy of this\n"
            "software … The above copyright notice and this permission notice shall be included"
        ),
        "Apache-2.0": (
            "   Apache License\n Version 2.0, January 2004\n … 3. Grant of Patent License. Subject"
        ),
        "BSD-2-Clause": _BSD,
        "BSD-3-Clause": f"{_BSD} … Neither the name of the copyright holder",
        "BSD-4-Clause": f"{_BSD} … All advertising materials … Neither the name",
        "ISC": "Permission to use, copy, modify, and/or distribute this software for any purpose",
        "CC-BY-NC-4.0": (
            "Creative Commons Corporation\nAttribution-NonCommercial 4.0 International Public"
            " License"
        ),
        "llama3.1": "LLAMA 3.1 COMMUNITY LICENSE AGREEMENT\nLlama 3.1 Version Release Date",
        "GPL-3.0": (
            "GNU GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007\n Everyone is permitted to copy"
            " and distribute verbatim copies of this license document"
        ),
    }.items()
}


def validate(text: str, version: str) -> object:
    """Return what the strict validator of cyclonedx-python-lib finds wrong with a bill, or None."""
    return _make_validator(version).validate_str(text)


@cache
def _make_validator(version: str) -> "JsonStrictValidator":
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator  # takes a second to import

    return JsonStrictValidator(SchemaVersion.from_version(version))
