"""What JSON files of a model say: its architecture, its chat template, code that is run (§30.3)."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from airgap.printable import cut_text, make_printable

__all__ = ["CONFIGURATIONS", "CONFIGURATION_BYTES", "Configuration", "read_configuration"]

CONFIGURATIONS: Final = frozenset(
    {
        *("config.json", "tokenizer_config.json", "processor_config.json"),
        *("preprocessor_config.json", "image_processor_config.json", "chat_template.json"),
    }
)
CONFIGURATION_BYTES: Final = 8 * 1024 * 1024
"""A longer file is not read."""
_CHARACTERS: Final = 200
_MOST: Final = 50


@dataclass(frozen=True, slots=True)
class Configuration:
    """What one file says. ``chat_templates`` are SHA-256 of their texts, in hex."""

    architectures: tuple[str, ...] = ()
    model_type: str = ""
    chat_templates: tuple[str, ...] = ()
    runs_code: bool = False
    """Whether ``auto_map`` names code that transformers runs when it loads the model."""


def read_configuration(raw: bytes) -> Configuration:
    """Read a configuration; fields of other types than transformers writes say nothing.

    Raises:
        ValueError: it is not a JSON object, or too long.
    """
    if len(raw) > CONFIGURATION_BYTES:
        raise ValueError(f"it has more than {CONFIGURATION_BYTES:,} bytes")
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not JSON") from error
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004  (as for other bad bytes)
    architectures = document.get("architectures")
    names = architectures[:_MOST] if isinstance(architectures, list) else []
    return Configuration(
        tuple(_shorten(name) for name in names if isinstance(name, str) and name),
        _shorten(document.get("model_type")),
        tuple(sorted(set(map(digest_template, _list_templates(document.get("chat_template")))))),
        bool(document.get("auto_map")),
    )


def digest_template(text: str) -> str:
    """Return the SHA-256 of a chat template's text in UTF-8, in hex."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _list_templates(value: Any) -> list[str]:  # noqa: ANN401  (what JSON has)
    """Return the texts: one, or several with names."""
    if isinstance(value, str):
        return [value]
    entries = value[:_MOST] if isinstance(value, list) else []
    texts = [entry.get("template") for entry in entries if isinstance(entry, dict)]
    return [text for text in texts if isinstance(text, str)]


def _shorten(value: Any) -> str:  # noqa: ANN401  (as above)
    return make_printable(cut_text(value, _CHARACTERS)) if isinstance(value, str) else ""
