"""What a service answers, or writes into its log, does not end the one who watches it."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import BadStatusLine
from pathlib import Path
from typing import Any

import pytest

from airgap.flow.proof import supervisor
from airgap.flow.proof.example import ExampleRequest
from airgap.flow.proof.trial import Trial


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(folder=tmp_path, command=["true"], environment={}, port=1)


class Endless(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        assert size > 0, "an answer without end is read without end"
        return b"[" * size


@pytest.mark.parametrize(
    "answer", [Endless(), io.BytesIO(b"[" * 100_000), io.BytesIO(b"{"), BadStatusLine("x")]
)
def test_a_service_that_describes_itself_badly_gives_no_examples(
    answer: io.RawIOBase | Exception, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def answer_so(*_: object) -> Iterator[Any]:
        if isinstance(answer, Exception):
            raise answer
        yield answer

    monkeypatch.setattr(supervisor, "_DOCUMENT_BYTES", 200_000)
    monkeypatch.setattr(supervisor, "_open", answer_so)

    assert supervisor._list_requests(trial) == []


def test_an_answer_that_is_not_http_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise BadStatusLine("x")

    monkeypatch.setattr(supervisor, "_open", fail)

    answer = supervisor._send(1, ExampleRequest("GET", "/"), 1)

    assert (answer.status, answer.is_success) == (0, False)
    assert answer.problem


def test_workers_that_end_are_counted_among_other_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        '{"event": "start", "process": 7, "arguments": ["bentoml", "worker"]}\n'
        '{"event": "start", "process": 8, "arguments": ["bentoml"]}\n'
        'half a lin\n[1]\n{"event": 1}\n{"event": "start"}\n{"event": "start", "process": []}\n'
        '{"event": "end", "process": 7}\n{"event": "end", "process": 8}\n{"event": "end"}\n'
    )

    assert supervisor._count_worker_ends(log) == 1
    assert supervisor._count_worker_ends(tmp_path / "none") == 0
