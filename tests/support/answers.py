"""Answers of a process that tests ask, which may hang."""

import select
import subprocess
from typing import AnyStr

LIMIT_SECONDS = 120.0


def read_answer(
    process: "subprocess.Popen[AnyStr]", limit_seconds: float = LIMIT_SECONDS
) -> AnyStr:
    """Return the next line of a process that writes one line for each request.

    Raises:
        TimeoutError: none came in time; the process was killed.
    """
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], limit_seconds)[0]:
        process.kill()
        raise TimeoutError(f"{process.args!r} did not answer for {limit_seconds} seconds")
    return process.stdout.readline()
