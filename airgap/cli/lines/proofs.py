"""Lines about a proof: the verdict, what was asked for and by which line, what to do."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from airgap.cli.output import Result, count_text
from airgap.errors import MissingError
from airgap.flow.disk_use import describe_peak
from airgap.flow.proof.prove import Proof, describe_proof, write_report
from airgap.flow.proof.report import Report, Request

__all__ = ["make_result", "proof_lines"]

_SHOWN: Final = 20
"""Hosts that are named; a service that looks for thousands would fill the screen."""


def proof_lines(proof: Proof) -> Iterator[str]:
    """Yield the verdict, then what stands against it, then what to do."""
    report = proof.report
    yield f"bento {proof.bento}: {_judge(report)}"
    for answer in report.outcome.answers:
        problem = f" ({answer.problem})" if answer.problem else ""
        yield f"  {answer.request}: {answer.status or 'no answer'}{problem}"
    for request in report.requests[:_SHOWN]:
        yield from _request_lines(request)
    if len(report.requests) > _SHOWN:
        yield f"  and {len(report.requests) - _SHOWN:,} hosts more: --report FILE has all of them"
    for request in report.allowed:
        yield f"  allowed: {request.host} ({count_text(request.count, 'look-up')})"
    if report.log:
        yield "  the end of its log:"
        yield from (f"    {line}" for line in report.log)
    if report.is_weak:
        yield (
            "  This is the weaker proof: this host gives no namespaces, so that only Python was"
            " watched."
        )
    yield from _hints(report)


def _judge(report: Report) -> str:
    ready = f"ready after {report.outcome.seconds:.1f} s"
    match report.verdict:
        case "served":
            return f"served, and asked for nothing ({ready})"
        case "served, but asked for":
            return f"served, but asked for {count_text(len(report.requests), 'host')} ({ready})"
        case "did not answer":
            return f"started, but an answer was wrong ({ready})"
        case "did not start":
            return f"did not start ({_find_reason(report)})"


def _find_reason(report: Report) -> str:
    outcome = report.outcome
    if outcome.exit_code is not None:
        return f"it ended with exit code {outcome.exit_code} after {outcome.seconds:.1f} s"
    if outcome.keeps_failing:
        return f"its workers ended again and again, for {outcome.seconds:.1f} s"
    return f"it was not ready after {outcome.seconds:.0f} s"


def _request_lines(request: Request) -> Iterator[str]:
    ports = ", ".join(str(port) for port in request.ports)
    port = f", port {ports}" if ports else ""
    yield f"  asked for {request.host}{port} ({count_text(request.count, 'look-up')})"
    by = f"{', '.join(request.packages)}, " if request.packages else ""
    yield from (f"    {by}from {line}" for line in request.lines)
    if not request.lines:
        yield f"    {by or 'not by Python, '}from none of the Bento's own lines"
    yield from (f"    {text}" for text in request.requests)


def _hints(report: Report) -> Iterator[str]:
    if report.verdict == "served" and not report.outcome.answers:
        yield (
            "  No request was sent, because the service gives no example: give --request FILE. To"
            " be ready proves little."
        )
    if report.requests:
        yield (
            "  → Carry what it looks for (a model in the Bento, or `export --files`), or accept it"
            " with --allow-host."
        )
    elif report.verdict != "served":
        yield "  → Fix the Bento, or carry what its log says is missing."


def make_result(proofs: Sequence[Proof], path: Path | None) -> Result:
    """Say what came of each proof; write the report if it is wanted.

    Raises:
        StorageError: the report cannot be written.
    """
    data = {"proofs": [describe_proof(proof) for proof in proofs]}
    lines = [line for proof in proofs for line in proof_lines(proof)]
    if path:
        write_report(path, data)
        lines.append(f"The report is in {path}.")
        if proofs[0].bundle:
            lines.append(
                f"To sign it: airgap attest SRC --bundle {proofs[0].bundle} --role scanner"
                f" --name rehearsal --findings {path}"
            )
    peaks = proofs[0].peaks if proofs else ()
    data["disk_use"] = [describe_peak(peak) for peak in peaks]
    proven = all(proof.report.is_proof for proof in proofs)
    return Result(data, lines, 0 if proven else MissingError.exit_code)
