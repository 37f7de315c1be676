"""Readers of what a bill of materials is made from: anybody may have written these files."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from airgap.bom.claims import LicenceClaim
from airgap.bom.configuration import read_configuration
from airgap.bom.expression import parse_expression
from airgap.bom.licence_text import recognize_licence
from airgap.bom.model_card import ModelCard, read_model_card
from airgap.bom.policy import decode_policy
from airgap.bom.weights import read_gguf, read_safetensors
from airgap.bom.wheel_metadata import TAIL_BYTES, read_wheel_licences
from airgap.errors import ConfigurationError
from airgap.printable import is_printable
from tests.support import bill_items
from tests.support.reader import Reader, expand_repeated

__all__ = ["READERS"]

_LONGEST: Final = 300


def _check_claims(claims: Sequence[LicenceClaim]) -> None:
    for claim in claims:
        for text in (claim.raw, claim.name, claim.link):
            assert is_printable(text)
            assert len(text) <= _LONGEST
        assert bool(claim.name) == (claim.form != "unknown")


def _read_card(raw: bytes) -> None:
    card = ModelCard()
    with suppress(ValueError):
        card = read_model_card(raw, "README.md")
    _check_claims(card.licences)
    for text in (card.task, card.library, *card.languages, *card.datasets, *card.base_models):
        assert is_printable(text)
        assert len(text) <= _LONGEST * 4


def _read_gguf(raw: bytes) -> None:
    with suppress(ValueError):
        _check_claims(read_gguf(raw, "m.gguf").licences)


def _read_safetensors(raw: bytes) -> None:
    with suppress(ValueError):
        _check_claims(read_safetensors(raw, "m.safetensors").licences)


def _read_configuration(raw: bytes) -> None:
    with suppress(ValueError):
        assert is_printable(read_configuration(raw).model_type)


def _read_wheel(raw: bytes) -> None:
    with suppress(ValueError):
        _check_claims(read_wheel_licences(raw[-TAIL_BYTES:], len(raw), "wheels/w.whl"))


def _read_licence(raw: bytes) -> None:
    recognize_licence(raw)
    for part in parse_expression(raw.decode(errors="replace")):
        assert part.isascii()


def _read_policy(raw: bytes) -> None:
    policy = decode_policy(expand_repeated(raw), "policy.toml")
    assert policy.unknown != "allowed"


_CARD: Final = b"""---
license: [mit, other]
license_name: x
language: ['no', de]
datasets: [a/b]
base_model: a/c
model-index: [{results: [{dataset: {name: d}, metrics: [{type: f1, value: 0.5}]}]}]
---
# A model
"""
_POLICY: Final = b"""
allow = ["MIT"]
deny = ["llama2"]
unknown = "refuse"
kinds = ["model"]
[[exceptions]]
item = "model a"
reason = "b"
until = 2027-01-02
"""
_YAML_WORDS: Final = (
    *(b"license: ", b"&a ", b"*a", b"<<: ", b"!!binary ", b"---\n", b"- ", b"|\n ", b"? ", b"\t"),
    *(b"1:1:1.0", b"\\x1b[2J", b'"\\u202e"', b"license_name: ", b"model-index: ", b"{", b"["),
)

READERS: Final = {
    "model card": Reader(_read_card, (), lambda: [_CARD], _YAML_WORDS),
    "GGUF keys": Reader(
        _read_gguf,
        (),
        lambda: [bill_items.gguf({"general.license": "mit", "tokenizer.chat_template": "t"})],
        (b"general.license.name", b"general.base_model.0.repo_url", b"\xff" * 8),
    ),
    "safetensors metadata": Reader(
        _read_safetensors,
        (),
        lambda: [bill_items.safetensors({"license": "mit"})],
        (b'"__metadata__": ', b'"license": ', b"[" * 60),
    ),
    "configuration of a model": Reader(
        _read_configuration,
        (),
        lambda: [
            json.dumps(
                {"architectures": ["A"], "model_type": "a", "chat_template": [{"template": "t"}]}
            ).encode()
        ],
        (b'"auto_map": ', b'"chat_template": ', b"\\ud800", b"NaN", b"1e999"),
    ),
    "licence of a wheel": Reader(
        _read_wheel,
        (),
        lambda: [bill_items.wheel("tiny", "License: MIT")],
        (b"PK\5\6", b"PK\1\2", b".dist-info/METADATA", b"License-Expression: "),
    ),
    "licence text": Reader(
        _read_licence,
        (),
        lambda: [b"(mit OR apache-2.0+) AND GPL-2.0-only WITH x"],
        (b" AND ", b" OR ", b" WITH ", b"(", b")", b"\x1b[2J", b"MIT"),
    ),
    "licence policy": Reader(
        _read_policy,
        (ConfigurationError,),
        lambda: [_POLICY],
        (b"review = ", b"[[exceptions]]\n", b"2026-01-02T00:00:00", b'"warn"', b"{a=" * 21),
    ),
}
