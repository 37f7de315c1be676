"""Use workers again and again, each time with a SIGINT one step later; print the steps.

A step is an opcode of the main thread, also within the standard library. It is a program of its
own, so that a use which waits for ever can be ended, and is seen.
"""

import faulthandler
import signal
import sys
from types import FrameType
from typing import Any, Final

from airgap.flow import pipeline

WAIT_SECONDS: Final = 20.0


def main() -> None:
    """Interrupt each step."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    step = 0
    while is_interrupted_at(step):
        step += 1
    print(step)  # noqa: T201


def is_interrupted_at(step: int) -> bool:
    """Use workers, with SIGINT before a step; return False when there are fewer steps."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:  # noqa: ANN401  (sys.settrace's)
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            count += 1
            if count > step:
                sys.settrace(None)
                frame.f_trace = None
                signal.raise_signal(signal.SIGINT)
        return trace

    faulthandler.dump_traceback_later(WAIT_SECONDS, exit=True)
    sys.settrace(trace)
    try:
        use_workers()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
        faulthandler.cancel_dump_traceback_later()
    return False


def use_workers() -> None:
    """Do what an import does: two pools, one with its results in order, one that lags by a task."""
    results: list[int] = []
    with pipeline.serial_executor(lag=1) as executor, pipeline.run_workers(2) as pool:
        for number in pipeline.map_in_order(pool, abs, range(4), 2):
            executor.submit(results.append, number)


if __name__ == "__main__":
    main()
