"""The help of a command: its options by topic, then examples."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import click

from airgap.printable import wrap_text

__all__ = ["COLUMNS", "HelpCommand", "HelpGroup", "sort_options"]

COLUMNS: Final = 100
"""The most that help takes of a wider terminal."""
_FEW: Final = 8
"""A command with so few options of its own lists them together."""
_TERM_COLUMNS: Final = 30
_SENTENCE: Final = 1000
_WORDS: Final = {
    "What travels": "models with_models no_models bare bases want roots files images platforms"
    " attached",
    "Python packages": "with_env targets indexes wheels build_sdists upgrade pythons extras",
    "Terms of the bundle": "channel sequence audience expires labels allow_credentials"
    " licence_policy",
    "Sealing": "seal recipients insecure_recipients",
    "Which bundles are accepted": "identities waivers depots kit newest insecure_allow_unsigned",
    "The receipt": "receipt terse_receipt",
    "Volumes": "volume_size volumes parity verify_after_write",
    "The proof": "request allowed_hosts time_limit python report",
    "The authority": "tsa request response certificates",
    "What is read": "ledgers receipts root_files root_fingerprints",
    "As of a time": "as_of older_roots fingerprints",
    "Signing": "key passphrase_env passphrase_fd emit_model_signature model_signature_key"
    " provenance builder_id recorder_key",
    "Reaching a server": "ca_file proxy proxy_password_env client_cert client_key"
    " client_passphrase_env user password_env password_file limit_rate",
    "General": "reread tmpdir jobs syslog as_json quiet help",
}
_TOPICS: Final = {name: topic for topic, names in _WORDS.items() for name in names.split()}
_OF_IMPORTS: Final = frozenset({"channel", "want", "licence_policy"})
"""Options that say for an import what it accepts, and for an export what it makes."""
_OWN: Final = "Options"
_GENERAL: Final = "General"


class HelpCommand(click.Command):
    """A command whose help has its options by topic, and examples at the end."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options: those of the command itself first, those of all commands last."""
        sections = sort_options(self.get_params(ctx), ctx)
        terms = [term for rows in sections.values() for term, _ in rows]
        width = min(_TERM_COLUMNS, max(map(len, terms), default=0))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl([(term.ljust(width), text) for term, text in rows])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then the epilog."""
        _write_examples(ctx, formatter)
        super().format_epilog(ctx, formatter)


class HelpGroup(click.Group):
    """A group that lists its commands in the order they were added, each with a whole sentence."""

    command_class = HelpCommand

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order people need them."""
        del ctx
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List commands; click would cut what is longer than a line."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, command.get_short_help_str(_SENTENCE))
                    for name, command in self.commands.items()
                ]
            )

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then the epilog."""
        _write_examples(ctx, formatter)
        super().format_epilog(ctx, formatter)


def sort_options(
    params: Sequence[click.Parameter], context: click.Context
) -> dict[str, list[tuple[str, str]]]:
    """Return the rows of each topic that has any, in the order of the topics."""
    options = [param for param in params if isinstance(param, click.Option)]
    rows = [(_name_option(option), option.get_help_record(context)) for option in options]
    records = [(name, record) for name, record in rows if record is not None]
    topics = dict(_name_topics([name for name, _ in records]))
    sections: dict[str, list[tuple[str, str]]] = {
        topic: [] for topic in (_OWN, *_WORDS) if topic in topics.values()
    }
    for name, record in records:
        sections[topics[name]].append(record)
    return sections


def _name_option(option: click.Option) -> str:
    return "help" if "--help" in option.opts else str(option.name)  # click names it as it likes


def _name_topics(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the topic of each option of a command."""
    is_short = sum(_TOPICS.get(name) != _GENERAL for name in names) <= _FEW
    for name in names:
        if is_short:
            yield name, _OWN
        elif name in _OF_IMPORTS and "waivers" in names:
            yield name, _TOPICS["waivers"]
        elif name == "identities" and "seal" in names:  # it opens the bundles that one builds on
            yield name, _TOPICS["seal"]
        else:
            yield name, _TOPICS.get(name, _OWN)


def _write_examples(context: click.Context, formatter: Any) -> None:  # noqa: ANN401  (click's)
    from airgap.cli.examples import break_line, find_examples

    is_group = isinstance(context.command, click.Group)
    examples = find_examples(context.command_path, is_group=is_group)
    if not examples:
        return
    formatter.write("\nExamples:\n")
    for example in examples:
        for row in wrap_text(f"  {example.text}:", formatter.width, indent="  "):
            formatter.write(f"{row}\n")
        for row in break_line(example.line, formatter.width - 4):
            formatter.write(f"    {row}\n")
