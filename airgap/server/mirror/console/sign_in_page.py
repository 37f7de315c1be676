"""The page on which visitors sign in with a token, and that of errors. Pure."""

from airgap.markup import element, void
from airgap.server.mirror.console.frame import TOP, Visit, card, render_frame

__all__ = ["render_error", "render_sign_in"]


def render_sign_in(visit: Visit, target: str, problem: str = "") -> str:
    """Return the page; ``target`` is where the visitor wanted to go."""
    form = element(
        "form",
        element("p", problem, class_="problem", role="alert") if problem else "",
        element(
            "label",
            element("span", "Token"),
            void(
                "input",
                type="password",
                name="token",
                autocomplete="current-password",
                required="",
                maxlength="200",
            ),
        ),
        void("input", type="hidden", name="next", value=target),
        element("button", "Sign in"),
        method="post",
        action=f"{TOP}/sign-in",
        class_="sign-in",
    )
    lead = "Use a token of this mirror. It is sent once, and not kept."
    return render_frame(visit, "/sign-in", "Sign in", lead, card(form, class_="card item"))


def render_error(visit: Visit, title: str, message: str) -> str:
    """Return a page that says what went wrong."""
    back = element("a", "Back to the depot", href=f"{TOP}/")
    return render_frame(visit, "", title, message, element("p", back))
