"""Every kind of server that the contract tests know, by name.

Each starts a server that keeps its files below a folder, and stops it when it is left. One that
lacks its program skips with the reason. Modules are imported when they are used.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from tests.servers import local_folder, memory
from tests.servers.ground import Server

__all__ = ["QUICK", "REAL"]

Start = Callable[[Path], AbstractContextManager[Server]]

QUICK: dict[str, Start] = {"folder": local_folder.serve, "memory": memory.serve}
"""Those without a server of another maker: part of ``make test``."""

REAL: dict[str, Start] = {}
"""Real servers: ``make test-servers``."""
