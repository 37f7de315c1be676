"""``airgap completion``: the script by which a shell completes words, and the answers to it."""

import os
import signal
from contextlib import suppress
from typing import Any, ClassVar, Final

import click
from click.shell_completion import (
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    split_arg_string,
)

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, answers
from airgap.cli.terminal import print_text
from airgap.errors import CommandLine

__all__ = ["VARIABLE", "answer_shell", "command"]

VARIABLE: Final = "_AIRGAP_COMPLETE"
_PROGRAM: Final = "airgap"
_SECONDS: Final = 3
"""A file system that does not answer must not stop somebody from typing."""

# bash breaks words at ':' and '=' too, and replaces only what follows the last of them.
_BASH: Final = r"""
%(complete_func)s() {
    local line="${COMP_LINE:0:COMP_POINT}" breaks="" head="" mark type value
    local word="${line##*[[:space:]]}"
    for mark in ':' '='; do
        [[ $COMP_WORDBREAKS == *"$mark"* ]] && breaks+=$mark
    done
    [[ $breaks ]] && head="${word%%"${word##*[$breaks]}"}"
    COMPREPLY=()
    while IFS=',' read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("${value#"$head"}") ;;
        esac
    done < <(COMP_WORDS="$line" COMP_CWORD="$word" %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class BashComplete(ShellComplete):
    """Completion for bash. It sends the line up to the cursor, because a tag has a colon."""

    name: ClassVar[str] = "bash"
    source_template: ClassVar[str] = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the whole words of the line, and the one that is being typed."""
        words = split_arg_string(os.environ["COMP_WORDS"])
        incomplete = words.pop() if os.environ["COMP_CWORD"] and words else ""
        return words[1:], incomplete

    def format_completion(self, item: "CompletionItem[Any]") -> str:
        """Write a candidate as a line of the script's protocol."""
        return f"{item.type},{item.value}"


_SHELLS: Final = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command(cls=HelpCommand)
@click.argument("shell", type=click.Choice(sorted(_SHELLS)))
@answers
def command(*, shell: str) -> Result:
    """Print the script that lets SHELL complete commands, options and names.

    Names are the tags of items on this machine, remotes, keys, channels, sites, recorded bundles,
    and the bundles of a depot in a folder (DEPOT#). Nothing is asked, no connection is opened.
    """
    made = _SHELLS[shell](click.Group(), {}, _PROGRAM, VARIABLE)
    script = made.source().strip("\n")
    lines = map(CommandLine, script.split("\n"))
    return Result({"shell": shell, "script": f"{script}\n"}, lines)


def answer_shell(program: click.Group) -> None:
    """Print the candidates that a shell asks for; nothing if anything is wrong."""
    shell, _, _ = os.environ[VARIABLE].partition("_")
    before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_SECONDS)
    try:
        with suppress(Exception, SystemExit):
            print_text(_SHELLS[shell](program, {}, _PROGRAM, VARIABLE).complete())
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
