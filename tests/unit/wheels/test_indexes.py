"""Indexes: where packages are looked up, and passwords that stay secret."""

import pytest

from airgap.errors import ConfigurationError, UsageError
from airgap.wheels.indexes import (
    PYPI,
    Index,
    hide_credentials,
    make_environment,
    parse_index,
    parse_indexes,
    read_options,
)
from airgap.wheels.requirements import IndexOptions

URL = "https://pypi.example/simple"


def test_an_index_is_a_url() -> None:
    assert parse_index(URL, {}) == Index(URL)


def test_the_password_of_a_named_index_is_a_variable() -> None:
    environment = {"UV_INDEX_MY_TEAM_USERNAME": "joe", "UV_INDEX_MY_TEAM_PASSWORD": "s3c/ret"}
    index = parse_index(f"my.team={URL}", environment)
    assert index.full_url == "https://joe:s3c%2Fret@pypi.example/simple"
    assert "s3c" not in repr(index)
    assert hide_credentials("denied for s3c/ret") == "denied for ***"


@pytest.mark.parametrize("user", ["joe:s3cret", "t0ken"])
def test_a_password_on_the_command_line_is_refused(user: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_index(f"https://{user}@pypi.example/simple", {})
    assert user not in refused.value.message
    assert "UV_INDEX_NAME_PASSWORD" in refused.value.hint


@pytest.mark.parametrize(
    "text", ["pypi.example/simple", "ftp://a/b", "https://a b", "https://[", ""]
)
def test_what_is_not_a_url_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not the URL of an index"):
        parse_index(text, {})


def test_a_bento_names_its_indexes() -> None:
    found = read_options(IndexOptions(URL, ("https://more.example/s",), ("/srv/links",)), {})
    assert found.urls == (Index("https://more.example/s"), Index(URL))
    assert found.find_links == (Index("/srv/links"),)
    assert read_options(IndexOptions(URL, no_index=True), {}).urls == ()


def test_a_bento_that_names_no_index_uses_that_of_the_environment() -> None:
    assert read_options(IndexOptions(), {}).urls == (Index(PYPI),)
    assert read_options(IndexOptions(), {"PIP_INDEX_URL": URL}).urls == (Index(URL),)
    assert read_options(IndexOptions(), {"PIP_INDEX_URL": "x:/", "UV_DEFAULT_INDEX": URL}).urls == (
        Index(URL),
    )


def test_variables_in_the_index_of_a_bento_are_put_in() -> None:
    options = IndexOptions("https://joe:${TOKEN}@pypi.example/simple")
    (index,) = read_options(options, {"TOKEN": "t0ken-of-joe"}).urls
    assert (index.url, index.user, index.password) == (URL, "joe", "t0ken-of-joe")
    with pytest.raises(ConfigurationError, match="TOKEN is not set"):
        read_options(options, {})


def test_uv_and_pip_get_the_indexes_in_their_environment() -> None:
    indexes = parse_indexes([f"a={URL}", "https://b.example/s"], {"UV_INDEX_A_USERNAME": "joe"})
    made = make_environment(indexes, "/scratch", {"PATH": "/bin", "HTTPS_PROXY": "p"})
    assert made["UV_INDEX"] == made["PIP_EXTRA_INDEX_URL"] == "https://joe@pypi.example/simple"
    assert made["UV_DEFAULT_INDEX"] == made["PIP_INDEX_URL"] == "https://b.example/s"
    assert (made["PATH"], made["HTTPS_PROXY"], made["TMPDIR"]) == ("/bin", "p", "/scratch")


def test_settings_that_change_what_is_resolved_are_not_passed_on() -> None:
    base = {"UV_EXCLUDE_NEWER": "x", "PIP_TARGET": "x", "PYTHONPATH": "x", "VIRTUAL_ENV": "x"}
    kept = {"UV_HTTP_TIMEOUT": "9", "PIP_CERT": "/ca", "PIP_CONFIG_FILE": "/pip.conf"}
    made = make_environment(parse_indexes([URL], {}), "/scratch", {**base, **kept})
    assert not base.keys() & made.keys()
    assert kept.items() <= made.items()


def test_without_an_index_only_links_are_used() -> None:
    found = read_options(IndexOptions(no_index=True, find_links=("https://a.example/l",)), {})
    made = make_environment(found, "/scratch", {})
    assert (made["UV_NO_INDEX"], made["UV_FIND_LINKS"]) == ("1", "https://a.example/l")
    assert "PIP_INDEX_URL" not in made
