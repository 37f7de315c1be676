"""Repositories whose code a model runs, though it does not travel (``auto_map`` of transformers).

``config.json`` may name code of another repository, as ``owner/name--module.Class``. transformers
fetches it when the model is loaded, and fails without a network.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from airgap.flow.exporting.select import Source
from airgap.format.kinds import BENTO, HUGGING_FACE, MODEL
from airgap.store.source_tree import SourceFile, read_stable

__all__ = ["find_repositories", "note_absent_code"]

_CONFIGURATIONS: Final = (
    *("config.json", "tokenizer_config.json", "processor_config.json"),
    *("preprocessor_config.json", "image_processor_config.json"),
)
_LARGEST: Final = 8 * 1024 * 1024
"""In bytes; a larger file is not searched."""


def note_absent_code(sources: Sequence[Source]) -> Iterator[str]:
    """Yield a note for each repository that a model runs code of, and that does not travel.

    Raises:
        StorageError: a file changed since it was scanned, or cannot be read.
    """
    travelling = {source.name for source in sources if source.kind == HUGGING_FACE.name}
    for source in sources:
        if source.kind not in (BENTO.name, MODEL.name, HUGGING_FACE.name):
            continue
        for file in source.tree.files:
            for repository in _read_repositories(file):
                if repository.lower().replace("/", "--") not in travelling:
                    yield (
                        f"The {source.kind} {source.name}:{source.version} runs code of"
                        f" {repository} (auto_map in {file.path}), which is not in the bundle."
                        f" Name it in the Bento too (HuggingFaceModel({repository!r}, COMMIT)),"
                        " and load the model with code_revision=COMMIT."
                    )


def _read_repositories(file: SourceFile) -> list[str]:
    name = file.path.rpartition("/")[2]
    if name not in _CONFIGURATIONS or file.size > _LARGEST:
        return []
    return sorted(find_repositories(b"".join(read_stable(file))))


def find_repositories(text: bytes) -> set[str]:
    """Return the repositories that a configuration names in its ``auto_map``; none if malformed."""
    try:
        values = json.loads(text)["auto_map"].values()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()
    classes: list[Any] = []
    for value in values:
        classes += value if isinstance(value, list) else [value]
    return {
        repository
        for repository, separator, _ in (
            name.partition("--") for name in classes if isinstance(name, str)
        )
        if separator and repository
    }
