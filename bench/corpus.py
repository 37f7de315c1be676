"""Models that look like models, in three versions, the same at every run.

python bench/corpus.py FOLDER [SCALE]

At scale 1: weights as safetensors (bf16 1 GiB, fp32 512 MiB, fp16 256 MiB), a pickle of 15 MB, a
vocabulary of 10 MB, 2,000 sources. ``v2`` has a longer header and a tenth of the bf16 tensors drawn
anew; in ``v3``, every bf16 weight was nudged by a hundredth of its layer's deviation. The file
``scale`` holds the scale.
"""

import json
import pickle  # noqa: TID251  (written, never read)
import struct
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
GIB = 1024**3
SHAPES = ((1024, 1024), (1024, 2816), (2816, 1024), (2816, 1024), (1024,), (1024, 1024))
SOURCES = 2000


def main() -> None:
    folder, scale = Path(sys.argv[1]), float((*sys.argv[2:], "1")[0])
    for version in ("v1", "v2", "v3"):
        write(folder / version, version, scale)
    (folder / "scale").write_text(f"{scale:g}\n")  # last: the corpus is whole


def write(top: Path, version: str, scale: float) -> None:
    """Write one version."""
    bf16 = list(shapes(int(scale * GIB) // 2))
    anew = set(range(len(bf16) // 2, len(bf16) // 2 + max(1, len(bf16) // 10)))

    def weights(index: int) -> bytes:
        drawn, deviation = draw(index, bf16[index], 9 if version == "v2" and index in anew else 1)
        if version == "v3":
            noise = generator(index, 4).standard_normal(bf16[index], np.float32)
            drawn = from_bf16(to_bf16(drawn)) + np.float32(0.01 * deviation) * noise
        return to_bf16(drawn).tobytes()

    note = "layers replaced, with a longer header" if version == "v2" else ""
    safetensors(top / "bf16", bf16, "BF16", weights, note)
    fp32 = list(shapes(int(scale * GIB / 2) // 4))
    safetensors(top / "fp32", fp32, "F32", lambda index: draw(index, fp32[index], 2)[0].tobytes())
    fp16 = list(shapes(int(scale * GIB / 4) // 2))
    safetensors(
        top / "fp16",
        fp16,
        "F16",
        lambda index: draw(index, fp16[index], 3)[0].astype("<f2").tobytes(),
    )
    small_files(top, scale)


def shapes(numbers: int) -> Iterator[tuple[int, ...]]:
    """Yield shapes of layers until they have that many numbers."""
    index = 0
    while numbers > 0:
        yield SHAPES[index % len(SHAPES)]
        numbers -= int(np.prod(SHAPES[index % len(SHAPES)]))
        index += 1


def generator(*seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def draw(index: int, shape: tuple[int, ...], seed: int) -> tuple[Floats, float]:
    """Draw a layer as training leaves it: rows of unlike scale, and a heavy tail."""
    random = generator(index, seed)
    deviation = 0.02 * float(np.exp(0.35 * random.standard_normal()))
    drawn = random.standard_normal(shape, np.float32)
    rows = (shape[0], *[1] * (len(shape) - 1))
    drawn *= np.float32(deviation) * np.exp(0.2 * random.standard_normal(rows, np.float32))
    drawn.reshape(-1)[random.integers(0, drawn.size, drawn.size // 500)] *= 4
    return drawn, deviation


def to_bf16(numbers: Floats) -> npt.NDArray[np.uint16]:
    bits = numbers.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def from_bf16(numbers: npt.NDArray[np.uint16]) -> Floats:
    return (numbers.astype(np.uint32) << 16).view(np.float32)


def safetensors(
    folder: Path,
    layers: list[tuple[int, ...]],
    dtype: str,
    data: Callable[[int], bytes],
    note: str = "",
) -> None:
    """Write a model file."""
    width = {"BF16": 2, "F16": 2, "F32": 4}[dtype]
    header: dict[str, object] = {"__metadata__": {"format": "pt", "note": note}}
    at = 0
    for index, shape in enumerate(layers):
        end = at + width * int(np.prod(shape))
        header[f"layers.{index}"] = {"dtype": dtype, "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    folder.mkdir(parents=True)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for index in range(len(layers)):
            file.write(data(index))


def small_files(top: Path, scale: float) -> None:
    """Write a vocabulary, a pickle, and sources out of Python's own library."""
    words = [f"{number * 2654435761 % 2**32:x}" for number in range(int(400_000 * scale) + 100)]
    (top / "tokenizer.json").write_text(json.dumps({word: at for at, word in enumerate(words)}))
    numbers = generator(5).standard_normal(int(1_900_000 * scale))
    (top / "head.pkl").write_bytes(pickle.dumps({"coefficients": numbers, "names": words[:1000]}))
    found = sorted(Path(sysconfig.get_path("stdlib")).glob("**/*.py"))
    found = [path for path in found if "site-packages" not in path.parts]
    for number in range(SOURCES):
        path = top / "src" / f"{number // 100:02d}" / f"{number:04d}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = found[number % len(found)].read_bytes()
        path.write_bytes(b"# %d\n" % number + text)


if __name__ == "__main__":
    main()
