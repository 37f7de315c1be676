"""A registry that runs for the tests of a module."""

from collections.abc import Iterator

import pytest

from tests.servers import registry
from tests.servers.registry import Registry


@pytest.fixture(scope="module")
def docker_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry.serve(tmp_path_factory.mktemp("registry")) as served:
        yield served
