"""How a person names an item that was imported."""

from dataclasses import dataclass
from typing import Protocol

from airgap.errors import UsageError
from airgap.format.kinds import HUGGING_FACE, find_rules
from airgap.printable import quote
from airgap.store.kinds import list_kinds

__all__ = ["ItemName", "parse_item_name"]


class _Tagged(Protocol):
    """An item, or what names one."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...


@dataclass(frozen=True, slots=True)
class ItemName:
    """A name, with a version or (empty) with any; of one kind or (empty) of any."""

    name: str
    version: str = ""
    kind: str = ""

    def fits(self, item: _Tagged) -> bool:
        """Tell whether an item is meant."""
        return (
            item.name == self.name
            and self.version in ("", item.version)
            and self.kind in ("", item.kind)
        )

    def __str__(self) -> str:
        """Write it as a person does."""
        tag = f"{self.name}:{self.version}" if self.version else self.name
        return f"{self.kind} {tag}".lstrip()


def parse_item_name(text: str, kind: str = "") -> ItemName:
    """Read ``name`` or ``name:version``; a Hugging Face model may be ``owner/name``.

    Raises:
        UsageError: no item can have such a name.
    """
    kinds = [known.rules.name for known in list_kinds()]
    if kind and kind not in kinds:
        raise UsageError(f"{quote(kind)} is not a kind of item.", f"Write {', '.join(kinds)}.")
    name, _, version = text.partition(":")
    if "/" in name:
        name, kind = name.lower().replace("/", "--", 1), kind or HUGGING_FACE.name
    rules = [find_rules(kind)] if kind else [known.rules for known in list_kinds()]
    samples = (version,) if version else ("x", "0" * 16, "0" * 40)
    if not any(rule.is_tag(name, sample) for rule in rules for sample in samples):
        raise UsageError(
            f"{quote(text)} is not a tag.",
            "Write name or name:version; `airgap list` shows what is here.",
        )
    return ItemName(name, version, kind)
