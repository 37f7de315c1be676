"""Threat model: what an index of packages may do to the connected side."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from airgap.errors import CorruptError, MissingError
from airgap.wheels.bento_requirements import read_requirements
from airgap.wheels.choose import ChosenFile, choose_files
from airgap.wheels.collect import Collection, Reporter, collect
from airgap.wheels.fetch import Fetcher
from airgap.wheels.indexes import Indexes, make_environment, parse_indexes
from airgap.wheels.programs import Programs, find_programs
from airgap.wheels.resolve import Distribution, parse_lock
from airgap.wheels.targets import read_target
from tests.support import stores
from tests.support.package_index import PackageIndex, make_wheel, serve
from tests.support.sides import Side, Site

TARGET = read_target("cp311-manylinux_2_28_x86_64")
TINY, TINY_BYTES = make_wheel("tiny")
SECRET = "s3cret-of-joe"  # noqa: S105


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "pip-cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")


def lock_of(**entry: str) -> bytes:
    """A lock of uv with one wheel."""
    fields = {"url": f"https://files.example/{TINY}", "sha256": "ab" * 32, **entry}
    name = f'name = "{fields["name"]}", ' if "name" in fields else ""
    wheel = f'{{ {name}url = "{fields["url"]}", hashes = {{ sha256 = "{fields["sha256"]}" }} }}'
    return (
        f'lock-version = "1.0"\n[[packages]]\nname = "tiny"\nversion = "1.0"\nwheels = [{wheel}]\n'
    ).encode()


def choose(lock: bytes) -> list[ChosenFile]:
    return choose_files(parse_lock(lock), TARGET, {}, build_sdists=False)


def make_fetcher(folder: Path, indexes: Indexes) -> Fetcher:
    (folder / "tmp").mkdir()
    environment = make_environment(indexes, str(folder / "tmp"))
    return Fetcher(find_programs().pip, environment, folder, TARGET, {}, lambda _: None)


@pytest.fixture
def index() -> Iterator[PackageIndex]:
    made = PackageIndex({TINY: TINY_BYTES})
    with serve(made):
        yield made


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "../../tiny-1.0-py3-none-any.whl"},
        {"name": ".."},
        {"name": "tiny-1.0-py3-none-any.whl/.."},
        {"name": "other-1.0-py3-none-any.whl"},
        {"name": "tiny-1.0-py3-none-any.whl\\u0000"},
        {"name": "tiny-1.0-py3-none-any.exe"},
    ],
)
def test_a_file_name_that_is_not_a_wheel_of_the_package_is_not_chosen(
    entry: dict[str, str],
) -> None:
    with pytest.raises(MissingError, match=r"tiny 1\.0 has no wheel"):
        choose(lock_of(**entry))


@pytest.mark.parametrize(
    "url",
    [
        "https://files.example/${AIRGAP_PASSPHRASE}/" + TINY,
        "https://files.example/a b/" + TINY,
        "https://files.example/\\n--index-url/" + TINY,
        "ftp://files.example/" + TINY,
        "git+https://files.example/" + TINY,
    ],
)
def test_an_address_that_pip_would_read_otherwise_is_refused(url: str, tmp_path: Path) -> None:
    (choice,) = choose(lock_of(url=url))
    with pytest.raises(CorruptError, match="no valid address"):
        make_fetcher(tmp_path, Indexes(())).fetch([choice])


def test_an_index_on_a_server_names_no_file_of_this_machine(tmp_path: Path) -> None:
    own = tmp_path / TINY
    own.write_bytes(TINY_BYTES)
    digest = hashlib.sha256(TINY_BYTES).hexdigest()
    lock = tmp_path / "lock.toml"
    lock.write_bytes(lock_of(url=own.as_uri(), sha256=digest))
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\ncat {lock} > pylock.toml\n")
    uv.chmod(0o755)
    folder = tmp_path / "private"
    folder.mkdir()
    requirements = read_requirements({"env/python/requirements.txt": b"tiny\n"}, [])
    indexes = parse_indexes(["https://files.example/simple"], {})
    collection = Collection("a:v1", requirements, bytes(32), tmp_path, TARGET, indexes)
    reporter = Reporter(lambda _: None, lambda _: None, lambda _: None)
    with pytest.raises(CorruptError, match="names a file of this machine"):
        collect(collection, Programs((str(uv),), ("false",)), folder, reporter)


def test_a_wheel_with_another_digest_is_refused(index: PackageIndex, tmp_path: Path) -> None:
    index.tampered = {TINY: make_wheel("tiny", "1.0", requires=["evil"])[1]}
    digest = hashlib.sha256(TINY_BYTES).digest()
    wheel = Distribution(TINY, f"{index.url.removesuffix('simple')}files/{TINY}", 9, digest)
    fetcher = make_fetcher(tmp_path, parse_indexes([index.url], {}))
    with pytest.raises(CorruptError, match=f"expected {digest.hex()}"):
        fetcher.fetch([ChosenFile("tiny", "1.0", wheel)])
    assert list((tmp_path / "wheels").iterdir()) == []


def test_the_digests_that_a_bento_gives_are_the_only_ones() -> None:
    with pytest.raises(CorruptError, match=r"No file of tiny 1\.0 has a SHA-256"):
        choose_files(parse_lock(lock_of()), TARGET, {"tiny": ["cd" * 32]}, build_sdists=False)


def test_a_lock_that_names_a_package_twice_is_refused() -> None:
    lock = lock_of()
    with pytest.raises(CorruptError, match="a package twice"):
        parse_lock(lock + lock.partition(b"\n")[2])


@pytest.mark.parametrize(
    "raw", [b"", b"\xff", b"packages = 1", b"[[packages]]\nname = 1", b'[[packages]]\nname = "a"\n']
)
def test_a_lock_that_makes_no_sense_is_refused(raw: bytes) -> None:
    with pytest.raises(CorruptError, match="cannot be read"):
        parse_lock(raw)


def test_a_password_goes_to_its_index_alone_and_into_no_file(
    connected: Side, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file of the private package lies on another host, to which its index redirects."""
    files = dict([make_wheel("secret"), make_wheel("pip", "99.0"), make_wheel("tiny")])
    private = PackageIndex(
        files, private=frozenset({"secret"}), redirected=frozenset({"secret"}), password=SECRET
    )
    stores.add_bento(
        connected,
        "shop:v1",
        {
            "env/python/requirements.in": b"secret\ntiny\n",
            "env/python/requirements.txt": b"secret==1.0\ntiny==1.0\n",
        },
    )
    monkeypatch.setenv("UV_INDEX_TEAM_USERNAME", "joe")
    monkeypatch.setenv("UV_INDEX_TEAM_PASSWORD", SECRET)
    with serve(private):
        ran = connected.run(
            *("export", "shop:v1", "--with-env", "--target", str(TARGET), "-o", tmp_path / "depot"),
            *("--index", f"team={private.url}", "--key", site.key()),
        )
    assert ran.code == 0, ran.err
    by_host = {host: credentials for host, _, credentials in private.requests if credentials}
    assert by_host == {"127.0.0.1": private.authorization}
    assert any(host == "127.0.0.2" for host, _, _ in private.requests)
    assert SECRET not in ran.out + ran.err
    encoded = private.authorization.removeprefix("Basic ")
    for path in tmp_path.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            assert SECRET.encode() not in content, path
            assert encoded.encode() not in content, path


def test_a_password_that_is_refused_is_not_shown(
    connected: Side, site: Site, tmp_path: Path
) -> None:
    private = PackageIndex(dict([make_wheel("secret")]), private=frozenset({"secret"}))
    url = "http://joe:wr0ng-password@127.0.0.1"
    with serve(private):
        line = f"--index-url {url}:{private.port}/simple\nsecret==1.0\n".encode()
        stores.add_bento(connected, "shop:v1", {"env/python/requirements.txt": line})
        ran = connected.run(
            *("export", "shop:v1", "--with-env", "--target", str(TARGET), "-o", tmp_path / "depot"),
            *("--key", site.key()),
        )
    assert ran.code != 0
    assert any(credentials for _, _, credentials in private.requests)
    assert "wr0ng-password" not in ran.out + ran.err
