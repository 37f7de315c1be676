"""A terminal for tests: runs the command line in one, answers it, and reads the screen."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.sides import Ran, Side

__all__ = ["run_at_terminal"]


def run_at_terminal(
    side: Side,
    *arguments: str | Path,
    answers: Sequence[tuple[str, str]] = (),
    variables: Mapping[str, str] | None = None,
    columns: int = 80,
) -> Ran:
    """Run ``airgap`` with a terminal as standard input and error.

    Args:
        side: where it runs.
        arguments: the command line.
        answers: pairs of a prompt to wait for and what to type then.
        variables: more of the environment; an empty value takes a variable away.
        columns: how wide the terminal is.

    Returns:
        Exit code, standard output, and (as ``err``) what was to be seen on the screen.
    """
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    inherited = {key: os.environ[key] for key in os.environ.keys() - {"COLUMNS", "NO_COLOR"}}
    environment = {**inherited, "TERM": "xterm", **side.environment, **(variables or {})}
    process = subprocess.Popen(
        [sys.executable, "-m", "airgap", *map(str, arguments)],
        env={key: value for key, value in environment.items() if value},
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    seen = b""
    for prompt, typed in answers:
        seen += _read_until(screen, prompt.encode())
        os.write(screen, typed.encode())
    seen += _read_until(screen, None)
    os.close(screen)
    out, _ = process.communicate(timeout=60)
    return Ran(process.returncode, out.decode(), seen.decode())


def _read_until(screen: int, wanted: bytes | None) -> bytes:
    """Read what the screen shows up to a text, or to its end."""
    seen = b""
    while wanted is None or wanted not in seen:
        piece = b""
        with suppress(OSError):  # EIO: the last program that had the terminal is gone
            piece = os.read(screen, 65536)
        if not piece:
            assert wanted is None, f"never asked {wanted!r}: {seen.decode()}"
            break
        seen += piece
    return seen
