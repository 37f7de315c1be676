"""The scan gate as a reader of bytes of strangers: what passes asks for listed names only."""

import io
from typing import Final

from airgap.errors import CorruptError
from airgap.scan.judge_file import judge_file
from tests.support.pickle_loader import load
from tests.support.reader import Reader
from tests.support.sides import REPOSITORY

_FILES: Final = REPOSITORY / "tests/vectors/scan/files"
_SMALL: Final = 4096
_WORDS: Final = (
    *(b"cos\nsystem\n", b"ccollections\nOrderedDict\n", b"cnumpy\ndtype\n", b"\x93", b"\x81"),
    *(b"\x8c\x02os", b"\x8c\x06system", b"R", b"b", b"q\x00", b"h\x00", b"\x94", b"PK\x05\x06"),
)


def _judge(raw: bytes) -> bytes:
    """Judge as a file that may be anything; what passes is loaded as a pickle."""
    for name in ("a.txt", "a.bin"):
        judgment = judge_file(name, io.BytesIO(raw), len(raw))
        if any("the gate failed" in reason for reason in judgment.reasons):
            raise AssertionError(judgment)
        if judgment.verdict != "refused":
            load(raw)
            return raw
    raise CorruptError("It is refused.", "Give another file.")


def _list_seeds() -> list[bytes]:
    refused = {"before_1_6.pt", "ext.data", "own_class.pt", "pyop.onnx"}
    paths = [path for path in sorted(_FILES.iterdir()) if path.name not in refused]
    small = [path for path in paths if path.stat().st_size < _SMALL]
    return [path.read_bytes() for path in small if path.suffix not in {".json", ".h5"}]


READERS: Final = {"scan gate": Reader(_judge, (CorruptError,), _list_seeds, _WORDS)}
