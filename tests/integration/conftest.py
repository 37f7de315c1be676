"""Programs that integration tests start and stop."""

import os
import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.key_backends import Agent, run
from tests.support.package_index import FolderOfFiles, PackageIndex, serve


@pytest.fixture
def real_index(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PackageIndex]:
    """An index of real packages on the loopback, where uv and pip look."""
    with serve(PackageIndex(FolderOfFiles(packages))) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        monkeypatch.setenv("PIP_INDEX_URL", index.url)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
        monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
        yield index


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
