"""Finds keys for S3 where Amazon's tools keep them: variables, profiles, a file of the same form.

Read by ourselves, because the library knows no profiles and would ask the cloud's metadata address
when it finds nothing. What needs a network or another program (roles, SSO, ``credential_process``)
is refused by name.
"""

import configparser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.errors import ConfigurationError
from airgap.transport.s3.options import S3Keys

__all__ = ["Profile", "find_profile", "read_keys"]

_DEFAULT: Final = "default"
_UNSUPPORTED_KEYS: Final = ("credential_process", "role_arn", "sso_session", "sso_start_url")
_LARGEST_FILE: Final = 1024 * 1024
_EXPORT_HINT: Final = (
    "Run `aws configure export-credentials --format env` and use the variables it prints."
)


@dataclass(frozen=True, slots=True)
class Profile:
    """What variables and files say. Empty is what they do not say."""

    keys: S3Keys | None = None
    region: str = ""
    endpoint: str = ""
    ca_file: str = ""


def find_profile(environment: Mapping[str, str], name: str = "") -> Profile:
    """Look into the variables ``AWS_*``, then into the files of a profile.

    Args:
        environment: the process's variables.
        name: a profile. It is then the only place for keys; else ``AWS_PROFILE`` or ``default``
            is read, after the variables.

    Raises:
        ConfigurationError: there is no such profile, it cannot be used here, half of a pair of
            keys is missing, or a file cannot be read.
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
    """Read keys from a file of the form of ``~/.aws/credentials``.

    Raises:
        ConfigurationError: it cannot be read, others may read it, or there are no keys.
    """
    _check_private(path)
    sections = _read_sections(path)
    keys = _parse_keys(sections.get(name, {}), f"{path}, section {name},")
    if keys is None:
        raise ConfigurationError(
            f"{path} has no keys in a section [{name}].",
            "It needs the lines aws_access_key_id = ... and aws_secret_access_key = ...",
        )
    return keys


def _read_variables(environment: Mapping[str, str]) -> dict[str, str]:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    return {name.lower(): environment.get(name, "") for name in names}


def _read_settings(environment: Mapping[str, str], name: str) -> dict[str, str]:
    """Merge what the two files say of a profile; that of the credentials file counts more."""
    folder = Path(environment.get("HOME") or "/") / ".aws"
    config = Path(environment.get("AWS_CONFIG_FILE") or folder / "config")
    secret = Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or folder / "credentials")
    wanted = name or environment.get("AWS_PROFILE") or _DEFAULT
    described, known = _read_sections(config), _read_sections(secret)
    title = wanted if wanted == _DEFAULT else f"profile {wanted}"
    found = [*filter(None, (described.get(title), known.get(wanted)))]
    if not found and wanted != _DEFAULT:
        raise ConfigurationError(
            f"There is no profile {wanted!r:.100} in {secret} or {config}.", "Check its name."
        )
    merged = {key: value for section in found for key, value in section.items()}
    unusable = [key for key in _UNSUPPORTED_KEYS if key in merged]
    if unusable and "aws_access_key_id" not in merged:
        raise ConfigurationError(
            f"The profile {wanted!r:.100} has {unusable[0]}, which airgap does not do.",
            _EXPORT_HINT,
        )
    return merged


def _parse_keys(settings: Mapping[str, str], where: str) -> S3Keys | None:
    identity = settings.get("aws_access_key_id", "")
    secret = settings.get("aws_secret_access_key", "")
    if bool(identity) != bool(secret):
        have, lack = ("key id", "secret key") if identity else ("secret key", "key id")
        raise ConfigurationError(f"{where} has an access {have} and no {lack}.", "Give both.")
    return S3Keys(identity, secret, settings.get("aws_session_token", "")) if identity else None


def _read_sections(path: Path) -> dict[str, dict[str, str]]:
    """Read a file of profiles; one that is not there has none."""
    parser = configparser.RawConfigParser(
        strict=False, default_section="", comment_prefixes=("#", ";"), delimiters=("=",)
    )
    try:
        with path.open(encoding="utf-8") as file:
            parser.read_string(file.read(_LARGEST_FILE))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, configparser.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not in the right form"
        raise ConfigurationError(  # without a cause: that would show a line of the file
            f"The credentials in {path} cannot be read ({reason}).", "Mend the file."
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
            f"Others on this machine may read {path}.", f"Run: chmod 600 {path}"
        )


def _first_of(environment: Mapping[str, str], *names: str) -> str:
    return next((environment[name] for name in names if environment.get(name)), "")
