"""Lists of classes as texts: a module and a colon, then the names of its classes."""

__all__ = ["parse_classes"]


def parse_classes(text: str) -> frozenset[tuple[str, str]]:
    """Return the pairs of module and name."""
    pairs = []
    module = ""
    for word in text.split():
        if word.endswith(":"):
            module = word[:-1]
        else:
            pairs.append((module, word))
    return frozenset(pairs)
