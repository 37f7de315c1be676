"""The two machines of docs/six-commands.md: each with nothing but what is installed.

``python -m tests.support.six_commands DOCUMENT`` writes what is printed today into the document.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.flow.demo import scenario
from airgap.flow.demo.machine import Machine
from tests.support import whole_way
from tests.support.sides import unmeasured_environment
from tests.support.whole_way import STICK, Shell

PROGRAMS: Final = ("unshare", "ip", "curl")
ALONE: Final = ("unshare", "-n", "bash", "-c", "ip link set lo up && exec bash --norc")
_GROUPS: Final = re.compile(r"^ +((?:[0-9a-f]{4} *){8})$", re.MULTILINE)


class Nobody:
    """Watches the making of the Bento."""

    def show(self, _: str) -> None:
        """Show nothing."""

    show_heading = show_text = show_command = show_output = show


@dataclass
class Machines:
    """Both machines, and the office's stick."""

    shells: dict[str, Shell]
    stick: Path
    homes: dict[str, Path]
    fingerprint: str = ""

    def complete(self, command: str) -> str:
        """Put this run's fingerprint where a command has that of another."""
        return whole_way.FINGERPRINT.sub(self.fingerprint, command)

    def run(self, machine: str, command: str) -> str:
        """Type a command into a machine; return what is printed, with the document's paths."""
        typed = self.complete(command).replace(STICK, str(self.stick))
        printed = self.shells[machine].run(typed)
        if command.startswith("airgap init"):
            self.fingerprint = "SHA256:" + "".join(_GROUPS.findall(printed)).replace(" ", "")
        printed = printed.replace(str(self.stick), STICK).replace(str(self.homes[machine]), "~")
        return printed if not printed or printed.endswith("\n") else f"{printed}\n"


@contextmanager
def set_up(folder: Path) -> Iterator[Machines]:
    """Give both machines: the office with a Bento, the ward without a network."""
    (folder / "stick").mkdir()
    machines = {
        name: Machine(folder / name, Nobody(), [], offline=name == "ward")
        for name in ("office", "ward")
    }
    scenario.build(machines["office"], Nobody())
    shells: dict[str, Shell] = {}
    try:
        for name, machine in machines.items():
            environment = {
                **machine.environment(),
                "HOME": str(machine.folder),
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "AIRGAP_INIT_NO_PASSPHRASE": "1",
            }
            del environment["AIRGAP_HOME"]
            kept = unmeasured_environment().keys() | environment.keys() - os.environ.keys()
            shells[name] = Shell(
                ALONE, {key: value for key, value in environment.items() if key in kept}
            )
            shells[name].run("cd")
        homes = {name: machine.folder for name, machine in machines.items()}
        yield Machines(shells, folder / "stick", homes)
    finally:
        for shell in shells.values():
            shell.close()


def write(document: Path) -> None:
    """Put what is printed today into a document."""
    with tempfile.TemporaryDirectory() as name, set_up(Path(name)) as machines:
        document.write_text(whole_way.rewrite(document.read_text(), machines))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
