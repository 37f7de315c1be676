"""Example requests: as people write them, and as a service describes itself."""

import json

import pytest

from airgap.errors import UsageError
from airgap.flow.proof.example import ExampleRequest, find_examples, parse_request

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("raw", "request_"),
    [
        (b"GET /health", ExampleRequest("GET", "/health")),
        (b'POST /predict\n\n{"x": 1}', ExampleRequest("POST", "/predict", JSON, b'{"x": 1}')),
        (
            b"POST /raw HTTP/1.1\r\nContent-Type: text/plain\r\nX-A:b\r\n\r\na\n\nb",
            ExampleRequest("POST", "/raw", {"Content-Type": "text/plain", "X-A": "b"}, b"a\n\nb"),
        ),
    ],
)
def test_a_file_is_a_request(raw: bytes, request_: ExampleRequest) -> None:
    assert parse_request(raw, "x.http") == request_


@pytest.mark.parametrize(
    "raw",
    [b"", b"\n\n{}", b"POST", b"POST predict", b"SEND /a", b"GET /a\nno header\n\n", b"\xff /"],
)
def test_other_files_are_refused(raw: bytes) -> None:
    with pytest.raises(UsageError, match="is not a request"):
        parse_request(raw, "x.http")


def document(schema: object, **others: object) -> object:
    body = {"content": {"application/json": {"schema": schema}}}
    return {"paths": {"/norm": {"post": {"requestBody": body}}, "/readyz": {"get": {}}}, **others}


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        ({"properties": {}}, {}),
        ({"properties": {"x": {"examples": [[1, 2], [3]]}}, "required": ["x"]}, {"x": [1, 2]}),
        ({"properties": {"x": {"default": 5}, "y": {"type": "string"}}}, {"x": 5}),
        ({"$ref": "#/components/schemas/In"}, {"deep": {"z": "a"}}),
    ],
)
def test_examples_of_a_service_are_found(schema: object, body: object) -> None:
    deep = {"properties": {"z": {"example": "a"}}, "required": ["z"]}
    inside = {"properties": {"deep": deep}, "required": ["deep"]}

    (request,) = find_examples(document(schema, components={"schemas": {"In": inside}}))

    assert (str(request), request.headers) == ("POST /norm", JSON)
    assert json.loads(request.body) == body


@pytest.mark.parametrize(
    "schema",
    [
        None,
        [],
        {"properties": {"x": {"type": "string"}}, "required": ["x"]},
        {"$ref": "#/components/schemas/Loop"},
        {"$ref": 5},
        {"properties": 5},
    ],
)
def test_without_an_example_there_is_no_request(schema: object) -> None:
    loop = {"Loop": {"$ref": "#/components/schemas/Loop"}}
    assert not list(find_examples(document(schema, components={"schemas": loop})))


@pytest.mark.parametrize("text", [None, [], {}, {"paths": []}, {"paths": {"/a": None}}])
def test_what_is_no_document_has_none(text: object) -> None:
    assert not list(find_examples(text))
