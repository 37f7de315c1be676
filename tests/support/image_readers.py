"""Readers of images and of what registries answer."""

from collections.abc import Sequence
from typing import Final

from airgap.errors import CorruptError, StorageError, TransportError, UsageError
from airgap.oci.docker_archive import list_images
from airgap.oci.documents import parse_index, parse_manifest
from airgap.oci.reference import parse_reference
from airgap.oci.tar_members import list_members
from airgap.transport.registry.challenge import parse_challenge, parse_token, token_server
from tests.support import oci_images
from tests.support.reader import Reader, write_scratch

__all__ = ["READERS"]

MANIFEST, _ = oci_images.image_for("amd64", b"layer")
INDEX: Final = oci_images.index_of((MANIFEST, "linux/amd64"))
SAVED: Final = b'[{"Config":"c.json","Layers":["1/layer.tar"],"RepoTags":["shop:1"]}]'
CHALLENGE: Final = b'Bearer realm="https://auth.example/token",service="r",scope="x"'


def _list_members(raw: bytes) -> None:
    members = list_members(write_scratch(raw, "image.tar"))
    for path in [*members.files, *members.links]:
        file = members.find(path)
        if file is not None:
            assert sum(map(len, file.read_pieces())) == file.size


def _read_challenge(raw: bytes) -> None:
    """A header is refused by ValueError, as ``RegistrySession`` expects."""
    try:
        challenge = parse_challenge(raw.decode("latin-1"))
        server = token_server(challenge, ["repository:team/shop:pull,push"])
    except ValueError as error:
        raise TransportError(str(error), "As the session has it.") from error
    assert server.target.isascii()
    assert " " not in server.target


def _read_token(raw: bytes) -> None:
    try:
        token = parse_token(raw)
    except ValueError as error:
        raise TransportError(str(error), "As the session has it.") from error
    assert token.isprintable()


def _tars() -> Sequence[bytes]:
    return [
        oci_images.tar_of({"a/b": b"1" * 600, "link": "a/b", "ü" * 60: b""}),
        oci_images.docker_archive([b"layer"]),
    ]


def _read_index(raw: bytes) -> None:
    parse_index(raw, "The index")


def _read_manifest(raw: bytes) -> None:
    parse_manifest(raw, "The manifest")


def _read_saved(raw: bytes) -> None:
    list_images(raw)


def _read_reference(raw: bytes) -> None:
    reference = parse_reference(raw.decode("latin-1"))
    assert parse_reference(str(reference)) == reference


READERS: Final = {
    "index of an image": Reader(_read_index, (CorruptError,), lambda: [INDEX]),
    "manifest of an image": Reader(_read_manifest, (CorruptError,), lambda: [MANIFEST]),
    "manifest of docker save": Reader(_read_saved, (CorruptError,), lambda: [SAVED]),
    "members of an archive of an image": Reader(_list_members, (CorruptError, StorageError), _tars),
    "reference of an image": Reader(
        _read_reference, (UsageError,), lambda: [b"registry.example/team/shop:1.4"]
    ),
    "challenge of a registry": Reader(_read_challenge, (TransportError,), lambda: [CHALLENGE]),
    "token of a registry": Reader(_read_token, (TransportError,), lambda: [b'{"token":"abc"}']),
}
