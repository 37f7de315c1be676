"""Stamps and verdicts as plain data, with the stock command that checks each stamp."""

import shlex
from collections.abc import Sequence
from typing import Any

from airgap.flow.timestamps.as_of import AsOfResult
from airgap.flow.timestamps.stamp import AddedStamp
from airgap.flow.timestamps.use_case import StampResult
from airgap.format import layout
from airgap.format.root import Root
from airgap.format.site_rules import TimestampAuthority
from airgap.format.stamp_files import certificate_file
from airgap.signing.as_of import AcceptedRoot, SignatureThen
from airgap.signing.stamp_chains import JudgedChain, JudgedStamp
from airgap.signing.time_stamps import Stamp
from airgap.times import format_time

__all__ = ["describe_as_of", "describe_result", "make_stamp_command"]


def describe_result(done: StampResult) -> dict[str, Any]:
    """Describe what was added, or the stamps that are there."""
    return {
        "bundle": done.bundle or None,
        "location": done.location,
        "added": describe_added(done.added),
        "requests": list(map(str, done.requests)),
        "certificates": list(done.certificates),
        "index": done.index or None,
        "stamps": _describe_chains(done.chains, done.bundle),
    }


def describe_added(added: Sequence[AddedStamp]) -> list[dict[str, Any]]:
    """Describe the stamps that were added."""
    return [
        {
            "file": one.file,
            "over": one.over,
            "time": format_time(one.stamp.time),
            "signer": one.stamp.signer,
            "hash": one.stamp.hash,
            "checked": one.is_checked,
        }
        for one in added
    ]


def describe_as_of(result: AsOfResult) -> dict[str, Any]:
    """Describe three verdicts; there is no field that sums them up."""
    then = result.authenticity
    return {
        "bundle": result.bundle,
        "as_of": format_time(then.at),
        "sealed": (
            None if result.recipients is None else {"recipients": result.recipients, "inner": None}
        ),
        "intact": {"verdict": result.is_intact, "problems": list(result.damage)},
        "authentic": {
            "verdict": then.is_authentic,
            "reason": then.reason,
            "root": None if then.root is None else _describe_root(then.root),
            "signatures": [_describe_signature(one, result.root) for one in then.signatures],
        },
        "current_trust": {
            "verdict": not result.distrust,
            "reason": result.distrust,
            "root_version": result.root.version,
        },
        "stamps": _describe_chains(result.chains, result.bundle),
        "ledgers": [
            {
                "file": ledger.file,
                "origin": ledger.checkpoint.origin,
                "entries": ledger.checkpoint.size,
                "root": ledger.checkpoint.root.hex(),
                "proven": None if ledger.proven is None else format_time(ledger.proven),
            }
            for ledger in result.ledgers
        ],
        "missing_certificates": [digest.hex() for digest in result.missing_certificates],
    }


def _describe_chains(chains: Sequence[JudgedChain], bundle: str) -> list[dict[str, Any]]:
    """Describe stamps, and by when what they are over existed.

    Commands are for the top of the depot, or for the folder of a checkpoint.
    """
    return [
        {
            "file": chain.file,
            "proven": None if chain.proven is None else format_time(chain.proven),
            "broken": chain.is_broken,
            "stamps": [
                _describe_stamp(one, over, bundle)
                for one, over in zip(
                    chain.stamps, [chain.file, *(one.file for one in chain.stamps)], strict=False
                )
            ],
        }
        for chain in chains
    ]


def _describe_root(accepted: AcceptedRoot) -> dict[str, Any]:
    created = accepted.root.created_at
    return {
        "version": accepted.root.version,
        "fingerprint": accepted.fingerprint,
        "created_at": None if created is None else format_time(created),
        "reason": accepted.reason,
    }


def _describe_signature(signature: SignatureThen, root: Root) -> dict[str, Any]:
    return {
        "file": signature.file,
        "role": signature.role,
        "name": signature.name,
        "decision": signature.decision,
        "key": signature.key_id,
        "person": root.rules.people.get(signature.key_id, ""),
        "proven": None if signature.proven is None else format_time(signature.proven),
        "counts": not signature.problem,
        "problem": signature.problem,
    }


def _describe_stamp(link: JudgedStamp, over: str, bundle: str) -> dict[str, Any]:
    stamp, authority = link.stamp, link.authority
    described: dict[str, Any] = {
        "file": link.file,
        "over": over,
        "counts": authority is not None,
        "problem": link.problem,
        "authority": None if authority is None else authority.certificate.hex(),
        "gap": None if link.gap is None else list(map(format_time, link.gap)),
    }
    described |= _describe_content(stamp)
    command = None
    if stamp is not None and authority is not None:
        folder = f"{layout.BUNDLES}/{bundle}/" if bundle else ""
        command = make_stamp_command(folder, link.file, over, stamp, authority)
    return {**described, "command": command}


def _describe_content(stamp: Stamp | None) -> dict[str, Any]:
    if stamp is None:
        return dict.fromkeys(("time", "latest", "signer", "hash", "certificate_ends"))
    return {
        "time": format_time(stamp.time),
        "latest": format_time(stamp.latest),
        "signer": stamp.signer,
        "hash": stamp.hash,
        "certificate_ends": None if stamp.expires is None else format_time(stamp.expires),
    }


def make_stamp_command(
    folder: str, file: str, over: str, stamp: Stamp, authority: TimestampAuthority
) -> str:
    """Return the command of openssl that checks a stamp at its own time.

    ``folder`` is where the files lie, with a slash at its end, or empty.
    """
    words = ["openssl", "ts", "-verify", "-attime", str(stamp.time), "-data", f"{folder}{over}"]
    words += ["-in", f"{folder}{file}"]
    words += ["-CAfile", f"{folder}{certificate_file(authority.certificate)}"]
    return shlex.join(words)
