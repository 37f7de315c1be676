"""The entry point: finds the command, runs it, and turns errors into exit codes."""

import ctypes
import errno
import gc
import importlib
import io
import os
import shlex
import sys
import traceback
from collections.abc import Collection, Iterable, Sequence
from contextlib import redirect_stdout, suppress
from typing import Any, Final, NoReturn

import click

from airgap.cli import interrupts, terminal
from airgap.cli.help import COLUMNS, HelpGroup
from airgap.cli.settings import name_options, suggest
from airgap.cli.usage import is_env_run, name_source, suggest_separator
from airgap.errors import (
    AirgapError,
    CommandLine,
    ConfigurationError,
    InterruptedByUser,
    StorageError,
    UsageError,
)
from airgap.format import limits
from airgap.version import __version__

__all__ = ["COMMANDS", "cli", "main", "restore_environment"]

# name: (module below airgap.cli, one line of help). Modules are imported when they are used.
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "init": ("init", "Set up this machine to export: keys, a root, defaults."),
    "kit": ("kit", "Make a folder that installs airgap where there is no index."),
    "demo": ("demo", "Carry a small Bento across an imaginary gap, in a temporary folder."),
    "export": ("export", "Pack Bentos and their models into a signed bundle."),
    "import": ("import_", "Verify a bundle and install what it holds."),
    "verify": ("verify", "Read and check everything an import would read; write nothing."),
    "inspect": ("inspect", "Show what a bundle claims to hold; nothing is verified."),
    "diff": ("diff", "Show what changed between two bundles."),
    "split": ("split", "Split a bundle into volumes: discs, sticks, cards."),
    "join": ("join", "Combine volumes in one depot."),
    "repair": ("repair", "Restore damaged packs from parity."),
    "push": ("push", "Push a Bento or model to a depot, signed, unless it is there."),
    "pull": ("pull", "Pull a Bento or model from a depot, verified, with what it needs."),
    "list": ("list_", "List the bundles of a depot, or what is on this machine."),
    "get": ("get", "Show the newest version of a tag, here or in a depot."),
    "delete": ("delete", "Delete bundles from a depot."),
    "gc": ("gc", "Remove packs from a depot that no bundle needs."),
    "copy": ("copy", "Copy bundles from one location to another; no key needed."),
    "remote": ("remote", "Name the servers that you use."),
    "log": ("log", "Show what was imported, refused and waived here, and who signed it."),
    "check": ("check", "Compare what is installed with what was imported, byte for byte."),
    "env": ("env", "Install the Python packages of a Bento, and serve it with them."),
    "image": ("image", "Build, list, push and save container images."),
    "prove": ("prove", "Serve an installed Bento without a network, and say what it asks for."),
    "rehearse": ("rehearse", "Import a bundle as the other side will, and serve its Bentos."),
    "key": ("key", "Make keys and show their fingerprints."),
    "root": ("root", "Make and change the trust document of a site."),
    "trust": ("trust", "Choose whom this machine trusts."),
    "sign": ("sign", "Add a builder's signature to a bundle."),
    "attest": ("attest", "Sign the result of a scan or review of a bundle."),
    "approve": ("approve", "Accept or reject a bundle as an approver."),
    "waive": ("waive", "Permit a site to import one bundle despite its age."),
    "ledger": ("ledger", "Prove what a ledger holds, and check what others prove."),
    "receipt": ("receipt", "Confirm what a site imported or refused to those who sent it."),
    "scan": ("scan", "Say what the files of a bundle would run, and sign that as a scanner."),
    "seal": ("seal", "Encrypt a bundle to the recipients of its site."),
    "unseal": ("unseal", "Take the bundle out of a sealed one, to inspect or approve it."),
    "attach": ("attach", "Let a file travel with a bundle, such as evidence of others."),
    "evidence": ("evidence", "Collect what speaks of a bundle, for other programs."),
    "archive": ("archive", "Keep bundles for years, with holds and what is known of them."),
    "timestamp": ("timestamp", "Have an authority prove by when signatures existed."),
    "audit": ("audit", "Write a report for auditors, with evidence that they check themselves."),
    "bom": ("bom", "Write the bill of materials of a bundle, or of what is installed."),
    "licenses": ("licenses", "Say what a licence policy says of a bundle, and why."),
    "serve": ("serve", "Receive bundles, or serve them to stock clients: drop box and mirror."),
    "inbox": ("inbox", "Look at what stock clients have pushed, and sign it."),
    "watch": ("watch", "Import the bundles that arrive in a folder."),
    "remove": ("remove", "Remove items from this machine."),
    "prune": ("prune", "Remove from this machine what nothing here needs."),
    "config": ("config", "Show what is configured, and where each value comes from."),
    "doctor": ("doctor", "Check this machine's setup and say what to fix."),
    "docs": ("docs", "Print a page of the documents, or where they lie for a browser."),
    "completion": ("completion", "Let the shell complete commands, options and names."),
}
# Where a heading begins in the help, and which.
_HEADINGS: Final = {
    "init": "Begin",
    "export": "Carry a bundle",
    "push": "Depots and servers",
    "log": "Look back",
    "env": "Run a Bento",
    "key": "Keys and trust",
    "ledger": "Prove and archive",
    "serve": "Receive bundles",
    "remove": "Keep this machine in order",
}
_WITHOUT_CONFIG: Final = frozenset({"config", "doctor"})
"""They must run when the config file is what is wrong."""
_WRITE_CONFIG: Final = frozenset({"init", "remote"})
"""They may make the config file that AIRGAP_CONFIG names."""
_CLOSE: Final = 0.7
"""How much of a word must be right for the command to be suggested (difflib's ratio)."""
_WIDEST: Final = max(map(len, COMMANDS))
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_OBJECTS_PER_COLLECTION: Final = 50_000
_SHOWN_DETAILS: Final = 20
_THREADS: Final = "OPENBLAS_NUM_THREADS"
_SET_HERE: Final[list[str]] = []
_COMPLETES: Final = "_AIRGAP_COMPLETE"
_FLAGS: Final = frozenset({"--json", "--quiet", "-q"})
"""Options that nearly every command has."""
_HELP: Final = frozenset({"-h", "--help", "--version"})
_AIRGAP_KEY: Final = "AIRGAP_KEY"
_SILENT: Final = frozenset({"-q", "--quiet"}) | _HELP


class LazyGroup(HelpGroup):
    """A group whose commands are imported one at a time, so that ``--help`` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order people need them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"airgap.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        if ctx.resilient_parsing:  # a shell completes a word
            from airgap.cli.candidates import offer_candidates

            offer_candidates(command)
        elif cmd_name not in _WITHOUT_CONFIG:
            ctx.default_map = {**(ctx.default_map or {}), cmd_name: _defaults(cmd_name, command)}
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or suggest the one that was meant."""
        if not (args[0] in COMMANDS or args[0].startswith("-") or ctx.resilient_parsing):
            from difflib import get_close_matches

            if args[0] == "help":
                return super().resolve_command(ctx, [*(args[1:] or ["--help"]), "--help"][:2])
            close = get_close_matches(args[0], COMMANDS, cutoff=_CLOSE)
            near = " or ".join(f"`airgap {name}`" for name in close)
            raise UsageError(
                f"There is no command {args[0]!r}.",
                f"Did you mean {near}?" if near else "See `airgap --help`.",
            )
        if not (ctx.resilient_parsing or args[0] == "config" or _SILENT.intersection(args)):
            _warn_of_variables()
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List commands and their help, in sections and without importing them."""
        del ctx
        sections: dict[str, list[tuple[str, str]]] = {}
        heading = ""
        for name, (_, text) in COMMANDS.items():
            heading = _HEADINGS.get(name, heading)
            sections.setdefault(heading, []).append((name.ljust(_WIDEST), text))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)


@click.group(
    cls=LazyGroup,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "AIRGAP",
        "max_content_width": COLUMNS,
    },
    epilog="Exit codes: 0 done, 1 a bug, 2 usage, 3 configuration, 10 corrupt, 11 not trusted,"
    " 12 policy, 13 missing, 14 conflict, 15 storage, 16 transport, 130 interrupted."
    " The terms are explained in docs/glossary.md.",
)
@click.version_option(__version__, "-V", "--version", prog_name="airgap")
@click.option(
    "--color",
    "when",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    envvar="AIRGAP_COLOR",
    help="Print in colour; auto: on a terminal, unless NO_COLOR is set or TERM is dumb.",
)
def cli(when: str) -> None:
    """Carry BentoML services across an air gap.

    Bundles are content-addressed and signed; nothing is installed before it is verified.
    """
    terminal.choose_colour(when)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with the code of the error, or 0 (docs/exit-codes.md)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    terminal.open_standard_descriptors()
    interrupts.raise_on_signals()
    _limit_threads()
    _keep_freed_memory()
    gc.set_threshold(_OBJECTS_PER_COLLECTION)  # hardly any object here refers to itself
    if isinstance(
        sys.stdout, io.TextIOWrapper
    ):  # a name that it cannot encode must not end a command
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = _run(words)
        terminal.discard_output()
        sys.exit(code)
    except AirgapError as error:
        _fail(error, words)
    except click.exceptions.NoArgsIsHelpError as error:
        terminal.print_text(error.format_message(), err=True)
        sys.exit(UsageError.exit_code)
    except click.ClickException as error:
        name_source(error)
        _fail(UsageError(_usage_message(error), _usage_hint(error, words)), words)
    except (KeyboardInterrupt, click.Abort):
        _fail(
            InterruptedByUser(
                "Stopped.", "Run the same command again: it continues where it stopped."
            ),
            words,
        )
    except Exception as error:  # noqa: BLE001  (the one place where nothing may pass)
        if _lacks_memory(error):
            _fail(
                StorageError(
                    "There is not enough memory.",
                    "Raise the limit (ulimit -v) or stop other programs, and run the same command"
                    " again: it continues where it stopped.",
                ),
                words,
            )
        _print_traceback()
        _fail(
            AirgapError(
                f"This is a bug in airgap: {type(error).__name__}: {error}",
                "Nothing was installed that was not verified. Please report it with the lines"
                " above.",
            ),
            words,
        )


def _limit_threads() -> None:
    """Let numpy have no idle threads, which would take time from ours."""
    if _THREADS not in os.environ:
        os.environ[_THREADS] = "1"
        _SET_HERE.append(_THREADS)


def restore_environment() -> dict[str, str]:
    """Return the environment as it was before ``main``: for a program that is not ours."""
    return {name: value for name, value in os.environ.items() if name not in _SET_HERE}


def _run(words: list[str]) -> int:
    """Run the command; with ``--json``, help is one object as well."""
    if _COMPLETES in os.environ:
        from airgap.cli.completion import answer_shell

        answer_shell(cli)
        return 0
    text = io.StringIO()
    if "--json" not in words or _HELP.isdisjoint(words):
        code = cli.main(words, prog_name="airgap", standalone_mode=False)
    else:
        with redirect_stdout(text):
            code = cli.main(words, prog_name="airgap", standalone_mode=False)
        terminal.print_json({"help": text.getvalue()})
    return code if isinstance(code, int) else 0


def _fail(raw: AirgapError, words: Sequence[str]) -> NoReturn:
    """Print for people on standard error, for programs on standard output; then exit."""
    error = _redact_error(raw)
    _print_error(error)
    with suppress(OSError):  # the exit code still says it
        if "--json" in words:
            _print_json_error(error)
    terminal.discard_output()
    sys.exit(error.exit_code)


def _lacks_memory(error: Exception) -> bool:
    """Tell whether memory, or a thread, whose stack needs memory too, could not be had."""
    return (
        isinstance(error, MemoryError)
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or (isinstance(error, ImportError) and "failed to map segment" in str(error))
        or (isinstance(error, RuntimeError) and str(error) == "can't start new thread")
    )


def _print_traceback() -> None:
    from airgap.flow.redaction import redact

    terminal.print_text(redact(traceback.format_exc()).rstrip("\n"), err=True)


def _redact_error(error: AirgapError) -> AirgapError:
    from airgap.flow.redaction import redact

    details = [type(line)(redact(line)) for line in error.details]
    return error.reword(redact(error.message), redact(error.hint), details)


def _print_error(error: AirgapError) -> None:
    terminal.print_error_line(f"airgap: {error.message}", colour="red")
    for line in error.details[:_SHOWN_DETAILS]:
        if isinstance(line, CommandLine):  # without a line feed in it, so that it can be copied
            terminal.print_line(CommandLine(f"  {line}"), err=True)
        else:
            terminal.print_error_line(f"  {line}", indent="    ")
    if len(error.details) > _SHOWN_DETAILS:
        terminal.print_error_line(f"  … and {len(error.details) - _SHOWN_DETAILS} more")
    if error.hint:
        terminal.print_error_line(f"  → {error.hint}", indent="    ")


def _print_json_error(error: AirgapError) -> None:
    data: dict[str, Any] = {
        "kind": error.kind,
        "message": error.message,
        "hint": error.hint,
        "exit_code": error.exit_code,
    }
    if error.details:
        data["details"] = list(error.details)
    terminal.print_json({"error": data})


def _usage_message(error: click.ClickException) -> str:
    if isinstance(error, click.NoSuchOption) and error.option_name in _FLAGS:
        return f"No such option '{error.option_name}'."  # click names one that only looks like it
    return " ".join(error.format_message().split())  # click writes choices in a column


def _usage_hint(error: click.ClickException, words: Sequence[str]) -> str:
    context = getattr(error, "ctx", None)
    if isinstance(error, click.NoSuchOption) and context and context.parent is None:
        return _suggest_order(error.option_name, words)
    if isinstance(error, click.NoSuchOption) and context and is_env_run(context, words):
        return suggest_separator(error.option_name, words)
    return f"See `{context.command_path} --help`." if context else "See `airgap --help`."


def _warn_of_variables() -> None:
    """Say so if a variable sets nothing, and its name is nearly that of one that would."""
    from airgap.cli import settings

    names = {name for name in os.environ if name.startswith(settings.PREFIX)}
    names.difference_update(settings.GENERAL, settings.SECRET, (_AIRGAP_KEY,))
    if not names:
        return
    options = [
        option
        for name, (module, _) in COMMANDS.items()
        for option in settings.list_options(
            importlib.import_module(f"airgap.cli.{module}").command, (name,)
        )
    ]
    for problem in settings.find_unknown_variables(options, os.environ):
        if problem.hint.startswith("Did you mean"):
            terminal.print_error_line(f"{problem.where} sets nothing. {problem.hint}")


def _suggest_order(option: str, words: Sequence[str]) -> str:
    """Say where an option goes that stands before the command."""
    command = next((word for word in words if word in COMMANDS), "COMMAND")
    if option in _FLAGS:
        rest = [*words[words.index(command) :]] if command in words else [command]
        rest = [*(word for word in rest if word != option), option]
        return f"Give it after the command: airgap {shlex.join(rest)}"
    return f"Give options of a command after it: see `airgap {command} --help`."


def _keep_freed_memory() -> None:
    """Tell the C library (glibc) to reuse freed memory, instead of returning it at once.

    Getting memory for every chunk from the system takes longer than hashing the chunk.
    """
    with suppress(OSError, TypeError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, 256 * limits.MIB)
        mallopt(_M_MMAP_THRESHOLD, 32 * limits.MIB)


def _defaults(name: str, command: click.Command) -> dict[str, Any]:
    """Return the config file's defaults for a command: its own section above the common ones.

    Raises:
        ConfigurationError: a section names an unknown command, or an option that it lacks.
    """
    from airgap.flow import config
    from airgap.flow.location import named_remotes

    document = config.load(may_be_new=name in _WRITE_CONFIG)
    sections = {key: value for key, value in document.items() if isinstance(value, dict)}
    common = {key: value for key, value in document.items() if key not in sections}
    _refuse_unknown(sections, {*COMMANDS, named_remotes.TABLE}, "")
    if common:
        _refuse_unknown(common, _all_options(), "")
    section = sections.get(name, {})
    if not isinstance(command, click.Group):
        return _options(name, command, common, section)
    tables = {key for key, value in section.items() if isinstance(value, dict)}
    _refuse_unknown(section, tables.intersection(command.commands), f"{name}.")
    return {
        subname: _options(f"{name}.{subname}", subcommand, common, section.get(subname, {}))
        for subname, subcommand in command.commands.items()
    }


def _all_options() -> set[str]:
    """Return every option that any command has, as the config file writes it."""
    options: set[str] = set()
    for name in COMMANDS.keys() - {"demo"}:  # the demo has settings of its own
        command: click.Command = importlib.import_module(f"airgap.cli.{COMMANDS[name][0]}").command
        leaves = command.commands.values() if isinstance(command, click.Group) else [command]
        options.update(option for leaf in leaves for option in name_options(leaf))
    return options


def _options(
    path: str, command: click.Command, common: dict[str, Any], section: dict[str, Any]
) -> dict[str, Any]:
    """Return defaults by click's names of options; the config file has the names of flags."""
    names = name_options(command)
    _refuse_unknown(section, names, f"{path}.")
    wanted = {key: value for key, value in common.items() if key in names} | section
    return {names[key]: value for key, value in wanted.items()}


def _refuse_unknown(keys: Iterable[str], allowed: Collection[str], prefix: str) -> None:
    for key in keys:
        if key not in allowed:
            from airgap.flow import config

            raise ConfigurationError(
                f"The config file {config.config_path()} sets {prefix}{key}, which is neither a"
                " command nor an option.",
                suggest(key, sorted(allowed))
                or "Write [export] or [key.generate] for a command, and an option as its flag is,"
                " with '_' for '-'.",
            )
