"""Options of commands that speak https to another server than a depot: a registry, an authority."""

from collections.abc import Callable
from functools import update_wrapper
from pathlib import Path
from typing import Any

import click

__all__ = ["https_options"]


def https_options(server: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command the way to a ``server``, such as "registry": ``ca_file`` and ``way``."""

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        def run(*args: object, **kwargs: Any) -> int:  # noqa: ANN401  (click's)
            from airgap.flow.location.https_way import HttpsWay

            way = HttpsWay(
                kwargs.pop("proxy"),
                kwargs.pop("proxy_password_env"),
                kwargs.pop("client_cert"),
                kwargs.pop("client_key"),
                kwargs.pop("client_passphrase_env"),
            )
            return command(*args, way=way, **kwargs)

        update_wrapper(run, command)
        for option in reversed(_make_options(server)):
            option(run)
        return run

    return decorate


def _make_options(server: str) -> tuple[Callable[[Callable[..., int]], Callable[..., int]], ...]:
    path = click.Path(path_type=Path)
    return (
        click.option(
            "--ca",
            "ca_file",
            type=path,
            metavar="FILE",
            help=f"Trust the {server} by this certificate or CA (PEM).",
        ),
        click.option(
            "--proxy",
            metavar="URL",
            default="",
            help="Go through this HTTP proxy; `environment` takes it from HTTPS_PROXY and"
            " NO_PROXY.",
        ),
        click.option(
            "--proxy-password-env",
            metavar="VAR",
            default="",
            help="Take the password of the proxy's user from this variable.",
        ),
        click.option(
            "--client-cert",
            type=path,
            metavar="FILE",
            help=f"Show this certificate to a {server} that demands one (PEM).",
        ),
        click.option(
            "--client-key",
            type=path,
            metavar="FILE",
            help="The key of --client-cert (PEM); default: in the same file.",
        ),
        click.option(
            "--client-passphrase-env",
            metavar="VAR",
            default="",
            help="Take the passphrase of --client-key from this variable.",
        ),
    )
