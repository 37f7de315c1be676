"""Which candidates the shell gets for a word, by the option or argument that it is for."""

import os
from collections.abc import Callable, Iterator
from typing import Any, Final

import click
from click.shell_completion import CompletionItem, split_arg_string

from airgap.flow import candidates

__all__ = ["offer_candidates"]

_FILE: Final = "file"
_KINDS: Final = {
    "remove": (),
    "check": (),
    "log": (),
    "image push": ("image",),
    "image save": ("image",),
    "audit": (),
}
"""The kinds of items that TAG of a command may name; empty for all. Others: Bentos, or models."""


def offer_candidates(command: click.Command) -> None:
    """Let the parameters of a command, and of those below it, know their candidates.

    Only while a shell completes a word: types are replaced, so such a command cannot be run.
    """
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            offer_candidates(subcommand)
    for param in command.params:
        offer = _OFFERS.get(str(param.name))
        if offer and type(param.type) is type(click.STRING):
            param.type = _Offered(offer)


class _Offered(click.ParamType):  # type: ignore[type-arg]  # not generic in older releases
    """A text with candidates."""

    name = "text"

    def __init__(self, offer: "_Offer") -> None:
        self._offer = offer

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002  (click's signature)
        incomplete: str,
    ) -> list[CompletionItem]:
        """Return candidates; a shell shows files where there are none and the text may be one."""
        return list(self._offer(ctx, incomplete))


def _offer_tags(context: click.Context, beginning: str) -> "Iterator[CompletionItem[Any]]":
    path = context.command_path.partition(" ")[2]
    kinds = _KINDS.get(path)
    if kinds is None:
        kinds = ("model" if context.params.get("is_model") else "bento",)
    yield from map(CompletionItem, candidates.list_tags(beginning, kinds))


def _offer_kind(kind: str) -> "_Offer":
    def offer(_context: click.Context, beginning: str) -> "Iterator[CompletionItem[Any]]":
        yield from map(CompletionItem, candidates.list_tags(beginning, [kind]))

    return offer


def _offer_locations(_context: click.Context, beginning: str) -> "Iterator[CompletionItem[Any]]":
    """Offer remotes after ``@``, bundles of a depot in a folder after ``#``, else files."""
    depot, mark, digits = beginning.partition("#")
    if mark:
        for bundle in candidates.list_bundles(depot, digits):
            yield CompletionItem(f"{depot}#{bundle}")
    elif beginning.startswith("@"):
        yield from map(CompletionItem, candidates.list_remotes(beginning))
    else:
        yield CompletionItem(beginning, type=_FILE)


def _offer_tags_and_locations(
    context: click.Context, beginning: str
) -> "Iterator[CompletionItem[Any]]":
    if not set(beginning) & set("@#/"):
        yield from _offer_tags(context, beginning)
    yield from _offer_locations(context, beginning)


def _offer_bundles(_context: click.Context, beginning: str) -> "Iterator[CompletionItem[Any]]":
    """Offer the bundles of the depots that stand before on the line."""
    for word in split_arg_string(os.environ.get("COMP_WORDS", "")):
        bundles = candidates.list_bundles(word.partition("#")[0], beginning)
        yield from map(CompletionItem, bundles)


def _offer_keys(_context: click.Context, beginning: str) -> "Iterator[CompletionItem[Any]]":
    keys = candidates.list_keys(beginning)
    yield from map(CompletionItem, keys)
    if not keys:
        yield CompletionItem(beginning, type=_FILE)


def _offer_channels(_context: click.Context, beginning: str) -> "Iterator[CompletionItem[Any]]":
    yield from map(CompletionItem, candidates.list_channels(beginning))


def _offer_names(context: click.Context, beginning: str) -> "Iterator[CompletionItem[Any]]":
    """Offer what NAME stands for: a remote, or an environment."""
    group = context.parent.info_name if context.parent else ""
    if group == "env":
        yield from map(CompletionItem, candidates.list_environments(beginning))
        yield CompletionItem(beginning, type=_FILE)
    elif group == "remote" and context.info_name != "add":
        remotes = candidates.list_remotes(f"@{beginning.removeprefix('@')}")
        yield from (CompletionItem(name.removeprefix("@")) for name in remotes)


def _offer_sites(context: click.Context, beginning: str) -> "Iterator[CompletionItem[Any]]":
    """Offer the sites of this machine; `airgap init` names a new one."""
    if context.info_name != "init":
        yield from map(CompletionItem, candidates.list_sites(beginning))


def _offer_recorded(_context: click.Context, beginning: str) -> "Iterator[CompletionItem[Any]]":
    yield from map(CompletionItem, candidates.list_recorded_bundles(beginning))


def _offer_algorithms(_context: click.Context, beginning: str) -> "Iterator[CompletionItem[Any]]":
    from airgap.format.root import ALGORITHMS

    yield from (CompletionItem(name) for name in ALGORITHMS if name.startswith(beginning))


def _offer_files(_context: click.Context, beginning: str) -> "Iterator[CompletionItem[Any]]":
    yield CompletionItem(beginning, type=_FILE)


_Offer = Callable[[click.Context, str], "Iterator[CompletionItem[Any]]"]
_OFFERS: Final[dict[str, _Offer]] = {
    "tag": _offer_tags,
    "tags": _offer_tags,
    "words": _offer_tags_and_locations,  # of `delete`
    "models": _offer_kind("model"),
    "item": _offer_tags,  # of `audit`
    "wheelhouse": _offer_kind("wheelhouse"),
    "key": _offer_keys,
    "recorder_key": _offer_keys,
    "root_keys": _offer_keys,
    "model_signature_key": _offer_keys,
    "channel": _offer_channels,
    "bundle": _offer_bundles,
    "entry": _offer_recorded,  # of `ledger prove`
    "site": _offer_sites,
    "exports": _offer_sites,  # of `trust reset-state`; elsewhere it is a flag
    "algorithm": _offer_algorithms,
    "name": _offer_names,
    **dict.fromkeys(
        (
            *("source", "sources", "depot", "depots", "bases", "destination", "output", "old"),
            *("new", "root", "new_roots", "archive", "copies"),
        ),
        _offer_locations,
    ),
    **dict.fromkeys(
        (
            *("volumes", "folders", "base", "images", "python", "identities", "recipient"),
            *("recipients", "certificate"),
        ),
        _offer_files,
    ),
}
