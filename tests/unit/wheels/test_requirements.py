"""Files of requirements: what each line asks for, and which lines cannot be locked."""

import time

import pytest

from airgap.wheels.requirements import IndexOptions, Requirement, parse_requirements

HASH = "ab" * 32


def only(text: str) -> Requirement:
    """Parse a file of one requirement."""
    parsed = parse_requirements("requirements.txt", text.encode())
    assert parsed.unsupported == ()
    (requirement,) = parsed.requirements
    return requirement


@pytest.mark.parametrize(
    ("text", "name", "specifier", "extras", "marker"),
    [
        ("numpy", "numpy", "", (), ""),
        ("Zope.Interface_x >= 5, <6", "zope-interface-x", ">= 5, <6", (), ""),
        ("numpy (==2.4.6)", "numpy", "==2.4.6", (), ""),
        ("httpx[http2, CLI]==0.28", "httpx", "==0.28", ("cli", "http2"), ""),
        (
            "tomli ; python_version < '3.11' # old",
            *("tomli", "", (), "python_version < '3.11'"),
        ),
        (
            "a==1; (os_name=='x' and python_version<'3')",
            "a",
            "==1",
            (),
            "(os_name=='x' and python_version<'3')",
        ),
    ],
)
def test_a_line_names_a_package(
    text: str, name: str, specifier: str, extras: tuple[str, ...], marker: str
) -> None:
    found = only(text)
    assert (found.name, found.specifier, found.extras, found.marker, found.source) == (
        *(name, specifier, extras, marker),
        "index",
    )


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("a==1.2", "1.2"),
        ("a == 1.2+cu126", "1.2+cu126"),
        ("a===1", "1"),
        *((text, "") for text in ("a", "a==1.*", "a>=1", "a==1,!=2", "a~=1.2")),
    ],
)
def test_only_an_exact_version_is_a_pin(text: str, version: str) -> None:
    assert (only(text).version, only(text).is_pinned) == (version, bool(version))


def test_hashes_and_continued_lines_are_one_requirement() -> None:
    found = only(f"numpy==2.4.6 \\\n  --hash=sha256:{HASH} \\\n  --hash=sha512:00 # why\n")
    assert (found.name, found.version, found.hashes, found.position.line) == (
        *("numpy", "2.4.6", (HASH,)),
        1,
    )


@pytest.mark.parametrize(
    "text",
    [
        "./wheels/in_house-1.2-py3-none-any.whl",
        "wheels/in_house-1.2-py3-none-any.whl",
        "in-house @ ./wheels/in_house-1.2-py3-none-any.whl",
        "in-house @ file:///build/src/wheels/in_house-1.2-py3-none-any.whl",
    ],
)
def test_a_file_of_the_folder_wheels_is_a_local_wheel(text: str) -> None:
    found = only(text)
    assert (found.name, found.version, found.source, found.location) == (
        *("in-house", "1.2", "wheel"),
        "in_house-1.2-py3-none-any.whl",
    )


def test_a_local_wheel_may_have_extras_and_a_marker() -> None:
    found = only("./wheels/a-1-py3-none-any.whl[x] ; os_name == 'posix'")
    assert (found.extras, found.marker) == (("x",), "os_name == 'posix'")


def test_a_local_source_distribution_has_name_and_version() -> None:
    found = only("./wheels/bentoml-1.4.41%2Bdev.tar.gz")
    assert (found.name, found.version) == ("bentoml", "1.4.41+dev")


@pytest.mark.parametrize("prefix", ["", "x @ "])
def test_a_url_of_a_package_is_taken_with_its_digest(prefix: str) -> None:
    found = only(f"{prefix}https://files.example/x-1.0-py3-none-any.whl#sha256={HASH}")
    assert (found.name, found.version, found.source, found.location, found.hashes) == (
        *("x", "1.0", "url", "https://files.example/x-1.0-py3-none-any.whl"),
        (HASH,),
    )


@pytest.mark.parametrize(
    ("text", "name", "reason"),
    [
        ("-r other.txt", "", "names another file"),
        ("--constraint=c.txt", "", "names another file"),
        ("-e .", "", "is an editable package"),
        ("--no-binary :all:", "", "is an option"),
        ("git+https://github.com/a/b@main#egg=My_B", "my-b", "is a package in a repository"),
        ("b @ git+https://github.com/a/b", "b", "is a package in a repository"),
        ("https://host/archive/main.tar.gz", "", "is the URL of something"),
        ("x @ ftp://host/x-1-py3-none-any.whl", "x", "is the URL of something"),
        ("./libs/a-1-py3-none-any.whl", "", "is neither a package nor a file"),
        ("../wheels/a-1-py3-none-any.whl", "", "is neither a package nor a file"),
        ("what is this", "", "is neither a package nor a file"),
    ],
)
def test_what_cannot_be_locked_stands_aside_with_its_line(
    text: str, name: str, reason: str
) -> None:
    parsed = parse_requirements("requirements.txt", f"# first\nnumpy\n{text}\n".encode())
    (line,) = parsed.unsupported
    assert (line.text, line.name, line.position.line) == (text, name, 3)
    assert line.reason.startswith(reason)
    assert line.hint
    assert [found.name for found in parsed.requirements] == ["numpy"]


def test_an_unsupported_line_shows_no_user_and_password() -> None:
    (line,) = parse_requirements("f", b"x @ git+https://joe:s3cret@host/x.git").unsupported
    assert line.text == "x @ git+https://***@host/x.git"


def test_options_say_where_packages_are_looked_up() -> None:
    text = b"""\
--index-url https://pypi.example/simple
-i https://second.example/simple
--extra-index-url=https://more.example/simple
--extra-index-url https://more.example/simple
-f https://links.example/
--trusted-host more.example
--pre
"""
    assert parse_requirements("f", text).options == IndexOptions(
        index="https://pypi.example/simple",
        extra=("https://more.example/simple",),
        find_links=("https://links.example/",),
        prereleases=True,
    )


def test_a_file_that_is_too_large_is_not_read() -> None:
    (line,) = parse_requirements("f", b"a\n" * 2**21 + b"b").unsupported
    assert line.reason == "has more than 4 MiB"


@pytest.mark.parametrize(
    "unit", ["a.", "a ", "a-", "[", "(", "wheels/", "file:wheels/", "a[", "a@", "-e ", "a;", "\\\n"]
)
def test_a_hostile_line_takes_linear_time(unit: str) -> None:
    raw = (unit * (2**20 // len(unit)) + "!").encode()
    begin = time.process_time()
    parse_requirements("f", raw)
    assert time.process_time() - begin < 2
