"""Lines for people about what a bundle holds and who signed it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from airgap.cli.lines.labels import claim_lines, join_words
from airgap.cli.output import count_text, size_text
from airgap.cli.terminal import ClaimLine

__all__ = ["content_lines", "item_lines", "sealing_lines", "signature_lines", "signer_lines"]


def content_lines(bundle: Mapping[str, Any]) -> Iterator[str]:
    """Yield id, times, channel, number, audience, labels and size of a bundle, as described."""
    yield f"bundle {bundle['bundle']}"
    yield ClaimLine(f"created {bundle['created_at']} by {bundle['tool']}")
    yield f"expires {bundle['expires_at'] or 'never'}"
    number = f"number {bundle['sequence']}" if bundle["sequence"] else "no number"
    sites = ", ".join(bundle["audience"]) or "any site"
    yield ClaimLine(f"channel {bundle['channel']}, {number}, for {sites}")
    yield from claim_lines(bundle)
    packs = count_text(bundle["packs"], "pack")
    if bundle.get("sealed"):
        yield from sealing_lines(bundle["sealed"])
    if bundle.get("sealed") and bundle["sealed"]["inner"] is None:
        yield f"{packs} of {size_text(bundle['stored_size'])}"
        return
    yield f"{size_text(bundle['size'])} in {packs} of {size_text(bundle['stored_size'])}"


def sealing_lines(sealed: Mapping[str, Any]) -> Iterator[str]:
    """Yield to how many a bundle is sealed, and which one is inside, if it was opened."""
    yield f"sealed to {count_text(sealed['recipients'], 'recipient')}"
    yield from [f"bundle {sealed['inner']} is inside"] if sealed["inner"] else []


def item_lines(items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each item, and one for each of its entries if they are described."""
    for item in items:
        files = count_text(item["files"], "file")
        yield f"{item['kind']} {item['tag']}  {files}, {size_text(item['size'])}"
        yield from (ClaimLine(f"  {_entry_line(entry)}") for entry in item.get("entries", ()))


def signature_lines(claims: Sequence[Mapping[str, Any]], bundle: str) -> Iterator[str]:
    """Yield who claims to have signed a bundle, and as what; nothing is verified.

    A note that is None was left out: the last line says how many were.
    """
    if not claims:
        yield "claims no signatures"
    for title, group in groupby(claims, _title_claim):
        yield title
        for claim in group:
            yield f"  {claim['key_id'] or 'unreadable'}"
            if "time" in claim:
                note = f": {join_words(claim['note'])}" if claim["note"] else ""
                yield ClaimLine(f"    at {claim['time']}{note}")
            if claim.get("bundle", bundle) != bundle:
                yield f"    for bundle {claim['bundle']}"
    hidden = sum(claim.get("note", "") is None for claim in claims)
    if hidden:
        notes = "1 note is" if hidden == 1 else f"{hidden} notes are"
        yield f"{notes} not shown: not signed by a key of this machine's root"


def signer_lines(bundle: Mapping[str, Any]) -> Iterator[str]:
    """Yield whose signatures count, or are claimed, by role; of a damaged bundle nothing is known.

    ``bundle`` is as ``flow.depot.list_tags`` describes it.
    """
    is_verified = bundle["trusted"] or bundle["standing"] == "sealed"  # then the index is
    claims = "" if is_verified else "claims to be "
    groups = [("signed by builder", bundle.get("signed_by", ()))]
    for attested in bundle.get("attestations", ()):
        title = f"{_VERBS[attested['decision']]} by {attested['role']} ({attested['name']})"
        groups.append((title, attested["signed_by"]))
    for title, key_ids in groups:
        yield from [f"{claims}{title}"] if key_ids else []
        yield from (f"  {key_id}" for key_id in key_ids)


_VERBS: Final = {"accept": "accepted", "reject": "rejected"}


def _title_claim(claim: Mapping[str, Any]) -> str:
    if claim["role"] == "builder":
        return "claims to be signed by builder"
    if "decision" not in claim:
        return f"unreadable attestation of {claim['role']}"
    return f"claims to be {_VERBS[claim['decision']]} by {claim['role']} ({claim['name']})"


def _entry_line(entry: Mapping[str, Any]) -> str:
    if "link_to" in entry:
        return f"{entry['path']} -> {entry['link_to']}"
    if "empty_folder" in entry:
        return f"{entry['path']}/"
    return f"{entry['sha256']}  {entry['path']}"
