"""Finds keys for S3 where Amazon's tools keep them: variables, profiles, a file of the same form.

airgap reads these itself, because the library does not support profiles and asks the cloud's
metadata address when it finds no keys. What needs a network or another program (roles, SSO,
``credential_process``) is refused by name.
"""

import configparser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.disk.expansion import expand
from airgap.disk.named_files import read_named_text
from airgap.errors import ConfigurationError
from airgap.transport.s3.options import S3Keys
from airgap.transport.secrets import register_secret

__all__ = ["Profile", "find_profile", "make_keys", "read_keys"]

_DEFAULT: Final = "default"
_UNSUPPORTED_KEYS: Final = ("credential_process", "role_arn", "sso_session", "sso_start_url")
_EXPORT_HINT: Final = (
    "Run `aws configure export-credentials --format env` and use the variables it prints."
)


@dataclass(frozen=True, slots=True)
class Profile:
    """Settings from variables and files; empty if unset."""

    keys: S3Keys | None = None
    region: str = ""
    endpoint: str = ""
    ca_file: str = ""


def find_profile(environment: Mapping[str, str], name: str = "") -> Profile:
    """Read the variables ``AWS_*``, then the files of a profile.

    Args:
        environment: the process's variables.
        name: a profile, which is then the only source of keys; otherwise ``AWS_PROFILE`` or
            ``default`` is read, after the variables.

    Raises:
        ConfigurationError: the profile does not exist or is not supported, half of a pair of
            keys is missing, a key has invalid characters, or a file cannot be read.
    """
    settings = _read_settings(environment, name)
    keys = None if name else _parse_keys(_read_variables(environment), "The environment")
    return Profile(
        keys=keys or _parse_keys(settings, f"The profile {name or _DEFAULT}"),
        region=_first_of(environment, "AWS_REGION", "AWS_DEFAULT_REGION")
        or settings.get("region", ""),
        endpoint=_first_of(environment, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
        or settings.get("endpoint_url", ""),
        ca_file=_first_of(environment, "AWS_CA_BUNDLE") or settings.get("ca_bundle", ""),
    )


def read_keys(path: Path, name: str = _DEFAULT) -> S3Keys:
    """Read keys from a file in the form of ``~/.aws/credentials``.

    Raises:
        ConfigurationError: it cannot be read, others may read it, or it contains no keys.
    """
    _check_private(path)
    sections = _read_sections(path)
    keys = _parse_keys(sections.get(name, {}), f"{path}, section {name},")
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
    parts = {"access key id": identity, "secret key": secret, "session token": token}
    parts = {name: part.strip() for name, part in parts.items()}
    for name, part in parts.items():
        if name != "access key id":
            register_secret(part)
        if not (part.isascii() and part.isprintable()):  # a header's error would show the value
            raise ConfigurationError(
                f"{where} has a character in the {name} that is not printable ASCII.",
                f"Set the {name} again, as one line.",
            )
    return S3Keys(*parts.values())


def _read_variables(environment: Mapping[str, str]) -> dict[str, str]:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    return {name.lower(): environment.get(name, "") for name in names}


def _read_settings(environment: Mapping[str, str], name: str) -> dict[str, str]:
    """Merge a profile's settings in the two files; the credentials file takes precedence."""
    folder = Path(environment.get("HOME") or "/") / ".aws"
    config = _expand(environment.get("AWS_CONFIG_FILE")) or folder / "config"
    secret = _expand(environment.get("AWS_SHARED_CREDENTIALS_FILE")) or folder / "credentials"
    profile = name or environment.get("AWS_PROFILE") or _DEFAULT
    configured, secrets = _read_sections(config), _read_sections(secret)
    title = profile if profile == _DEFAULT else f"profile {profile}"
    sections = [*filter(None, (configured.get(title), secrets.get(profile)))]
    if not sections and profile != _DEFAULT:
        raise ConfigurationError(
            f"The profile {profile!r:.100} is not in {secret} or {config}.", "Check its name."
        )
    merged = {key: value for section in sections for key, value in section.items()}
    unusable = [key for key in _UNSUPPORTED_KEYS if key in merged]
    if unusable and "aws_access_key_id" not in merged:
        raise ConfigurationError(
            f"The profile {profile!r:.100} uses {unusable[0]}, which airgap does not support.",
            _EXPORT_HINT,
        )
    return merged


def _expand(text: str | None) -> Path | None:
    """Expand ``~`` and variables, as the tools of AWS do."""
    return Path(expand(text, "AWS_CONFIG_FILE")) if text else None


def _parse_keys(settings: Mapping[str, str], where: str) -> S3Keys | None:
    identity = settings.get("aws_access_key_id", "").strip()
    secret = settings.get("aws_secret_access_key", "").strip()
    if bool(identity) != bool(secret):
        present, absent = ("key id", "secret key") if identity else ("secret key", "key id")
        raise ConfigurationError(f"{where} has an access {present} but no {absent}.", "Give both.")
    token = settings.get("aws_session_token", "")
    return make_keys(identity, secret, token, where) if identity else None


def _read_sections(path: Path) -> dict[str, dict[str, str]]:
    """Read a file of profiles; a missing file has none."""
    parser = configparser.RawConfigParser(
        strict=False, default_section="", comment_prefixes=("#", ";"), delimiters=("=",)
    )
    try:
        parser.read_string(read_named_text(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, configparser.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else "its syntax is invalid"
        raise ConfigurationError(  # without a cause, which would show a line of the file
            f"The credentials in {path} cannot be read ({reason}).", "Correct the file."
        ) from None
    return {
        title.strip(): {key: value.strip() for key, value in parser.items(title)}
        for title in parser.sections()
    }


def _check_private(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigurationError(
            f"The file {path} cannot be read ({error.strerror}).", "Check its path."
        ) from error
    if mode & 0o077:
        raise ConfigurationError(
            f"Other users of this machine can read {path}.", f"Run: chmod 600 {path}"
        )


def _first_of(environment: Mapping[str, str], *names: str) -> str:
    return next((environment[name] for name in names if environment.get(name)), "")
