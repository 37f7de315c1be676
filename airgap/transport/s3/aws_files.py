"""The files of Amazon's tools, ``~/.aws/config`` and ``~/.aws/credentials``, and their profiles.

https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
"""

import configparser
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.disk.expansion import expand
from airgap.disk.named_files import decode_text, read_named
from airgap.errors import ConfigurationError
from airgap.printable import quote

__all__ = [
    "DEFAULT",
    "FILE_BYTES",
    "AwsProfile",
    "Section",
    "find_section",
    "parse_sections",
    "read_profile",
]

DEFAULT: Final = "default"
FILE_BYTES: Final = 1024 * 1024
_COMMENT: Final = re.compile(r"\s[#;].*")

Section = dict[str, str]
"""Settings that are not empty. Lines below one, which are indented, belong to its value."""


@dataclass(frozen=True, slots=True)
class AwsProfile:
    """One profile, as the two files together describe it."""

    name: str
    config_file: Path
    config: Section
    secrets_file: Path
    secrets: Section
    services: Section
    """The section that ``services`` in the profile names."""

    def find(self, setting: str) -> tuple[str, str]:
        """Return a setting and where it is; the credentials file takes precedence."""
        for section, path in ((self.secrets, self.secrets_file), (self.config, self.config_file)):
            if setting in section:
                return section[setting], f"{setting} of the profile {self.name} in {path}"
        return "", ""

    def find_endpoint(self) -> tuple[str, str]:
        """Return the endpoint for S3 and where it is: that of ``services`` takes precedence."""
        for line in self.services.get("s3", "").splitlines():
            setting, _, value = line.partition("=")
            if setting.strip().lower() == "endpoint_url" and value.strip():
                where = f"services of the profile {self.name} in {self.config_file}"
                return _cut_comment(value.strip()), where
        return self.find("endpoint_url")


def read_profile(environment: Mapping[str, str], name: str = "") -> AwsProfile:
    """Read a profile from both files; by default that of ``AWS_PROFILE``, or ``default``.

    Raises:
        ConfigurationError: a file cannot be read, or neither has a profile of this name.
    """
    folder = Path(environment.get("HOME") or "/") / ".aws"
    config_file = _find_file(environment, "AWS_CONFIG_FILE", folder / "config")
    secrets_file = _find_file(environment, "AWS_SHARED_CREDENTIALS_FILE", folder / "credentials")
    name = name or environment.get("AWS_PROFILE") or DEFAULT
    configured, secrets = _read_sections(config_file), _read_sections(secrets_file)
    config = configured.get(("profile", name))
    if config is None and name == DEFAULT:
        config = configured.get((DEFAULT,))
    section = find_section(secrets, name)
    if config is None and section is None and name != DEFAULT:
        raise _miss_profile(name, (config_file, configured), (secrets_file, secrets))
    services = configured.get(("services", (config or {}).get("services", "")), {})
    return AwsProfile(name, config_file, config or {}, secrets_file, section or {}, services)


def find_section(sections: Mapping[tuple[str, ...], Section], name: str) -> Section | None:
    """Return the section of a profile in a credentials file, whose title is the name alone."""
    return sections.get(tuple(_split_title(name)))


def parse_sections(data: bytes, path: Path) -> dict[tuple[str, ...], Section]:
    """Parse a file of profiles: settings by the words of a section's title.

    Raises:
        ConfigurationError: it is not UTF-8, or has an invalid line. The message does not
            contain the line: it may be a secret.
    """
    parser = configparser.RawConfigParser(
        strict=False, default_section="", comment_prefixes=("#", ";"), delimiters=("=",)
    )
    try:
        parser.read_string(decode_text(data))
    except UnicodeDecodeError:
        raise _unreadable(path, "it is not UTF-8") from None
    except configparser.MissingSectionHeaderError as error:
        raise _invalid_line(path, error.lineno) from None
    except configparser.ParsingError as error:
        raise _invalid_line(path, error.errors[0][0]) from None
    sections: dict[tuple[str, ...], Section] = {}
    for title in parser.sections():
        section = {key: _cut_comment(value.strip()) for key, value in parser.items(title)}
        filled = {key: value for key, value in section.items() if value}
        sections.setdefault(tuple(_split_title(title)), {}).update(filled)
    return sections


def _read_sections(path: Path) -> dict[tuple[str, ...], Section]:
    """Read a file of profiles. A missing file has no profiles."""
    try:
        data = read_named(path, FILE_BYTES)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unreadable(path, error.strerror or "it cannot be opened") from None
    return parse_sections(data, path)


def _split_title(title: str) -> list[str]:
    """Split the title of a section into words, as in ``profile "my ward"``."""
    try:
        return shlex.split(title, comments=False)
    except ValueError:  # a quotation mark that is part of the name
        return title.split()


def _cut_comment(value: str) -> str:
    """Cut ``# …`` or ``; …`` off a value of one line; white space must precede it."""
    return value if "\n" in value else _COMMENT.sub("", value)


def _find_file(environment: Mapping[str, str], variable: str, default: Path) -> Path:
    """Expand ``~`` and variables, as Amazon's tools do."""
    text = environment.get(variable)
    return Path(expand(text, variable)) if text else default


def _miss_profile(
    name: str,
    config: tuple[Path, Mapping[tuple[str, ...], Section]],
    secrets: tuple[Path, Mapping[tuple[str, ...], Section]],
) -> ConfigurationError:
    hint = "Check its name."
    if (name,) in config[1]:
        hint = f"Write [profile {name}] instead of [{name}] in {config[0]}."
    elif ("profile", name) in secrets[1]:
        hint = f"Write [{name}] instead of [profile {name}] in {secrets[0]}."
    return ConfigurationError(
        f"The profile {quote(name)} is not in {secrets[0]} or {config[0]}.", hint
    )


def _invalid_line(path: Path, number: int) -> ConfigurationError:
    return _unreadable(path, f"line {number} is not NAME = VALUE below a [section]")


def _unreadable(path: Path, reason: str) -> ConfigurationError:
    return ConfigurationError(f"{path} cannot be read: {reason}.", "Correct the file.")
