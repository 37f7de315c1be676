"""Workers: what they did comes back, and no Ctrl-C makes the main thread wait for ever."""

import signal
import subprocess
import sys
import threading

import pytest

from airgap.flow.workers import Workers
from tests.support.sides import REPOSITORY, unmeasured_environment


def test_a_task_returns_what_the_work_returned() -> None:
    workers = Workers(2)
    tasks = [workers.submit(pow, base, 2) for base in range(5)]

    assert [task.result() for task in tasks] == [0, 1, 4, 9, 16]
    workers.end()


def test_a_task_raises_what_the_work_raised() -> None:
    workers = Workers(1)
    task = workers.submit(int, "three")

    with pytest.raises(ValueError, match="three"):
        task.result()
    workers.end()


def test_a_thread_starts_when_there_is_work_for_it() -> None:
    before = threading.active_count()
    workers = Workers(3)
    assert threading.active_count() == before

    workers.submit(int).result()
    assert threading.active_count() == before + 1

    workers.end()


def test_threads_take_no_signal_of_the_main_thread() -> None:
    workers = Workers(1)
    blocked = workers.submit(signal.pthread_sigmask, signal.SIG_BLOCK, ()).result()
    workers.end()

    assert {signal.SIGINT, signal.SIGTERM} <= blocked
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_ctrl_c_at_any_step_ends_what_the_main_thread_waits_for() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.support.interrupted_workers"],
        cwd=REPOSITORY,
        env=unmeasured_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 500
