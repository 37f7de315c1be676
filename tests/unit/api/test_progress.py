"""Progress of the Python API: events, and a callback that fails."""

import pytest

from airgap.api.edge import edge
from airgap.api.progress import ProgressCallback, ProgressEvent, make_progress
from airgap.flow.progress import Silent


def test_events_count_the_bytes_of_their_stage() -> None:
    events: list[ProgressEvent] = []
    progress = make_progress(events.append)

    progress.note("Before.")
    progress.begin("exporting", 10)
    progress.advance(4)
    progress.note("Between.")
    progress.name_item("model ranker:v1")
    progress.advance(6)
    progress.end()

    assert events == [
        ProgressEvent("note", "", 0, 0, "Before."),
        ProgressEvent("begin", "exporting", 0, 10),
        ProgressEvent("advance", "exporting", 4, 10),
        ProgressEvent("note", "exporting", 4, 10, "Between."),
        ProgressEvent("advance", "exporting", 10, 10, item="model ranker:v1"),
        ProgressEvent("end", "exporting", 10, 10, item="model ranker:v1"),
    ]


def test_without_a_callback_nothing_is_reported() -> None:
    assert isinstance(make_progress(None), Silent)


@pytest.mark.parametrize("kind", [ValueError, OSError, KeyboardInterrupt])
def test_what_a_callback_raises_leaves_the_function_unchanged(kind: type[BaseException]) -> None:
    raised = kind("enough")
    calls = []

    def stop(event: ProgressEvent) -> None:
        calls.append(event.kind)
        raise raised

    @edge
    def work(progress: ProgressCallback) -> None:
        reporter = make_progress(progress)
        try:
            reporter.begin("exporting", 1)
        except Exception:  # noqa: BLE001  (what code below may do with errors that it expects)
            pytest.fail("the callback's error was taken for another")
        finally:
            reporter.end()

    with pytest.raises(kind) as caught:
        work(stop)

    assert caught.value is raised
    assert calls == ["begin"]
