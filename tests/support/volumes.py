"""Volumes for tests: a bundle of many small packs, spread over seven folders."""

from dataclasses import dataclass
from pathlib import Path

from airgap.format import manifest as manifests
from airgap.format.manifest import Manifest
from tests.support import stores
from tests.support.sides import Side, Site

SEVEN = "1000k"
"""The size of a volume of which the bundle needs seven."""
MODELS = 20
SEVEN_WITH_PARITY = "1070k"
"""The same for one model more, and 10 % or 20 % of parity."""


@dataclass(frozen=True)
class Discs:
    """Volumes in the order of their numbers."""

    folders: tuple[Path, ...]

    @property
    def bundle(self) -> str:
        (found,) = (self.folders[0] / "bundles").iterdir()
        return found.name

    @property
    def manifest(self) -> Manifest:
        return manifests.decode(
            (self.folders[0] / "bundles" / self.bundle / "manifest.msgpack").read_bytes()
        )

    def packs(self, number: int) -> list[Path]:
        """The pack files of a volume."""
        return sorted((self.folders[number - 1] / "packs").rglob("*.pack"))

    def parity(self, number: int) -> list[Path]:
        """The parity packs of a volume."""
        return sorted((self.folders[number - 1] / "bundles").rglob("*.parity"))

    def label(self, number: int) -> Path:
        return self.folders[number - 1] / "bundles" / self.bundle / "volume.json"


def fill(side: Side, models: int = MODELS) -> None:
    """Put Bento ``shop:v1`` with its models into a side's store: each makes a pack."""
    tags = [f"m{number}:v1" for number in range(models)]
    for number, tag in enumerate(tags):
        stores.add_model(side, tag, {"weights.bin": stores.noise(20_000, number), "n.txt": b"same"})
    stores.add_bento(side, "shop:v1", {"src/service.py": b"print('hello')\n"}, models=tags)


def burn(side: Side, site: Site, output: Path, *options: str | Path, size: str = SEVEN) -> Discs:
    """Export ``shop:v1`` onto volumes."""
    words = ("export", "shop:v1", "-o", output, "--volume-size", size, "--key", site.key())
    ran = side.run(*words, *options)
    assert ran.code == 0, ran.err
    return found(output)


def found(output: Path) -> Discs:
    """The volumes in a folder."""
    folders = sorted(output.glob("volume-*"), key=lambda one: int(one.name[7:].split("of")[0]))
    return Discs(tuple(folders))


def scratch(path: Path) -> None:
    """Change a byte in the middle of a file."""
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def installed(side: Side) -> list[str]:
    """The tags of what lies in a side's stores, sorted."""
    folders = [path for kind in ("models", "bentos") for path in side.bentoml.glob(f"{kind}/*/*/")]
    return sorted(f"{path.parent.name}:{path.name}" for path in folders)


def everything(models: int = MODELS) -> list[str]:
    """The tags of what ``fill`` makes, sorted."""
    return sorted([*(f"m{number}:v1" for number in range(models)), "shop:v1"])
