"""Finds keys for S3 where Amazon's tools keep them: variables, profiles, a file of the same form.

What needs a network or another program (roles, single sign-on, ``credential_process``) is refused
by name, unless the keys come from variables. The cloud's metadata address is never asked.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from airgap.disk.named_files import open_named, read_file
from airgap.errors import ConfigurationError
from airgap.printable import quote
from airgap.transport.s3 import aws_files
from airgap.transport.s3.aws_files import DEFAULT, AwsProfile, Section
from airgap.transport.s3.options import S3Keys
from airgap.transport.secrets import register_secret

__all__ = ["Profile", "find_profile", "make_keys", "read_keys"]

_BEFORE_KEYS: Final = ("role_arn", "web_identity_token_file", "sso_session", "sso_start_url")
"""What Amazon's tools use even if the profile has keys: with those, they would be another user."""
_WITHOUT_KEYS: Final = ("credential_process", "source_profile", "credential_source")
_EXPORT: Final = "aws configure export-credentials --format env"


@dataclass(frozen=True, slots=True)
class Profile:
    """Settings from variables and files; empty if unset."""

    keys: S3Keys | None = None
    region: str = ""
    endpoint: str = ""
    ca_file: str = ""
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Where ``endpoint`` and ``ca`` are from, for messages."""


def find_profile(
    environment: Mapping[str, str], name: str = "", *, with_keys: bool = True
) -> Profile:
    """Read the variables ``AWS_*``, then the files of a profile.

    Args:
        environment: the process's variables.
        name: a profile, which is then the only source of keys; otherwise ``AWS_PROFILE`` or
            ``default`` is read, after the variables.
        with_keys: whether keys are looked for.

    Raises:
        ConfigurationError: the profile does not exist or is not supported, half of a pair of
            keys is missing, a key has invalid characters, or a file cannot be read.
    """
    profile = aws_files.read_profile(environment, name)
    keys = None
    if with_keys:
        keys = None if name else _parse_keys(_read_variables(environment), "The environment")
        keys = keys or _find_keys(profile)
    endpoint, endpoint_source = _find_variable(
        environment, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"
    )
    ca_file, ca_source = _find_variable(environment, "AWS_CA_BUNDLE")
    if not endpoint:
        endpoint, endpoint_source = profile.find_endpoint()
    if not ca_file:
        ca_file, ca_source = profile.find("ca_bundle")
    region, _ = _find_variable(environment, "AWS_REGION", "AWS_DEFAULT_REGION")
    return Profile(
        keys,
        region or profile.find("region")[0],
        endpoint,
        ca_file,
        {"endpoint": endpoint_source, "ca": ca_source},
    )


def read_keys(path: Path, name: str = DEFAULT) -> S3Keys:
    """Read keys from a file in the form of ``~/.aws/credentials``.

    Raises:
        ConfigurationError: it cannot be read, others may read it, or it contains no keys.
    """
    try:
        with open_named(path) as file:
            _refuse_exposed(path, os.fstat(file.fileno()).st_mode)
            data = read_file(file, path, aws_files.FILE_BYTES)
    except OSError as error:
        raise ConfigurationError(
            f"The file {path} cannot be read ({error.strerror}).", "Check its path."
        ) from error
    section = aws_files.find_section(aws_files.parse_sections(data, path), name)
    keys = _parse_keys(section or {}, f"{path}, section {name},")
    if keys is None:
        raise ConfigurationError(
            f"{path} has no keys in section [{name}].",
            "Add the lines aws_access_key_id = ... and aws_secret_access_key = ... to it.",
        )
    return keys


def make_keys(identity: str, secret: str, token: str, where: str) -> S3Keys:
    """Return keys without the white space around them, such as a CI secret's line break.

    Secret and token are registered to be redacted.

    Raises:
        ConfigurationError: one of them has a character that is not printable ASCII.
    """
    for part in (secret, token):
        register_secret(part.strip())
    try:
        return S3Keys(identity.strip(), secret.strip(), token.strip())
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error.message}", error.hint) from None


def _read_variables(environment: Mapping[str, str]) -> Section:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    return {name.lower(): environment.get(name, "") for name in names}


def _find_keys(profile: AwsProfile) -> S3Keys | None:
    """Return the keys of a profile: all of them from one file, the credentials file first.

    Raises:
        ConfigurationError: the profile has something else that airgap does not support.
    """
    for setting in _BEFORE_KEYS:
        _refuse_setting(profile, setting)
    for section, path in (
        (profile.secrets, profile.secrets_file),
        (profile.config, profile.config_file),
    ):
        if keys := _parse_keys(section, f"The profile {profile.name} in {path}"):
            return keys
    for setting in _WITHOUT_KEYS:
        _refuse_setting(profile, setting)
    return None


def _refuse_setting(profile: AwsProfile, setting: str) -> None:
    if profile.find(setting)[0]:
        raise ConfigurationError(
            f"The profile {quote(profile.name)} uses {setting}, which airgap does not support.",
            f"Run `{_EXPORT} --profile {profile.name}` and set the variables that it prints.",
        )


def _parse_keys(settings: Mapping[str, str], where: str) -> S3Keys | None:
    identity = settings.get("aws_access_key_id", "").strip()
    secret = settings.get("aws_secret_access_key", "").strip()
    for name in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token"):
        if "=" in settings.get(name, "").partition("\n")[2]:
            raise ConfigurationError(
                f"{where}: the line below {name} is indented, so it is part of {name}.",
                "Remove the white space at the beginning of the line.",
            )
    if bool(identity) != bool(secret):
        present, absent = ("key id", "secret key") if identity else ("secret key", "key id")
        raise ConfigurationError(f"{where} has an access {present} but no {absent}.", "Give both.")
    token = settings.get("aws_session_token", "")
    return make_keys(identity, secret, token, where) if identity else None


def _refuse_exposed(path: Path, mode: int) -> None:
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(
            f"Other users of this machine can read {path}.", f"Run: chmod 600 {path}"
        )


def _find_variable(environment: Mapping[str, str], *names: str) -> tuple[str, str]:
    """Return the first variable that is set and not empty: its value, then its name."""
    return next(((environment[name], name) for name in names if environment.get(name)), ("", ""))
