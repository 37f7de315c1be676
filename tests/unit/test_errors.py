"""Every error can be said in other words: without passwords, or with what it was found in."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

import pytest

import airgap
from airgap.cli.main import _redact_error
from airgap.errors import AirgapError
from airgap.flow.bundle.open_bundle import CompletesError
from airgap.flow.chunks.missing_chunks import MissingChunksError
from airgap.flow.media.parity import FolderError
from airgap.flow.serving.block_reader import DamagedPackError
from airgap.ledger.tree import StaleNodesError
from airgap.server.mirror.hub import _HubError
from airgap.server.mirror.registry import _RegistryError
from airgap.transport.sftp.session import SftpRefusedError

MADE = MappingProxyType(
    {
        StaleNodesError: StaleNodesError(),
        FolderError: FolderError(Path("/srv/depot"), OSError(28, "No space left on device")),
        CompletesError: CompletesError("It completes another.", "Give that.", "ab" * 32),
        MissingChunksError: MissingChunksError("2 are missing.", "Fetch them.", [b"1" * 32]),
        SftpRefusedError: SftpRefusedError(3, "open packs/00"),
        DamagedPackError: DamagedPackError("It is damaged.", "Copy it again.", b"2" * 32),
        _HubError: _HubError("RepoNotFound", "It is not served.", "ab" * 20),
        _RegistryError: _RegistryError("MANIFEST_UNKNOWN", "It is not served."),
    }
)
"""Those that are made of other things than words."""


def _list_errors(parent: type[AirgapError] = AirgapError) -> Iterator[type[AirgapError]]:
    for child in parent.__subclasses__():
        yield child
        yield from _list_errors(child)


def test_every_error_that_is_made_in_its_own_way_is_tried_here() -> None:
    for module in pkgutil.walk_packages(airgap.__path__, "airgap."):
        if module.name.startswith(
            ("airgap.flow", "airgap.ledger", "airgap.server", "airgap.transport")
        ):
            import_module(module.name)
    own = {error for error in _list_errors() if "__init__" in vars(error)}
    assert {error for error in own if error.__module__.startswith("airgap.")} == MADE.keys()


@pytest.mark.parametrize("error", MADE.values(), ids=lambda error: type(error).__name__)
def test_an_error_keeps_its_class_and_what_it_has_in_other_words(error: AirgapError) -> None:
    other = error.reword("Not so.", "Do this.", ["a line"])
    assert (str(other), other.message, other.hint, other.details) == (
        "Not so.",
        "Not so.",
        "Do this.",
        ("a line",),
    )
    assert type(other) is type(error)
    words = ("message", "hint", "details")
    rest = [{**vars(one), **dict.fromkeys(words)} for one in (error, other)]
    assert rest[0] == rest[1]
    redacted = _redact_error(error)
    assert (type(redacted), redacted.message) == (type(error), error.message)
