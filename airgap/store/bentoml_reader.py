"""Reads items with BentoML: ``python bentoml_reader.py (bento|model) FOLDER …``.

A process of its own, which ``bentoml_process`` starts and limits; it imports nothing of airgap.
It writes the number of each item in a line before BentoML reads it, so that its parent can name the
item that kills it. It ends with 0, with 1 and the reason in a last line if BentoML refuses an item,
or with 70 and the reason if bentoml cannot be imported.
"""

import os
import resource
import sys

_CPU_SECONDS = 100
_MEMORY_BYTES = 8 * 1024**3
_REASON_CHARACTERS = 2000


def main(arguments: list[str]) -> int:
    """Read each folder as an item of the kind before it; return the exit code."""
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")
    os.dup2(2, 1)  # what libraries print does not belong between our lines
    try:
        import bentoml
    except Exception as error:  # noqa: BLE001  (an installation that is broken in any way)
        pipe.write(summarize(error))
        pipe.close()
        return 70
    for number, (kind, folder) in enumerate(zip(arguments[::2], arguments[1::2], strict=True)):
        pipe.write(f"{number}\n")
        pipe.flush()
        try:
            item = (bentoml.Bento if kind == "bento" else bentoml.Model).from_path(folder)
            item.info.creation_time.astimezone()
        except Exception as error:  # noqa: BLE001  (what its libraries raise about strangers' text)
            pipe.write(summarize(error))
            pipe.close()
            return 1
    return 0


def summarize(error: BaseException) -> str:
    """Return type and first line of an error; of the first one, if it holds others (of cattrs)."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = f"{type(error).__name__} {error}"[:_REASON_CHARACTERS]
    return text.partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
