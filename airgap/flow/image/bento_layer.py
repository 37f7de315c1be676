"""The layer with a Bento and its models, where BentoML's own images have them."""

from functools import partial

from airgap.errors import CorruptError
from airgap.format.kinds import HUGGING_FACE
from airgap.oci.layer import LayerEntry, make_folders
from airgap.store.item_kind import Source
from airgap.store.kinds import find_kind
from airgap.store.source_tree import read_stable

__all__ = ["list_bento_entries"]

_START = "env/docker/entrypoint.sh"


def list_bento_entries(bento: Source, top: str, owner: int) -> list[LayerEntry]:
    """List the files of a Bento below ``top``, with its models in ``models`` and ``hf-models``.

    Raises:
        CorruptError: the Bento cannot be started as a container.
        MissingError: a model is not here.
        StorageError: something cannot be read.
    """
    if all(file.path != _START for file in bento.tree.files):
        raise CorruptError(
            f"The bento {bento.name}:{bento.version} lacks {_START}, which starts a container.",
            "Build the Bento again.",
        )
    entries = _list_entries(bento, top, owner)
    for reference in dict.fromkeys(bento.references):
        model = find_kind(reference.kind).scan(reference)
        below = f"models/{model.name}/{model.version}"
        if model.kind == HUGGING_FACE.name:
            below = f"hf-models/models--{model.name}/snapshots/{model.version}"
        entries += _list_entries(model, f"{top}/{below}", owner)
    unique = {entry.path: entry for entry in entries}
    home = top.rpartition("/")[0]  # BentoML makes folders in it when it starts
    return [*make_folders(list(unique.values()), home, owner), *unique.values()]


def _list_entries(source: Source, top: str, owner: int) -> list[LayerEntry]:
    files = [
        LayerEntry(
            f"{top}/{file.path}",
            owner,
            file.executable or file.path == _START,
            file.size,
            partial(read_stable, file),
        )
        for file in source.tree.files
    ]
    links = [
        LayerEntry(f"{top}/{path}", owner, target=target)
        for path, target in source.tree.links.items()
    ]
    empty = [LayerEntry(f"{top}/{path}", owner) for path in source.tree.empty_folders]
    return [*files, *links, *empty]
