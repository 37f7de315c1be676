"""What kit, prove and rehearse print at a terminal of 80 columns: only sentences are longer."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from airgap.cli import kit as kit_command
from airgap.cli import terminal
from airgap.cli.lines.proofs import make_result
from airgap.cli.terminal import Line, print_line
from airgap.flow.exporting.write_bundle import ExportResult
from airgap.flow.kit.make import Kit, KitRequest, parse_packages
from airgap.flow.proof.prove import Proof
from airgap.flow.proof.report import Report, Request
from airgap.flow.proof.trial import Outcome, ServiceAnswer
from airgap.format import manifest as manifests
from tests.support import closure_items, environments, forge
from tests.support.forge import Forge
from tests.support.sides import Site

BUNDLE = "ab" * 32


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "measure_columns", lambda **_: 80)


def list_longer(lines: Iterable[Line], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Print lines; return those that neither fit nor are sentences, which end with a stop."""
    for line in lines:
        print_line(line)
    rows = capsys.readouterr().out.splitlines()
    assert rows
    return [row for row in rows if len(row) > 80 and not row.endswith(".")]


def test_a_proof_fits(capsys: pytest.CaptureFixture[str]) -> None:
    asked = Request(
        *("models.example", 12, (80, 443), ("GET /v1/models/ranker",)),
        *(("service.py:25 in fetch, service.py:73 in main",), ("requests", "urllib3")),
    )
    answers = (ServiceAnswer("POST /norm", 500, "it is not JSON"),)
    reports = [
        Report("served", Outcome(seconds=3, is_ready=True), (), is_weak=True),
        Report("did not answer", Outcome(seconds=3, is_ready=True, answers=answers), (asked,)),
        Report(
            "did not start",
            Outcome(is_ready=False, seconds=300, exit_code=1),
            (),
            log=("Traceback",),
        ),
    ]
    proofs = [Proof("summarizer:v1", report, BUNDLE) for report in reports]

    assert list_longer(make_result(proofs, None).lines, capsys) == []


def test_a_kit_fits(tmp_path: Path, site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    item = environments.wheelhouse(dict([closure_items.wheel()]))
    depot = Forge(tmp_path, forge.load_signer(site.key())).depot(forge.draft(item, reader=2))
    (raw,) = depot.glob("bundles/*/manifest.msgpack")
    exported = ExportResult(BUNDLE, manifests.decode(raw.read_bytes()), 1, 0, 10)
    request = KitRequest(depot, parse_packages([], (), "3.11"), [], spool=tmp_path)

    result = kit_command._make_result(Kit(exported, {"install.py": "cd" * 32}), request)

    lines = list(result.lines)
    longer = list_longer(lines, capsys)
    assert [row for row in longer if str(depot) not in row] == []
    install = f"On the other side: python3 {depot}/install.py --fingerprint SHA256:..."
    assert lines[-1] == install
