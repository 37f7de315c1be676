"""Which licence the text of a file is: by its own words, never by its name (format §30.2)."""

import re
from typing import Final, NamedTuple

__all__ = ["RECOGNIZED", "is_licence_file", "recognize_licence"]

TEXT_BYTES: Final = 256 * 1024
_FILE: Final = re.compile(
    r"(?i)(licen[cs]e|copying|notice|copyright|unlicen[cs]e|use[_-]policy|terms)([-._].*)?"
)
_PUNCTUATION: Final = re.compile(r"[^a-z0-9.]+")


class _Wording(NamedTuple):
    name: str
    phrases: tuple[str, ...]
    absent: tuple[str, ...] = ()


def is_licence_file(name: str) -> bool:
    """Tell whether a file's name, without folders, is that of a licence or a notice."""
    suffix = name.lower().rpartition(".")[2]
    return bool(_FILE.fullmatch(name)) and suffix not in {"py", "json", "so", "pyc", "h", "c"}


def recognize_licence(raw: bytes) -> str:
    """Return the licence that a text is, by its first 256 KiB; empty if it is another text.

    The name is an identifier of SPDX, or that of the Hugging Face hub. Two licences in one text are
    none. Takes linear time.
    """
    text = _PUNCTUATION.sub(" ", raw[:TEXT_BYTES].decode(errors="replace").lower())
    names = {
        form.name
        for form in _FORMS
        if all(phrase in text for phrase in form.phrases)
        and not any(phrase in text for phrase in form.absent)
    }
    return names.pop() if len(names) == 1 else ""


_MIT: Final = "permission is hereby granted free of charge to any person obtaining a copy"
_BSD: Final = "redistribution and use in source and binary forms with or without modification"
_GNU: Final = "everyone is permitted to copy and distribute verbatim copies of this license"
_CREATIVE: Final = "creative commons"
_FORMS: Final = (
    _Wording(
        "Apache-2.0", ("apache license", "version 2.0 january 2004", "grant of patent license")
    ),
    _Wording(
        "MIT", (_MIT, "the above copyright notice and this permission notice shall be included")
    ),
    _Wording("BSD-2-Clause", (_BSD,), ("neither the name", "advertising materials")),
    _Wording("BSD-3-Clause", (_BSD, "neither the name"), ("advertising materials",)),
    _Wording("BSD-4-Clause", (_BSD, "advertising materials")),
    _Wording(
        "ISC", ("permission to use copy modify and or distribute this software for any purpose",)
    ),
    _Wording("MPL-2.0", ("mozilla public license", "version 2.0", "covered software")),
    _Wording("GPL-2.0", (_GNU, "gnu general public license version 2 june 1991")),
    _Wording("GPL-3.0", (_GNU, "gnu general public license version 3 29 june 2007")),
    _Wording("AGPL-3.0", (_GNU, "gnu affero general public license version 3 19 november 2007")),
    _Wording("LGPL-2.1", (_GNU, "gnu lesser general public license version 2.1 february 1999")),
    _Wording("LGPL-3.0", (_GNU, "gnu lesser general public license version 3 29 june 2007")),
    _Wording(
        "Unlicense", ("this is free and unencumbered software released into the public domain",)
    ),
    _Wording("BSL-1.0", ("boost software license version 1.0",)),
    _Wording("CC0-1.0", ("cc0 1.0 universal", "affirmer")),
    _Wording("CC-BY-4.0", (_CREATIVE, "attribution 4.0 international public license")),
    _Wording(
        "CC-BY-SA-4.0", (_CREATIVE, "attribution sharealike 4.0 international public license")
    ),
    _Wording(
        "CC-BY-NC-4.0", (_CREATIVE, "attribution noncommercial 4.0 international public license")
    ),
    _Wording(
        "CC-BY-NC-SA-4.0",
        (_CREATIVE, "attribution noncommercial sharealike 4.0 international public license"),
    ),
    _Wording(
        "CC-BY-NC-ND-4.0",
        (_CREATIVE, "attribution noncommercial noderivatives 4.0 international public license"),
    ),
    _Wording("llama2", ("llama 2 community license agreement", "llama 2 version release date")),
    _Wording("llama3", ("meta llama 3 community license agreement",)),
    _Wording("llama3.1", ("llama 3.1 community license agreement",)),
    _Wording("llama3.2", ("llama 3.2 community license agreement",)),
    _Wording("llama3.3", ("llama 3.3 community license agreement",)),
    _Wording("gemma", ("gemma terms of use", "gemma services")),
    _Wording("creativeml-openrail-m", ("creativeml open rail m", "use based restrictions")),
    _Wording(
        "bigscience-bloom-rail-1.0", ("bigscience rail license v1.0", "use based restrictions")
    ),
)
RECOGNIZED: Final = frozenset(form.name for form in _FORMS)
"""The licences of which the text is known."""
