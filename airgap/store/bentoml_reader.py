"""Reads items with BentoML: ``python bentoml_reader.py (bento|model) FOLDER …``.

A process of its own, which ``bentoml_process`` starts and limits; it imports nothing of airgap.
It ends with 0, with 1 and the number of the first item that BentoML refuses, a space and the
reason, or with 70 if bentoml cannot be imported.
"""

import resource
import sys

_CPU_SECONDS = 100
_MEMORY_BYTES = 8 * 1024**3


def main(arguments: list[str]) -> int:
    """Read each folder as an item of the kind before it; return the exit code."""
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    try:
        import bentoml
    except Exception as error:  # noqa: BLE001  (an installation that is broken in any way)
        sys.stdout.write(f"{type(error).__name__} {error}")
        return 70
    for number, (kind, folder) in enumerate(zip(arguments[::2], arguments[1::2], strict=True)):
        try:
            item = (bentoml.Bento if kind == "bento" else bentoml.Model).from_path(folder)
            item.info.creation_time.astimezone()
        except Exception as error:  # noqa: BLE001  (what its libraries raise about strangers' text)
            sys.stdout.write(f"{number} {summarize(error)}")
            return 1
    return 0


def summarize(error: BaseException) -> str:
    """Return type and text of an error; of the first one, if it holds others (of cattrs)."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__} {error}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
