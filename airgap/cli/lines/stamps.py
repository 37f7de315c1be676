"""Time stamps and verdicts as of a time, for people."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from airgap.cli.terminal import ClaimLine
from airgap.errors import CommandLine
from airgap.printable import count_text

__all__ = ["as_of_lines", "chain_lines"]

_VERDICTS: Final = {True: "yes", False: "NO"}


def as_of_lines(data: Mapping[str, Any]) -> Iterator[str]:
    """Return the three verdicts, each with what it rests on."""
    intact, then, today = data["intact"], data["authentic"], data["current_trust"]
    if data["sealed"] is not None:
        sealed = f"SEALED to {count_text(data['sealed']['recipients'], 'recipient')}"
        yield f"{sealed}: the answers are about the index; what is inside was not looked at"
    yield f"intact: {_VERDICTS[intact['verdict']]}"
    for problem in intact["problems"]:
        yield ClaimLine(f"  {problem}")
    yield f"authentic at {data['as_of']}: {_VERDICTS[then['verdict']]} ({then['reason']})"
    if then["root"] is not None:
        yield f"  root version {then['root']['version']}: {then['root']['reason']}"
    for signature in then["signatures"]:
        yield from _signature_lines(signature)
    trust = f"current trust: {_VERDICTS[today['verdict']]} (root version {today['root_version']})"
    yield trust
    if today["reason"]:
        yield ClaimLine(f"  {today['reason']}")
    yield from chain_lines(data["stamps"])
    for ledger in data["ledgers"]:
        entries = count_text(ledger["entries"], "entry", "entries")
        proven = f" by {ledger['proven']}" if ledger["proven"] else "; no stamp says when"
        yield f"the ledger {ledger['origin']} had {entries}{proven}"
    for digest in data["missing_certificates"]:
        yield f"certificate {digest} is not beside the bundle: airgap timestamp --certificate FILE"
    yield f"bundle {data['bundle']}"


def chain_lines(chains: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Return each stamp, by when its file existed, and the command that checks it."""
    for chain in chains:
        if not chain["stamps"] and not chain["broken"]:
            yield f"no stamp: {chain['file']}"
            continue
        yield f"stamps over {chain['file']}"
        for stamp in chain["stamps"]:
            yield from _stamp_lines(stamp)
        if chain["broken"]:
            yield "  later stamps prove nothing: one before them is missing or does not fit"
        if chain["proven"] is not None:
            yield f"  existed by {chain['proven']}"


def _signature_lines(signature: Mapping[str, Any]) -> Iterator[str]:
    role = signature["role"] + (f" ({signature['name']})" if signature["name"] else "")
    person = f", {signature['person']}" if signature["person"] else ""
    decision = f": {signature['decision']}" if signature["decision"] else ""
    yield f"  {role}{decision} {signature['key']}{person}"
    if signature["problem"]:
        yield ClaimLine(f"    does not count: {signature['problem']}")
    else:
        yield f"    existed by {signature['proven']}"


def _stamp_lines(stamp: Mapping[str, Any]) -> Iterator[str]:
    if stamp["problem"]:
        yield f"  {stamp['file']}"
        yield ClaimLine(f"    does not count: {stamp['problem']}")
        return
    yield f"  {stamp['time']} ({stamp['hash']}), until {stamp['latest']} by its accuracy"
    yield ClaimLine(f"    by {stamp['signer']}")
    if stamp["gap"]:
        begin, end = stamp["gap"]
        yield f"    its certificate had ended from {begin} to {end} before it was renewed"
    yield CommandLine(f"    {stamp['command']}")
