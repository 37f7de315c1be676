"""The page that tells how to connect each client. Pure."""

from typing import Final
from urllib.parse import urlsplit

from airgap.markup import Html, element
from airgap.server.mirror.console.frame import Visit, card, commands, render_frame

__all__ = ["render_connect"]

_CLIENTS: Final = (
    (
        "BentoML",
        (
            "export BENTO_CLOUD_API_ENDPOINT={base}\nexport BENTO_CLOUD_API_KEY={token}\n"
            "bentoml pull NAME:VERSION --with-models\nbentoml models pull NAME:VERSION"
        ),
        "",
    ),
    (
        "Hugging Face",
        "export HF_ENDPOINT={base} HF_TOKEN={token}\nhf download ORGANIZATION/NAME",
        "Set HF_HUB_OFFLINE=1 when you serve what was downloaded.",
    ),
    (
        "pip",
        "pip install --index-url {with_login}/simple PACKAGE",
        "Let it be the only index.",
    ),
    ("uv", "uv pip install --index-url {with_login}/simple PACKAGE", ""),
    (
        "skopeo and podman",
        "podman login -u any -p {token} {host}\npodman pull {host}/NAME:TAG",
        "",
    ),
)
_TOKEN: Final = "TOKEN"  # noqa: S105  (stands for one)


def render_connect(visit: Visit) -> str:
    """Return the page."""
    scheme, host = urlsplit(visit.base)[:2]
    asks = visit.token is not None
    login = f"{scheme}://any:{_TOKEN}@{host}" if asks else visit.base
    lead = f"{visit.base} answers stock clients. Nothing of airgap is needed on their machines."
    values = {"base": visit.base, "host": host, "token": _TOKEN, "with_login": login}
    boxes = [
        card(
            element("h2", name),
            commands(lines.format(**values).splitlines()),
            element("p", note, class_="sub") if note else "",
            class_="card item",
        )
        for name, lines, note in _CLIENTS
    ]
    return render_frame(visit, "/connect", "Connect", lead, *_say_tokens(asks), *boxes)


def _say_tokens(asks: bool) -> list[Html]:  # noqa: FBT001
    if not asks:
        return [element("p", "This mirror asks for no token: any text will do.")]
    text = "The people who run the mirror make tokens: `airgap serve make-token NAME`."
    return [element("p", text)]
