"""What looks like a password or a token is found, with its line; what stands for one is not."""

from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.errors import PolicyError
from airgap.flow.exporting import secret_scan
from airgap.flow.exporting.secret_scan import find_secrets
from airgap.flow.progress import Silent
from airgap.store.item_kind import Source
from airgap.store.source_tree import scan

LETTERS = b"aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dF3hJ5k"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"--index-url https://joe:s3cret@pypi.example/simple", "a password in a URL"),
        (b"https://__token__:abc@host", "a password in a URL"),
        (b"redis://:hunter2@host:6379", "a password in a URL"),
        (b"postgresql+psycopg://u:p%40ss@db/x", "a password in a URL"),
        (b"https://aws:" + LETTERS * 40 + b"@codeartifact.example/", "a password in a URL"),
        (b"https://user:%24ecretpass@host", "a password in a URL"),
        (b"HF_TOKEN=hf_" + LETTERS[:34], "a Hugging Face token"),
        (b"'AKIA" + b"ABCDEFGHIJKLMNOP'", "an AWS access key"),
        (b"token: ghp_" + LETTERS[:36], "a GitHub token"),
        (b"github_pat_" + LETTERS[:30], "a GitHub token"),
        (b"glpat-" + LETTERS[:20], "a GitLab token"),
        (b"pypi-AgEIcHlwaS5vcmc" + LETTERS * 2, "a PyPI token"),
        (b"sk-proj-" + LETTERS, "an API key"),
        (b"xoxb-" + b"123456789012-abc", "a Slack token"),
        (b"-----BEGIN " + b"PRIVATE KEY-----", "a private key"),
        (b"-----BEGIN OPENSSH " + b"PRIVATE KEY-----", "a private key"),
    ],
)
def test_a_secret_is_found_with_its_line(text: bytes, what: str) -> None:
    assert [*find_secrets(b"first\r\n" + text + b"\nlast")] == [(what, 2)]


@pytest.mark.parametrize(
    "text",
    [
        b"https://pypi.example/simple",
        b"https://pypi.example:8443/simple?a=b@c",
        b"git+ssh://git@github.example/team/project",
        b'f"redis://{user}:{password}@{host}"',
        b"https://${USER}:${TOKEN}@pypi.example",
        b"https://$USER:$TOKEN@pypi.example",
        b"https://user:<password>@host",
        b"https://user:password@host",
        b"https://user:xxxxx@host",
        b"http://User:Pass@www.python.org:080/doc",
        b"http://evil:thing@example.com/",
        b"https://user:***@host",
        b"http://localhost:3000 mail me@host",
        b"http://localhost:3000,joe@host",
        b"docker://python:3.11@sha256:0123",
        b"https://%s:%s@host",
        b"https://%(user)s:%(password)s@host",
        b"hf_hub_download hf_transfer",
        b"-----BEGIN PUBLIC KEY-----",
        b"AKIA is the prefix of an access key",
    ],
)
def test_what_stands_for_a_secret_or_has_none_is_passed_over(text: bytes) -> None:
    assert [*find_secrets(text)] == []


def test_every_secret_is_found_once() -> None:
    text = b"a://u:one@h\n\nb://u:two@h c://u:three@h\n"
    assert [secret.line for secret in find_secrets(text)] == [1, 3, 3]


def test_a_list_of_secrets_is_cut_off() -> None:
    lines = [secret.line for secret in find_secrets(b"https://bob:s3cr@h/\n" * 100_000)]
    assert lines == [*range(1, 101)]


def test_many_words_that_only_contain_a_token_hide_none() -> None:
    token = b"hf_" + LETTERS[:34]
    assert [
        secret.line for secret in find_secrets(b"x" + (token + b"\nx") * 200 + b"\n" + token)
    ] == [202]


WORDS = (
    *(b"hf_", b"gho_", b"github_pat_", b"glpat-", b"pypi-AgEIcHlwaS5vcmc", b"sk-proj-", b"sk-ant-"),
    *(b"xoxb-", b"AKIA", b"ASIA", b"-----BEGIN ", b"RSA ", b"PRIVATE KEY-----", b"://", b"@", b":"),
    *(LETTERS, b"ABCDEFGHIJKLMNOP", b"_", b"-", b"/", b" ", b"\n", b"A", b"PRIVA", b"sk-"),
)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(WORDS), max_size=12).map(b"".join))
def test_the_marks_of_a_form_hide_no_secret(text: bytes) -> None:
    for group in secret_scan._GROUPS:
        if any(any(form.find_all(text)) for form in group.forms):
            assert group.has_mark(text)


@pytest.mark.parametrize(("size", "lines"), [(0, [2]), (1, [])])
def test_what_is_too_long_for_text_is_not_searched(
    size: int, lines: list[int], tmp_path: Path
) -> None:
    text = b"\nhf_" + LETTERS
    path = tmp_path / "code.py"
    path.write_bytes(text + b"\n" * (secret_scan.LARGEST + size - len(text)))
    source = Source("bento", "shop", "v1", 0, scan(tmp_path))

    check = partial(secret_scan.check_secrets, [source], Silent())

    if lines:
        with pytest.raises(
            PolicyError, match=r"a Hugging Face token in bento shop:v1, code\.py, line 2"
        ):
            check(allowed=False)
    else:
        check(allowed=False)
