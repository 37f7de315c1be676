"""HTML that cannot hold what others wrote: text is escaped where it becomes part of it. Pure.

``Html`` is text that was made here; every ``str`` is foreign, and is escaped.
"""

import html
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from airgap.printable import make_printable

__all__ = ["Content", "Html", "element", "escape", "join", "table", "void"]


class Html(str):
    """A part of a page. Only this module makes one out of text."""

    __slots__ = ()


Content: TypeAlias = "Html | str"
_VOID: Final = frozenset({"br", "meta", "hr"})


def escape(text: str) -> Html:
    """Return a text as part of a page: it is shown as it is, and has no other meaning.

    What cannot be seen is shown as an escape: control characters, and those that turn the text
    around.
    """
    return Html(html.escape(make_printable(text)))


def element(tag: str, *content: Content, **attributes: str | None) -> Html:
    """Return an element. An attribute that is None is left out; ``class_`` stands for class."""
    inside = "".join(one if type(one) is Html else escape(one) for one in content)
    return Html(f"<{tag}{_write(attributes)}>{inside}</{tag}>")


def void(tag: str, **attributes: str | None) -> Html:
    """Return an element that has no content."""
    return Html(f"<{tag}{_write(attributes)}>")


def join(parts: Iterable[Content], separator: Content = "") -> Html:
    """Return parts one after the other."""
    between = separator if type(separator) is Html else escape(separator)
    return Html(between.join(one if type(one) is Html else escape(one) for one in parts))


def table(
    caption: str,
    columns: Sequence[str],
    rows: Iterable[tuple[str | None, Sequence[Content]]],
    class_: str | None = None,
) -> Html:
    """Return a table. Each row has an id, or None, and its cells, of which the first names it.

    Roles are written out, because a narrow screen shows rows as blocks, and browsers then forget
    that it is a table. A cell carries the name of its column for that.
    """
    labels = [f' data-label="{escape(column)}"' for column in columns]
    head = "".join(
        f'<th role="columnheader" scope="col">{escape(column)}</th>' for column in columns
    )
    body = "".join(_write_row(row_id, cells, labels) for row_id, cells in rows)
    return Html(
        f'<table role="table"{_write({"class_": class_})}><caption>{escape(caption)}</caption>'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table>\n'
    )


def _write_row(row_id: str | None, cells: Sequence[Content], labels: Sequence[str]) -> str:
    first, *others = (one if type(one) is Html else escape(one) for one in cells)
    named = "" if row_id is None else f' id="{escape(row_id)}"'
    rest = "".join(
        f'<td role="cell"{label}>{cell}</td>'
        for cell, label in zip(others, labels[1:], strict=True)
    )
    header = f'<th role="rowheader" scope="row"{labels[0]}>{first}</th>'
    return f'<tr role="row"{named}>{header}{rest}</tr>\n'


def _write(attributes: dict[str, str | None]) -> str:
    return "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
