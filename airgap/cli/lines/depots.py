"""Lines about the bundles of a depot."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from airgap.cli.lines.contents import content_lines, item_lines, sealing_lines, signer_lines
from airgap.cli.lines.labels import claim_lines
from airgap.cli.output import size_text
from airgap.cli.terminal import indent_line
from airgap.printable import count_text

__all__ = ["bundle_lines", "depot_lines", "short_time", "stored_lines"]

_SHORT_KINDS: Final = {"hugging-face": "hf"}
_MODELS: Final = 3
_COLUMNS: Final = 80


def depot_lines(bundles: Sequence[dict[str, Any]], why_not: str) -> Iterator[str]:
    """Yield a table: two lines or more for each bundle."""
    if why_not:
        yield f"NOT VERIFIED: {why_not}"
    if bundles:
        yield "BUNDLE"
        yield f"  {'CREATED':<18}{'SIZE':>9}  {'STANDING':<16}CHANNEL"
    for bundle in bundles:
        yield bundle["bundle"]
        yield f"  {_bundle_line(bundle)}"
        yield from map(indent_line, (*_items(bundle), *claim_lines(bundle), *signer_lines(bundle)))
        yield from map(indent_line, _attachment_lines(bundle))
        if bundle["reason"]:
            yield f"  {bundle['standing'].upper()}: {bundle['reason']}"


def bundle_lines(bundle: dict[str, Any]) -> Iterator[str]:
    """Yield what ``get`` shows of a bundle."""
    is_fine = bundle["trusted"] or bundle["standing"] == "sealed"
    verdict = bundle["standing"] if is_fine else bundle["standing"].upper()
    yield f"{verdict}: {bundle['reason']}" if bundle["reason"] else verdict
    yield from content_lines(bundle)
    yield from signer_lines(bundle)
    yield from _attachment_lines(bundle)
    yield from item_lines(bundle["items"])


def stored_lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield a table of what the stores hold."""
    if rows:
        yield f"{'KIND':<12}{'CREATED':<18}{'SIZE':>9}  TAG"
    for row in rows:
        size = "" if row["size"] is None else size_text(row["size"])
        kind = _SHORT_KINDS.get(row["kind"], row["kind"])
        start, tag = f"{kind:<12}{short_time(row['created_at']):<18}{size:>9}", row["tag"]
        if len(start) + 2 + len(tag) <= _COLUMNS:
            yield f"{start}  {tag}"
        else:
            yield from (start, f"  {tag}")
        if row["problem"]:
            yield f"  DAMAGED: {row['problem']}"


def short_time(text: str | None) -> str:
    """Write an RFC 3339 time to the minute."""
    return "" if text is None else text[:16].replace("T", " ")


def _stays_sealed(bundle: dict[str, Any]) -> bool:
    sealed = bundle.get("sealed")
    return sealed is not None and sealed["inner"] is None


def _attachment_lines(bundle: dict[str, Any]) -> Iterator[str]:
    """Yield how many attachments a bundle has; they were not looked at."""
    count = len(bundle.get("attachments", ()))
    if count:
        yield f"{count_text(count, 'attachment')}, not checked by airgap"


def _bundle_line(bundle: dict[str, Any]) -> str:
    """Write the row of the table; of a bundle that stays sealed, what its packs take up."""
    stays_sealed = _stays_sealed(bundle)
    counted = "stored_size" if stays_sealed else "size"
    size = size_text(bundle[counted]) if counted in bundle else ""
    channel = "" if stays_sealed else bundle.get("channel", "")
    if channel:
        channel += f" {bundle['sequence']}" if bundle["sequence"] else ", no number"
    created = short_time(bundle.get("created_at"))
    return f"{created:<18}{size:>9}  {bundle['standing']:<16}{channel}".rstrip()


def _items(bundle: dict[str, Any]) -> Iterator[str]:
    """Yield the Bentos with up to three models, or the models if there are no Bentos."""
    if bundle.get("sealed"):
        yield from sealing_lines(bundle["sealed"])
    if _stays_sealed(bundle):
        yield "what is inside is not known without --identity"
    items = bundle.get("items", [])
    bentos = [item for item in items if item["kind"] == "bento"]
    others = [item for item in items if item["kind"] != "bento"]
    shown = bentos + (others if not bentos or len(others) <= _MODELS else [])
    yield from (f"{_SHORT_KINDS.get(item['kind'], item['kind'])} {item['tag']}" for item in shown)
    if len(shown) < len(items):
        left = len(items) - len(shown)
        only_models = all(item["kind"] == "model" for item in others)
        yield f"and {count_text(left, 'model' if only_models else 'other item')}"
