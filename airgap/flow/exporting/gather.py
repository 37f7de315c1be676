"""Gathers all that travels: items by tag, and the closure of the Bentos among them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from airgap.flow.exporting.absent_packages import note_absent_packages
from airgap.flow.exporting.closure import Closure, make_sources
from airgap.flow.exporting.remote_code import note_absent_code
from airgap.flow.exporting.secret_scan import check_secrets
from airgap.flow.exporting.select import Source, select_items
from airgap.flow.progress import Progress
from airgap.format.kinds import BENTO, WHEELHOUSE, Kind
from airgap.store.python_builds import is_python_build

__all__ = ["gather_sources"]


@contextmanager
def gather_sources(  # noqa: PLR0913  (what a person may say)
    tags: Mapping[Kind, Sequence[str]],
    closure: Closure,
    progress: Progress,
    *,
    with_models: bool,
    allow_credentials: bool,
    tmpdir: Path | None,
    collects: bool = True,
) -> Iterator[list[Source]]:
    """Give the items that travel, in item order; they can be read until the block ends.

    What should travel and does not is noted. ``tmpdir`` is that of ``make_sources``. Python
    packages that are not in the store are collected, unless ``collects`` is false.

    Raises:
        MissingError: something that was asked for, or a model it needs, is not here.
        PolicyError: an item holds what looks like a password or a token.
        AirgapError: as ``find_or_make_wheelhouses``, ``make_sources`` and ``select_items``.
    """
    if closure.packages:
        from airgap.flow.exporting.packages import find_or_make_wheelhouses, find_wheelhouses

        find = find_or_make_wheelhouses if collects else find_wheelhouses
        wheelhouses = find(tags.get(BENTO.name, ()), closure.packages, progress)
        tags = {**tags, WHEELHOUSE.name: [*tags.get(WHEELHOUSE.name, ()), *wheelhouses]}
    with make_sources(closure, tmpdir) as made:
        sources = select_items(tags, made, with_models=with_models)
        _pass_on_notes(sources, progress)
        own = [source for source in sources if not is_python_build(source.kind, source.name)]
        check_secrets(own, progress, allowed=allow_credentials)
        yield sources


def _pass_on_notes(sources: Sequence[Source], progress: Progress) -> None:
    notes = [note for source in sources for note in source.notes]
    notes += [*note_absent_code(sources), *note_absent_packages(sources)]
    for note in dict.fromkeys(notes):
        progress.note(note)
