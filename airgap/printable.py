"""Makes text printable: a name that a medium, server or token chose must not control a terminal."""

__all__ = ["make_printable"]


def make_printable(text: str) -> str:
    r"""Write each character that is not printable as ``\xNN``, ``\uNNNN`` or ``\UNNNNNNNN``.

    These are control characters, with escape and line feed among them, bidirectional controls and
    other invisible characters, lone surrogates, and all spaces but the ordinary one.

    >>> make_printable("a\x1b[2Jb\u202ec")
    'a\\x1b[2Jb\\u202ec'
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(ord(char)) for char in text)


def _escape(code: int) -> str:
    if code <= 0xFF:  # noqa: PLR2004  (one byte)
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004  (two bytes)
