"""What headers of weights, configurations, wheels and licence texts say."""

import hashlib
import json
import struct

import pytest

from airgap.bom.configuration import read_configuration
from airgap.bom.licence_text import is_licence_file, recognize_licence
from airgap.bom.weights import WeightsHeader, read_gguf, read_safetensors
from airgap.bom.wheel_metadata import read_metadata, read_wheel_licences
from tests.support import bill_items, closure_items

TEMPLATE = "{{ messages }}"
TEMPLATE_DIGEST = hashlib.sha256(TEMPLATE.encode()).hexdigest()


def test_gguf_gives_licence_architecture_base_models_and_chat_template() -> None:
    raw = bill_items.gguf(
        {
            "general.architecture": "llama",
            "general.license": "other",
            "general.license.name": "llama3.1",
            "general.license.link": "https://host/LICENSE",
            "general.base_model.0.name": "Base",
            "general.base_model.0.organization": "Org",
            "general.base_model.1.repo_url": "https://huggingface.co/org/other",
            "tokenizer.chat_template": TEMPLATE,
        }
    )
    header = read_gguf(raw, "m.gguf")

    assert [(claim.name, claim.link) for claim in header.licences] == [
        ("llama3.1", "https://host/LICENSE")
    ]
    assert header.architecture == "llama"
    assert header.base_models == ("Org/Base", "org/other")
    assert header.chat_templates == (TEMPLATE_DIGEST,)


def test_the_end_of_a_long_licence_counts() -> None:
    raw = bill_items.gguf({"general.license": f"MIT{' ' * 5000}AND CC-BY-NC-4.0"})

    (claim,) = read_gguf(raw, "m.gguf").licences
    assert "CC-BY-NC-4.0" in claim.name


@pytest.mark.parametrize("raw", [b"", b"PK\3\4", b"GGUF", b"GGUF" + struct.pack("<IQQ", 9, 0, 0)])
def test_a_damaged_gguf_header_is_named(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"GGUF|header|version"):
        read_gguf(raw, "m.gguf")


def test_safetensors_gives_the_licence_of_its_metadata() -> None:
    raw = bill_items.safetensors({"license": "apache-2.0", "modelspec.license": "mit", "x": "y"})
    header = read_safetensors(raw, "m.safetensors")

    assert [claim.name for claim in header.licences] == ["Apache-2.0", "MIT"]
    assert read_safetensors(bill_items.safetensors(None), "m") == WeightsHeader()


@pytest.mark.parametrize(
    "raw", [b"", b"\x05\0\0\0\0\0\0\0{", b"\x01\0\0\0\0\0\0\0{", b"\xff" * 8 + b"{}"]
)
def test_a_damaged_safetensors_header_is_named(raw: bytes) -> None:
    with pytest.raises(ValueError, match="header"):
        read_safetensors(raw, "m.safetensors")


def test_a_configuration_gives_architecture_templates_and_code() -> None:
    document = {
        "architectures": ["LlamaForCausalLM", 7],
        "model_type": "llama",
        "chat_template": [{"name": "default", "template": TEMPLATE}, {"template": 7}, 7],
        "auto_map": {"AutoModel": "modeling.Model"},
    }
    read = read_configuration(json.dumps(document).encode())

    assert (read.architectures, read.model_type) == (("LlamaForCausalLM",), "llama")
    assert read.chat_templates == (TEMPLATE_DIGEST,)
    assert read.runs_code
    plain = read_configuration(json.dumps({"chat_template": TEMPLATE, "model_type": 7}).encode())
    assert (plain.chat_templates, plain.model_type) == ((TEMPLATE_DIGEST,), "")


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"[" * 100_000, b"7" * 9 * 1024 * 1024])
def test_a_damaged_configuration_is_named(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|bytes"):
        read_configuration(raw)


@pytest.mark.parametrize(
    ("headers", "names"),
    [
        ("License-Expression: MIT AND Apache-2.0\nLicense: BSD", ["MIT AND Apache-2.0"]),
        ("License: MIT", ["MIT"]),
        ("License: MIT License", ["MIT"]),
        ("License: BSD\nClassifier: License :: OSI Approved :: MIT License", ["MIT"]),
        ("Classifier: License :: OSI Approved :: BSD License", ["BSD License"]),
        ("Classifier: License :: OSI Approved", []),
        ("License: UNKNOWN", []),
        ("License: Proprietary", ["Proprietary"]),
        ("Name: x", []),
        (
            "License: Copyright someone\n        all rights reserved",
            ["Copyright someone all rights reserved"],
        ),
        ("Name: x\n\nLicense: MIT", []),
        ("License:\t" + "x" * 300, []),
    ],
)
def test_the_licence_of_a_package_is_in_its_headers(headers: str, names: list[str]) -> None:
    claims = read_metadata(f"Metadata-Version: 2.1\r\n{headers}\n".encode(), "w")

    assert [claim.name for claim in claims if claim.name] == names


def test_a_wheel_is_read_from_its_end() -> None:
    _, raw = closure_items.wheel(METADATA="")
    wheel = bill_items.wheel("tiny", "License: ISC")

    assert read_wheel_licences(raw, len(raw), "w") == ()
    assert [claim.name for claim in read_wheel_licences(wheel, len(wheel), "w")] == ["ISC"]
    tail = wheel[30:]
    assert [claim.name for claim in read_wheel_licences(tail, len(wheel), "w")] == ["ISC"]


def test_a_wheel_that_does_not_show_its_metadata_is_named() -> None:
    wheel = bill_items.wheel("tiny", "License: ISC")
    damaged = [b"", b"PK\5\6", wheel[-22:], wheel[-80:], wheel.replace(b"METADATA", b"metadata")]
    damaged += [wheel.replace(b"PK\3\4", b"PK\3\5"), wheel.replace(b"PK\1\2", b"PK\1\3")]
    for raw in damaged:
        with pytest.raises(ValueError, match=r"directory|METADATA|archive"):
            read_wheel_licences(raw, len(wheel), "w")


@pytest.mark.parametrize("name", sorted(bill_items.LICENCE_TEXTS))
def test_a_licence_is_recognized_by_its_own_words(name: str) -> None:
    assert recognize_licence(bill_items.LICENCE_TEXTS[name]) == name


def test_another_text_and_two_texts_in_one_are_not_recognized() -> None:
    mit, apache = (bill_items.LICENCE_TEXTS[name] for name in ("MIT", "Apache-2.0"))

    assert recognize_licence(b"All rights reserved. MIT License. Apache-2.0.") == ""
    assert recognize_licence(mit + apache) == ""
    assert recognize_licence(b"\xff\x1b[2J" + mit) == "MIT"


@pytest.mark.parametrize(
    ("name", "is_licence"),
    [
        *[(name, True) for name in ("LICENSE", "LICENSE.md", "licence.txt", "COPYING", "NOTICE")],
        *[(name, True) for name in ("LICENSE-MIT", "USE_POLICY.md", "UNLICENSE")],
        *[(name, False) for name in ("licenses", "license.py", "license.json", "my-LICENSE")],
    ],
)
def test_a_licence_file_is_found_by_its_name(name: str, *, is_licence: bool) -> None:
    assert is_licence_file(name) == is_licence
