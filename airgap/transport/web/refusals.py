"""Explains what a web server refuses. Of its answer only the status counts, and airgap's reason."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from airgap.errors import AirgapError, MissingError, StorageError, TransportError
from airgap.printable import make_printable
from airgap.transport.http import Response
from airgap.transport.port import TransientError
from airgap.transport.web.options import WebOptions

__all__ = ["MISSING", "PAST_THE_END", "Refusals"]

MISSING: Final = (404, 410)
PAST_THE_END: Final = 416
_UNAUTHORIZED: Final = 401
_REDIRECTS: Final = range(300, 400)
_BUSY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_FULL: Final = frozenset({413, 507})
_NO_UPLOADS: Final = frozenset({403, 405, 501})
_REASON: Final = "x-airgap-reason"
_REASON_CHARACTERS: Final = 300


@dataclass(frozen=True, slots=True)
class Refusals:
    """Makes the errors of one server."""

    options: WebOptions

    def explain(self, response: Response, verb: str, name: str) -> AirgapError:
        """Make the error of a response that is not a success.

        Args:
            response: its head was read.
            verb: what was attempted: read, list, write or delete.
            name: of the file or folder.
        """
        url, status = self.options.url, response.status
        if status == _UNAUTHORIZED:
            return self._explain_login()
        if status in _REDIRECTS:
            return self._explain_redirect(response)
        if status in MISSING:
            reason = make_printable(response.header(_REASON))[:_REASON_CHARACTERS]
            message = f"{url}/{name} does not exist." + (f" {reason}" if reason else "")
            return MissingError(message, "Check the path, or upload it again.")
        if status in _FULL:
            return StorageError(
                f"{url} has no room for {name} (status {status}).", "Free space, or ask for more."
            )
        if status in _BUSY:
            return TransientError(
                f"{url} is busy or failing (status {status}).", "Run the same command again later."
            )
        return TransportError(
            f"{url} refuses to {verb} {name or 'this folder'} (status {status}).",
            _choose_hint(status, verb),
        )

    def not_listing(self, name: str) -> TransportError:
        """Make the error of a folder that is answered with something else than its listing."""
        return TransportError(
            f"{self.options.url}/{name} is answered with something else than a listing.",
            "Check the URL; let the server list folders (of nginx: autoindex on), and see that no"
            " proxy answers in its place.",
        )

    def not_file(self, name: str, problem: str) -> TransportError:
        """Make the error of a file that cannot be read as it is sent."""
        return TransportError(
            f"{self.options.url}/{name} {problem}.",
            "Check the URL, and that no proxy or login page answers in the server's place.",
        )

    def _explain_login(self) -> TransportError:
        options = self.options
        if options.secret is None:
            return TransportError(
                f"{options.url} asks for a login.",
                "Give a token, or --user and its password, with --password-file, --password-env or"
                " AIRGAP_PASSWORD.",
            )
        account = f"the user {options.user} with this password" if options.user else "this token"
        return TransportError(
            f"{options.url} does not accept {account}.",
            "Check that it is complete and has not expired; ask for another one.",
        )

    def _explain_redirect(self, response: Response) -> TransportError:
        """Say where it leads; nothing is followed, because a token would go there too."""
        try:
            host = urlsplit(response.header("location")).hostname or "another path"
        except ValueError:
            host = "a malformed address"
        return TransportError(
            f"{self.options.url} redirects to {make_printable(host)[:100]}, which is not followed.",
            "Give the URL of the folder itself; if a proxy asks for a login, log in to it first.",
        )


def _choose_hint(status: int, verb: str) -> str:
    if verb in ("write", "delete") and status in _NO_UPLOADS:
        return "The server is only read from, or this login is; ask for one that may write."
    if verb == "list":
        return "Let the server list folders (of nginx: autoindex on), or ask for the permission."
    return "Check the URL, and ask who runs the server for the permission."
