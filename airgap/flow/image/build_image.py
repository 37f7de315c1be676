"""Puts the image of a Bento together: without a daemon, without root, and without running it.

The layers of a base, as they are; a virtual environment from the Bento's wheelhouse; the Bento and
its models. The same input gives the same digest (docs/adr/0037-images-put-together.md).
"""

import hashlib
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from airgap.disk.durable import sync_file_system, sync_folder
from airgap.disk.os_errors import translate_errors
from airgap.disk.part_folder import make_part_folder
from airgap.disk.temporary import find_temporary_folder
from airgap.errors import CorruptError, MissingError, PolicyError
from airgap.flow.exporting.images import open_origin, parse_image
from airgap.flow.image.bento_layer import list_bento_entries
from airgap.flow.image.choose_wheelhouse import choose_wheelhouse
from airgap.flow.image.venv_layer import find_interpreter, list_user_entries, list_venv_entries
from airgap.flow.progress import Progress
from airgap.format import image as layout
from airgap.format.image import Descriptor, ImageIndex
from airgap.format.kinds import BENTO, IMAGE
from airgap.oci.assemble import NewLayer, RunOptions, make_config, make_manifest
from airgap.oci.base_image import BaseImage, open_base
from airgap.oci.documents import CONFIG_TYPE, MANIFEST_TYPE, Platform
from airgap.oci.layer import LayerEntry, write_layer
from airgap.store.bento_image import BentoImage, read_bento_image
from airgap.store.item_kind import Reference, Source
from airgap.store.kinds import find_kind
from airgap.store.wheelhouses import StoredWheelhouse
from airgap.times import format_time
from airgap.wheels.install_wheel import Venv, WheelArchives

__all__ = ["BuildRequest", "build_image"]

VENV: Final = "/app/.venv"
HOME: Final = "/home/bentoml"
BENTO_PATH: Final = f"{HOME}/bento"
USER: Final = 1034
_ENTRYPOINT: Final = f"{BENTO_PATH}/env/docker/entrypoint.sh"
_PORTS: Final = (3000, 3001)
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_SHOWN_STEPS: Final = 20
_PART_NAME: Final = "build"
"""Begins the name of an image that is being built, in the folder of its item."""
_OFFLINE: Final = {
    "BENTOML_DO_NOT_TRACK": "True",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
}


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build: a Bento, its base as a person names it, the target, the interpreter there.

    ``target`` is empty if the Bento has one wheelhouse; ``python`` is the interpreter's path in the
    base, empty to look for it.
    """

    tag: str
    base: str
    target: str = ""
    python: str = ""
    tmpdir: Path | None = None


def build_image(request: BuildRequest, progress: Progress) -> dict[str, Any]:
    """Build an image, and put it into the store as an import would.

    Raises:
        PolicyError: the Bento needs commands to be run.
        MissingError: the Bento, its wheelhouse, a model or the base is not here, or the base lacks
            what the Bento needs.
        UsageError, CorruptError, StorageError: as ``open_base`` and ``list_installed``.
    """
    kind = find_kind(BENTO.name)
    name, version = kind.find(request.tag)
    bento = kind.scan(Reference(BENTO.name, name, version))
    folder = bento.folder or kind.install_path(name, version).final
    wanted = read_bento_image(folder)
    _refuse_steps(bento, wanted)
    wheelhouse = choose_wheelhouse(folder, f"{name}:{version}", request.target)
    store = find_kind(IMAGE.name).store() / find_kind(IMAGE.name).folder / name
    top = find_temporary_folder(request.tmpdir)
    with tempfile.TemporaryDirectory(prefix="airgap-", dir=top) as private:
        target = wheelhouse.lock.target
        platform = Platform("linux", _ARCHITECTURES.get(target.architecture, target.architecture))
        base = _open_base(request, platform, Path(private))
        interpreter = find_interpreter(base, target, request.python)
        with translate_errors(store), make_part_folder(store / _PART_NAME) as part:
            index = _Build(bento, wanted, wheelhouse, base, part, progress).run(interpreter)
            final = store / index.version
            _publish(part, final)
    return {
        "image": f"{name}:{index.version}",
        "digest": f"sha256:{index.digest}",
        "reference": index.reference,
        "base": base.reference,
        "wheelhouse": wheelhouse.tag,
        "platform": str(platform),
        "path": str(final),
    }


def _open_base(request: BuildRequest, platform: Platform, private: Path) -> BaseImage:
    fetched = private / "base"
    fetched.mkdir()
    image = open_origin(parse_image(request.base), [platform], fetched)
    return open_base(image, platform, private)


def _refuse_steps(bento: Source, wanted: BentoImage) -> None:
    if wanted.steps:
        count = len(wanted.steps)
        steps = f"{count} steps" if count > 1 else "a step"
        raise PolicyError(
            f"The image of bento {bento.name}:{bento.version} has {steps} that must be run.",
            "Build it with `bentoml containerize` on the connected side, and carry it with"
            " `airgap export --image`.",
            wanted.steps[:_SHOWN_STEPS],
        )


@dataclass(frozen=True, slots=True)
class _Build:
    """One image that is being made of these, in a folder of its own (``part``)."""

    bento: Source
    wanted: BentoImage
    wheelhouse: StoredWheelhouse
    base: BaseImage
    part: Path
    progress: Progress

    @property
    def _blobs(self) -> Path:
        return self.part / layout.BLOBS

    def run(self, interpreter: str) -> ImageIndex:
        """Write all blobs and both documents. Raises as ``build_image``."""
        self._blobs.mkdir(parents=True)
        layers = self._write_layers(interpreter)
        config_raw = make_config(self.base, layers, self._make_run_options())
        config = self._write_document(config_raw, CONFIG_TYPE)
        top = self._write_document(make_manifest(self.base, layers, config), MANIFEST_TYPE)
        for layer in self.base.layers:
            self._copy_layer(layer)
        reference = f"{self.bento.name}:{self.bento.version}"
        index = ImageIndex(top.digest, top.size, top.media_type, reference)
        (self.part / layout.INDEX).write_bytes(layout.encode(index))
        (self.part / layout.LAYOUT).write_bytes(layout.LAYOUT_TEXT)
        return index

    def _write_layers(self, interpreter: str) -> list[NewLayer]:
        venv = Venv(self.wheelhouse.lock.target.python, VENV)
        bento_entries = list_bento_entries(self.bento, BENTO_PATH.lstrip("/"), USER)
        with closing(WheelArchives()) as archives:
            entries = list_venv_entries(
                self.wheelhouse, venv, interpreter, archives, self.progress.note
            )
            entries += list_user_entries(self.base, HOME, USER)
            total = sum(entry.size for entry in (*entries, *bento_entries))
            self.progress.begin("building", total)
            try:
                return [
                    NewLayer(self._write_layer(entries), f"airgap: {self.wheelhouse.tag}"),
                    NewLayer(
                        self._write_layer(bento_entries),
                        f"airgap: bento {self.bento.name}:{self.bento.version}",
                    ),
                ]
            finally:
                self.progress.end()

    def _write_layer(self, entries: Sequence[LayerEntry]) -> Descriptor:
        file = self._blobs / "layer"
        described = write_layer(entries, file, self.progress.advance)
        file.rename(self._blobs / described.digest)
        return described

    def _write_document(self, raw: bytes, media_type: str) -> Descriptor:
        digest = hashlib.sha256(raw).hexdigest()
        (self._blobs / digest).write_bytes(raw)
        return Descriptor(digest, len(raw), media_type)

    def _copy_layer(self, layer: Descriptor) -> None:
        """Copy a layer of the base, compared with its digest. Raises CorruptError, MissingError."""
        target = self._blobs / layer.digest
        blob = self.base.blobs.find(layer.digest)
        if target.exists():
            return
        if blob is None:
            raise MissingError(
                f"The layer sha256:{layer.digest} of the base is missing.", "Copy the base again."
            )
        digest, size = hashlib.sha256(), 0
        with translate_errors(target), target.open("xb") as file:
            for piece in blob.read_pieces():
                file.write(piece)
                digest.update(piece)
                size += len(piece)
        if digest.hexdigest() != layer.digest or size != layer.size:
            raise CorruptError(
                f"The layer {layer.digest} in {blob.location} is damaged (its SHA-256 is"
                f" {digest.hexdigest()}).",
                "Copy the base again.",
            )

    def _make_run_options(self) -> RunOptions:
        old = dict(
            text.partition("=")[::2]
            for text in (self.base.config.get("config") or {}).get("Env") or ()
        )
        variables = {
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "PYTHONIOENCODING": "UTF-8",
            "PYTHONUNBUFFERED": "1",
            "BENTO_PATH": BENTO_PATH,
            "BENTOML_HOME": f"{HOME}/",
            "BENTOML_HF_CACHE_DIR": f"{BENTO_PATH}/hf-models",
            "BENTOML_CONTAINERIZED": "true",
            **_OFFLINE,
            **self.wanted.variables,
            "HOME": HOME,
            "VIRTUAL_ENV": VENV,
            "PATH": f"{VENV}/bin:{old.get('PATH') or _PATH}",
        }
        return RunOptions(
            variables,
            [_ENTRYPOINT],
            BENTO_PATH,
            f"{USER}:{USER}",
            _PORTS,
            {"org.opencontainers.image.title": f"{self.bento.name}:{self.bento.version}"},
            format_time(self.bento.created_at),
        )


def _publish(part: Path, final: Path) -> None:
    """Give a complete image its place. One of the same digest may be there. Raises OSError."""
    sync_file_system(part)
    if not final.exists():
        part.rename(final)
        sync_folder(final.parent)
