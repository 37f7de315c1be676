"""The example request: from a file that a person wrote, or from what the service says of itself."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from airgap.errors import UsageError

__all__ = ["ExampleRequest", "find_examples", "parse_request"]

_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class ExampleRequest:
    """One request of HTTP; ``path`` begins with a slash."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def __str__(self) -> str:
        """Name it as people do: ``POST /predict``."""
        return f"{self.method} {self.path}"


def parse_request(raw: bytes, source: str) -> ExampleRequest:
    """Parse a request as HTTP writes it: ``POST /path``, header lines, an empty line, the body.

    Without a header ``Content-Type`` the body is JSON.

    Raises:
        UsageError: it is not such a request; ``source`` names it.
    """
    head, _, body = raw.replace(b"\r\n", b"\n").partition(b"\n\n")
    try:
        first, *lines = head.decode("ascii").split("\n")
        method, path = first.split()[:2]
        headers = dict(_parse_header(line) for line in lines if line)
    except ValueError:
        method = path = ""
        headers = {}
    if method not in _METHODS or not path.startswith("/"):
        raise UsageError(
            f"{source} is not a request.",
            "Write it as HTTP does: `POST /predict`, header lines, an empty line, and the body.",
        )
    if body and "content-type" not in {name.lower() for name in headers}:
        headers["Content-Type"] = _JSON
    return ExampleRequest(method, path, headers, body)


def _parse_header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise ValueError(line)
    return name.strip(), value.strip()


def find_examples(document: object) -> Iterator[ExampleRequest]:
    """Yield the requests that a service's OpenAPI document gives examples for, in its order.

    BentoML writes the examples of pydantic's fields into the schemas of request bodies.
    """
    paths = _get(document, "paths")
    for path, operations in paths.items() if isinstance(paths, dict) else ():
        schema = _get(operations, "post", "requestBody", "content", _JSON, "schema")
        body = _make_example(document, schema)
        if isinstance(path, str) and isinstance(body, dict):
            headers = {"Content-Type": _JSON}
            yield ExampleRequest("POST", path, headers, json.dumps(body).encode())


_NONE: Final = object()
_DEEPEST: Final = 20


def _make_example(document: object, schema: object, depth: int = 0) -> object:
    """Return an example of a schema; ``_NONE`` if it gives none for something it requires."""
    if not isinstance(schema, dict) or depth >= _DEEPEST:
        return _NONE
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/"):
        return _make_example(document, _get(document, *reference[2:].split("/")), depth + 1)
    examples = schema.get("examples")
    if isinstance(examples, list) and examples:
        return examples[0]
    for key in ("example", "default", "const"):
        if key in schema:
            return schema[key]
    return _join_examples(document, schema, depth)


def _join_examples(document: object, schema: dict[str, Any], depth: int) -> object:
    """Return an object with an example of each property that has one."""
    properties, required = schema.get("properties"), schema.get("required", [])
    if not isinstance(properties, dict):
        return _NONE
    values = {name: _make_example(document, value, depth + 1) for name, value in properties.items()}
    if any(values.get(name) is _NONE for name in required):
        return _NONE
    return {name: value for name, value in values.items() if value is not _NONE}


def _get(value: object, *keys: str) -> object:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
