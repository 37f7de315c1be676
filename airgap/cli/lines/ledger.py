"""Lines for people about an entry of a ledger that is proven."""

from collections.abc import Iterator, Mapping
from typing import Any

from airgap.cli.lines.labels import join_words
from airgap.cli.terminal import ClaimLine

__all__ = ["entry_lines"]


def entry_lines(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield what an entry says, as ``describe_entry`` has it."""
    yield f"entry {entry['number']}: {entry['event']} at {entry['at']}"
    for name in ("bundle", "channel", "sequence", "root_version", "waiver"):
        if entry[name]:
            yield f"  {name.replace('_', ' ')} {entry[name]}"
    for role, key_ids in entry["signed_by"].items():
        yield from (f"  signed by {role} {key_id}" for key_id in key_ids)
    yield from (f"  {name}  sha256 {digest}" for name, digest in entry["documents"].items())
    who = " on ".join(filter(None, (entry["who"]["user"], entry["who"]["host"])))
    if who:
        yield ClaimLine(f"  by {who}")
    if entry["note"]:
        yield ClaimLine(f"  note: {join_words(entry['note'])}")
