"""Lines about the bundles of a depot, for 80 columns; nothing is cut off."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from airgap.cli.output import size_text

__all__ = ["bundle_lines", "depot_lines", "short_time", "stored_lines"]

_KINDS: Final = {"hugging-face": "hf", "bento": "bento", "model": "model"}
_MODELS: Final = 3


def depot_lines(bundles: Sequence[dict[str, Any]], why_not: str) -> Iterator[str]:
    """Yield a table: two lines or more for each bundle."""
    if why_not:
        yield f"NOT VERIFIED: {why_not}"
    if bundles:
        yield f"{'BUNDLE':<14}{'CREATED':<18}{'SIZE':>9}  {'STANDING':<16}CHANNEL"
    for one in bundles:
        yield _bundle_line(one)
        yield from (f"  {line}" for line in _items(one))
        if one["reason"]:
            yield f"  {one['standing'].upper()}: {one['reason']}"


def bundle_lines(one: dict[str, Any]) -> Iterator[str]:
    """Yield all that ``get`` says of a bundle."""
    verdict = one["standing"] if one["trusted"] else one["standing"].upper()
    yield f"bundle {one['bundle']}"
    yield f"{verdict}: {one['reason']}" if one["reason"] else verdict
    if "created_at" not in one:
        return
    yield f"created {one['created_at']} by {one['tool']}"
    number = f", number {one['sequence']}" if one["sequence"] else ", not numbered"
    yield f"channel {one['channel']}{number}, for {', '.join(one['audience']) or 'any site'}"
    yield f"{size_text(one['size'])} in {one['packs']} packs of {size_text(one['stored_size'])}"
    verb = "signed by" if one["trusted"] else "claims to be signed by"
    yield from (f"{verb} {key_id}" for key_id in one["signed_by"])
    for item in one["items"]:
        yield f"{item['kind']} {item['tag']}  {item['files']} files, {size_text(item['size'])}"


def stored_lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield a table of what the stores hold."""
    if rows:
        yield f"{'KIND':<7}{'CREATED':<18}{'SIZE':>9}  TAG"
    for one in rows:
        size = "" if one["size"] is None else size_text(one["size"])
        yield f"{one['kind']:<7}{short_time(one['created_at']):<18}{size:>9}  {one['tag']}"
        if one["problem"]:
            yield f"  DAMAGED: {one['problem']}"


def short_time(text: str | None) -> str:
    """Write an RFC 3339 time to the minute."""
    return "" if text is None else text[:16].replace("T", " ")


def _bundle_line(one: dict[str, Any]) -> str:
    size = size_text(one["size"]) if "size" in one else ""
    channel = one.get("channel", "")
    if one.get("sequence"):
        channel += f" {one['sequence']}"
    created = short_time(one.get("created_at"))
    return (
        f"{one['bundle'][:12]:<14}{created:<18}{size:>9}  {one['standing']:<16}{channel}".rstrip()
    )


def _items(one: dict[str, Any]) -> Iterator[str]:
    """Yield the Bentos, or without any the models; of a Bento's models, say at most how many."""
    items = one.get("items", [])
    bentos = [item for item in items if item["kind"] == "bento"]
    others = [item for item in items if item["kind"] != "bento"]
    shown = bentos + (others if not bentos or len(others) <= _MODELS else [])
    yield from (f"{_KINDS[item['kind']]} {item['tag']}" for item in shown)
    if len(shown) < len(items):
        yield f"and {len(items) - len(shown)} models: airgap inspect DEPOT#{one['bundle'][:12]}"
