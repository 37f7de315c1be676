"""The entry point: finds the command, runs it, and turns errors into exit codes."""

import importlib
import json
import signal
import sys
import traceback
from collections.abc import Container, Iterable, Sequence
from typing import Any, Final, NoReturn

import click

from airgap import __version__
from airgap.errors import AirgapError, ConfigurationError, InterruptedByUser, UsageError

__all__ = ["COMMANDS", "cli", "main"]

# name: (module below airgap.cli, one line of help). Modules are imported when they are used.
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "export": ("export", "Pack Bentos and their models into a signed bundle."),
    "import": ("import_", "Verify a bundle and install what it holds."),
    "verify": ("verify", "Read and check everything an import would read; write nothing."),
    "inspect": ("inspect", "Show what a bundle says it holds; prove nothing."),
    "diff": ("diff", "Show what changed between two bundles."),
    "sign": ("sign", "Add a builder's signature to a bundle."),
    "key": ("key", "Make keys and show their fingerprints."),
    "root": ("root", "Make the trust document of a site."),
    "trust": ("trust", "Choose whom this machine trusts."),
    "doctor": ("doctor", "Tell what is wrong with this machine's setup."),
    "demo": ("demo", "Carry a small Bento across an imaginary gap, in a temporary folder."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported one at a time, so that ``--help`` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order people need them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"airgap.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        if cmd_name != "doctor":  # it must run when the config file is what is wrong
            ctx.default_map = {**(ctx.default_map or {}), cmd_name: _defaults(cmd_name, command)}
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List commands and their help without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "AIRGAP"},
    epilog="Exit codes: 0 done, 1 a bug, 2 usage, 3 configuration, 10 corrupt, 11 not trusted,"
    " 12 policy, 13 missing, 14 conflict, 15 storage, 16 transport, 130 interrupted.",
)
@click.version_option(__version__, prog_name="airgap")
def cli() -> None:
    """Carry BentoML services across an air gap.

    Bundles are content-addressed and signed; nothing is installed before it is verified.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with the code of format-independent errors.py."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = cli.main(words, prog_name="airgap", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except AirgapError as error:
        _fail(error, words)
    except click.ClickException as error:
        _fail(UsageError(error.format_message(), _usage_hint(error)), words)
    except (KeyboardInterrupt, click.Abort):
        _fail(
            InterruptedByUser(
                "Stopped.", "Run the same command again: it goes on from where it was."
            ),
            words,
        )
    except Exception as error:  # noqa: BLE001  (the one place where nothing may pass)
        traceback.print_exc()
        _fail(
            AirgapError(
                f"This is a bug in airgap: {type(error).__name__}: {error}",
                "Nothing was installed that was not verified. Please report it with the lines"
                " above.",
            ),
            words,
        )


def _fail(error: AirgapError, words: Sequence[str]) -> NoReturn:
    """Tell people on standard error, and programs on standard output; then exit."""
    click.secho(f"airgap: {error.message}", fg="red", bold=True, err=True)
    for line in error.details[:20]:
        click.echo(f"  {line}", err=True)
    if len(error.details) > 20:  # noqa: PLR2004
        click.echo(f"  … and {len(error.details) - 20} more", err=True)
    if error.hint:
        click.echo(f"  → {error.hint}", err=True)
    if "--json" in words:
        about: dict[str, Any] = {
            "kind": error.kind,
            "message": error.message,
            "hint": error.hint,
            "exit_code": error.exit_code,
        }
        if error.details:
            about["details"] = list(error.details)
        click.echo(json.dumps({"error": about}))
    sys.exit(error.exit_code)


def _usage_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"See `{context.command_path} --help`." if context else "See `airgap --help`."


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _defaults(name: str, command: click.Command) -> dict[str, Any]:
    """Return the config file's defaults for a command: its own section above the common ones.

    Raises:
        ConfigurationError: a section is no command's, or names an option that it does not have.
    """
    from airgap.flow import config  # noqa: PLC0415

    document = config.load()
    sections = {key: value for key, value in document.items() if isinstance(value, dict)}
    common = {key: value for key, value in document.items() if key not in sections}
    _refuse_unknown(sections, COMMANDS, "")
    section = sections.get(name, {})
    if not isinstance(command, click.Group):
        return _options(name, command, common, section)
    _refuse_unknown(section, command.commands, f"{name}.")
    return {
        below: _options(f"{name}.{below}", one, common, section.get(below, {}))
        for below, one in command.commands.items()
    }


def _options(
    path: str, command: click.Command, common: dict[str, Any], section: dict[str, Any]
) -> dict[str, Any]:
    """Return defaults by the names that click has for options; people write those of flags."""
    names = {
        max(option.opts, key=len).lstrip("-").replace("-", "_"): str(option.name)
        for option in command.params
        if isinstance(option, click.Option) and option.name != "as_json"
    }
    _refuse_unknown(section, names, f"{path}.")
    wanted = {key: value for key, value in common.items() if key in names} | section
    return {names[key]: value for key, value in wanted.items()}


def _refuse_unknown(given: Iterable[str], known: Container[str], prefix: str) -> None:
    for key in given:
        if key not in known:
            raise ConfigurationError(
                f"The config file sets {prefix}{key}, which is neither a command nor an option.",
                "Write [export] or [key.generate] for a command, and an option as its flag is,"
                " with '_' for '-'.",
            )
