"""pyftpdlib as a server in a process of its own: ``python pyftpd.py SETTINGS``, which are JSON.

It serves until it is killed.
"""

import json
import logging
import sys
import warnings
from typing import Any

warnings.simplefilter("ignore")  # it imports modules that this Python calls old

from pyftpdlib.authorizers import DummyAuthorizer  # noqa: E402
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler  # noqa: E402
from pyftpdlib.servers import FTPServer  # noqa: E402


class Implicit(TLS_FTPHandler):  # type: ignore[misc]  # pyftpdlib has no types
    """TLS from the first byte on."""

    def handle(self) -> None:
        self.secure_connection(self.ssl_context)

    def handle_ssl_established(self) -> None:
        FTPHandler.handle(self)


HANDLERS = {"none": FTPHandler, "explicit": TLS_FTPHandler, "implicit": Implicit}


def main(settings: dict[str, Any]) -> None:
    """Serve one user's folder."""
    logging.basicConfig(level=logging.ERROR)
    authorizer = DummyAuthorizer()
    authorizer.add_user(settings["user"], settings["password"], settings["home"], perm="elradfmw")
    handler: Any = type("Handler", (HANDLERS[settings["security"]],), {})
    handler.authorizer = authorizer
    handler.passive_ports = range(*settings["passive"])
    handler.auth_failed_timeout = 0
    if settings["security"] != "none":
        handler.certfile = settings["certificate"]
        handler.keyfile = settings["key"]
        handler.tls_control_required = handler.tls_data_required = True
    FTPServer(("127.0.0.1", settings["port"]), handler).serve_forever(handle_exit=False)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
