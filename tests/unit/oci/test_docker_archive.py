"""The ``manifest.json`` that ``docker save`` writes: what is not of that form is refused."""

import pytest

from airgap.errors import CorruptError
from airgap.oci.docker_archive import DockerImage, list_images


def test_images_without_references_are_listed() -> None:
    assert list_images(b'[{"Config":"c","Layers":["a"],"RepoTags":null}]') == (
        DockerImage((), "c", ("a",)),
    )


@pytest.mark.parametrize(
    "manifest",
    [
        b'"]"',
        b"1",
        b"[[]]",
        b'["image"]',
        b'[{"Config":"c"}]',
        b'[{"Config":"c","Layers":"ab"}]',
        b'[{"Config":"c","Layers":{"a":1}}]',
        b'[{"Config":"c","Layers":["a"],"RepoTags":"shop"}]',
        b'[{"Config":["c"],"Layers":["a"]}]',
    ],
)
def test_what_docker_does_not_write_is_refused(manifest: bytes) -> None:
    with pytest.raises(CorruptError, match=r"manifest\.json of the archive is malformed"):
        list_images(manifest)
