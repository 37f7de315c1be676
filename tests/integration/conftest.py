"""Programs that integration tests start and stop."""

import os
import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.key_backends import Agent, run


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Agent]:
    """A real ssh-agent, empty, that the environment names."""
    with tempfile.TemporaryDirectory(prefix="agent-") as folder:  # a socket's path must be short
        location = f"{folder}/socket"
        (pid,) = re.findall(r"SSH_AGENT_PID=(\d+)", run("ssh-agent", "-s", "-a", location))
        monkeypatch.setenv("SSH_AUTH_SOCK", location)
        try:
            yield Agent(Path(folder))
        finally:
            os.kill(int(pid), signal.SIGTERM)
