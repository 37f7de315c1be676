"""A process that does not answer is not waited for."""

import subprocess

import pytest

from tests.support.answers import read_answer


def test_a_line_is_read() -> None:
    with subprocess.Popen(["echo", "seen"], stdout=subprocess.PIPE) as process:
        assert read_answer(process) == b"seen\n"


def test_a_process_that_does_not_answer_is_killed() -> None:
    with subprocess.Popen(["sleep", "600"], stdout=subprocess.PIPE) as process:
        with pytest.raises(TimeoutError, match="did not answer"):
            read_answer(process, 0.01)
        assert process.wait(60) == -9
