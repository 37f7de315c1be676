"""Readers of the files that other programs, systems and people keep on this machine."""

import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Final, NoReturn
from unittest import mock

from paramiko import config as paramiko_config

from airgap.disk.expansion import expand
from airgap.errors import (
    AirgapError,
    ConfigurationError,
    MissingError,
    StorageError,
    TransportError,
    UsageError,
)
from airgap.flow import config
from airgap.flow.location import credentials, named_remotes
from airgap.format.kinds import HUGGING_FACE
from airgap.server.dropbox import settings as dropbox_settings
from airgap.store.hugging_face import HuggingFaceSnapshots
from airgap.store.hugging_face_record import read_record
from airgap.store.item_kind import Reference
from airgap.transport.s3 import credentials as s3_credentials
from airgap.transport.s3.options import S3Options
from airgap.transport.sftp import known_hosts, ssh_config
from tests.support.drop_box import HASH
from tests.support.reader import Reader, expand_repeated, scratch, write_scratch

__all__ = ["READERS", "expand_variable"]

MARK: Final = "﻿".encode()
HOST: Final = "depot.example"


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    with mock.patch.dict(os.environ, variables):
        yield


# ---- airgap's own files


def _load_config(raw: bytes) -> Mapping[str, object]:
    with _environment(AIRGAP_CONFIG=str(write_scratch(raw, "config.toml"))):
        return config.load()


def _read_config(raw: bytes) -> None:
    """Load the config file, also as an editor of Windows would save it; look up its remotes."""
    raw = expand_repeated(raw)
    document = _load_config(raw)
    if b"\r" not in raw and not raw.startswith(MARK):
        try:
            again = _load_config(MARK + raw.replace(b"\n", b"\r\n"))
        except ConfigurationError as error:
            raise AssertionError("a file that an editor of Windows saved is refused") from error
        assert repr(again) == repr(document)
    with _environment(AIRGAP_CONFIG=str(scratch() / "config.toml")):
        for remote in named_remotes.list_remotes():
            named_remotes.locate(f"@{remote.name}/below")


_CONFIG: Final = b"""\
jobs = 2
note = '''a
b'''
[remotes.vendor]
url = "sftp://depot.example/srv/depot?agent=no"
user = "carrier"
password_file = "~/.vendor-password"
"""
_TOML_WORDS: Final = (
    *(b"[remotes.a]\n", b"url = ", b'"ftp://h/"', b"= [", b"[[", b"]]", b"{a = ", b"1e999"),
    *(
        b"0x",
        b"nan",
        b"2026-01-02",
        b"'''",
        b'"""',
        b"\\u0000",
        b"true",
        b"{a=" * 21,
        b"= \x01\xff[",
    ),
)


def _read_dropbox_settings(raw: bytes) -> None:
    settings = dropbox_settings.load(write_scratch(expand_repeated(raw), "dropbox.toml"))
    assert dropbox_settings.describe(settings)


_DROPBOX: Final = f"""\
state = "state"
on_arrival = "hold"
settle_seconds = 1.5
[listen]
address = "::1"
port = 0
passive_ports = "50000-50099"
[tls]
required = false
[limits]
rate = "1 MiB"
keep_free = "2.5 GB"
[users.ann]
password = "{HASH}"
max_bytes = "500 MB"
""".encode()
_SHORT_DROPBOX: Final = f"""state = "s"
tls.required = false
users.a = {{password = "{HASH}", max_bytes = "1\x01\0009 B"}}
""".encode()
_DROPBOX_WORDS: Final = (
    *(b"jobs = ", b"import_seconds = ", b"keep_packs_hours = ", b"masquerade = ", b'"10.0.0.1"'),
    *(b"implicit_port = ", b"certificate = ", b"key = ", b"connections = ", b"login_seconds = "),
    *(b"max_files = ", b"[users.bob]\n", b"$scrypt$ln=15,r=8,p=1$", b"\x01\x209", b" TB", b" TiB"),
    *_TOML_WORDS,
)


# ---- files of ssh, AWS and curl


def _refuse_lookup(*_: object) -> NoReturn:
    raise socket.gaierror


_NETWORK: Final = SimpleNamespace(
    **{
        **vars(socket),
        "gethostname": lambda: "here",
        "getfqdn": lambda *_: "here",
        "gethostbyname": _refuse_lookup,
        "getaddrinfo": _refuse_lookup,
    }
)


def _refuse_command(*_: object, **__: object) -> NoReturn:
    raise AssertionError("a command in ssh_config is run")


def _read_ssh_config(raw: bytes) -> None:
    """Find out how to reach a host. No network is asked, and no command is run."""
    path = write_scratch(expand_repeated(raw), "ssh_config")
    with (
        mock.patch.object(paramiko_config, "socket", _NETWORK),
        mock.patch.object(paramiko_config, "invoke", SimpleNamespace(run=_refuse_command)),
        mock.patch("airgap.transport.sftp.ssh_config.glob.glob", return_value=[]),
    ):
        found = ssh_config.resolve(HOST, None, None, None, path)
    assert 0 < found.port < 65536
    assert not found.host.startswith("-")
    assert not found.user.startswith("-")


_SSH_CONFIG: Final = b"""\
Port 2200\x01\0000
Host depot.* !other
  HostName depot.example
  User courier
  IdentityFile ~/.ssh/%h
  UserKnownHostsFile ~/.ssh/known_depot "%d/.ssh/more"
  IdentitiesOnly yes
  ProxyJump first,ops@gate.example:2222
Match originalhost depot.example user courier
  HostKeyAlias ward
Include other
"""
_SSH_WORDS: Final = (
    *(
        b"Host ",
        b"Match ",
        b"Match exec ",
        b"exec ",
        b"canonical",
        b"final",
        b"all",
        b"localuser ",
        b"!",
        b"%h",
    ),
    *(b"%d", b"%n", b"%C", b"~", b"~nobody/", b'"', b"'", b"ProxyCommand ", b"none", b"Port "),
    *(b"CanonicalizeHostname yes\n", b"CanonicalDomains a\n", b"CanonicalizeMaxDots 9\n", b"="),
    *(
        b"AddressFamily inet\n",
        b"Port \x01\xff9\n",
        b"Include ",
        b"UserKnownHostsFile ",
        b"HostName ",
        b"User ",
    ),
)


def _read_known_hosts(raw: bytes) -> None:
    path = write_scratch(raw, "known_hosts")
    for port in (22, 2222):
        found = known_hosts.look_up(HOST, port, [path], required=True)
        assert all(found.kinds)
        with suppress(TransportError):
            found.check("ssh-ed25519", b"\0\0\0\x0bssh-ed25519" + bytes(36))


_KEY: Final = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFhmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZm"
_KNOWN_HOSTS: Final = (
    b"# hosts\ndepot.example " + _KEY + b" me\n[depot.example]:2222,*.example " + _KEY + b"\n"
    b"@revoked other " + _KEY + b"\n|1|AAAA|AAAA " + _KEY + b"\n@cert-authority *.b " + _KEY
)


def _read_aws_profile(raw: bytes) -> None:
    """Read a profile of both files, and check the endpoint that it names."""
    path = str(write_scratch(raw, "aws"))
    path_of_none = str(scratch() / "none")
    for config_file, secret_file in ((path, path_of_none), (path_of_none, path), (path, path)):
        profile = s3_credentials.find_profile(
            {"AWS_CONFIG_FILE": config_file, "AWS_SHARED_CREDENTIALS_FILE": secret_file}
        )
        if profile.keys:
            texts = (profile.keys.identity, profile.keys.secret, profile.keys.token)
            assert all(text.isascii() and text.isprintable() for text in texts)
            assert all(text == text.strip() for text in texts)
        S3Options("bucket", endpoint=profile.endpoint, region=profile.region or "us-east-1")


_AWS: Final = b"""\
[default]
region = eu-central-1
endpoint_url = https://s3.example:9000
aws_access_key_id = AKID
aws_secret_access_key = secret
s3 =
  max_concurrent_requests = 20
[profile other]
role_arn = arn
"""
_AWS_WORDS: Final = (
    *(b"[default]\n", b"[profile default]\n", b"aws_session_token = ", b"credential_process = "),
    *(b"endpoint_url = http://", b"https://", b"ca_bundle = ", b"\n  ", b"[", b"]", b"=", b"\0"),
    *(b"#", b";", b"\xc2\x85", b"\xe2\x80\xa8", b"\r", b"\x0c", b"aws_access_key_id=", b"[::1]:9"),
)


def _read_netrc(raw: bytes) -> None:
    path = write_scratch(raw, "netrc")
    path.chmod(0o600)
    with _environment(NETRC=str(path)):
        login = credentials._in_netrc(HOST, None)
    assert login is None or login.password != ""


# ---- huggingface_hub's cache, and paths in variables


def _read_record(raw: bytes) -> None:
    """Scan a snapshot whose record and index of weights are these bytes."""
    raw = expand_repeated(raw)
    cache = scratch() / "hub"
    snapshot = cache / "models--a--b" / "snapshots" / COMMIT
    record = cache / "models--a--b" / "trees" / f"{COMMIT}.json"
    for path in (snapshot / "w.index.json", record):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
    with _environment(BENTOML_HF_CACHE_DIR=str(cache)):
        assert all(type(name) is str for name in read_record(record).files)
        for include in (None, ("*.json", "a/")):
            reference = Reference(HUGGING_FACE.name, "a--b", COMMIT, include)
            with suppress(MissingError):
                HuggingFaceSnapshots().scan(reference)


COMMIT: Final = "0123456789abcdef0123456789abcdef01234567"
_RECORD: Final = (
    b'{"format_version": 1, "files": {"w.index.json": {"size": 1, "blob_id": "x"}},'
    b' "weight_map": {"a": "w.index.json", "b": "c"}}'
)
_JSON_WORDS: Final = (
    *(b'{"files": ', b'"weight_map": ', b"[1]", b"null", b"[" * 64, b"]" * 64, b'"\\ud800"'),
    *(
        b"1e999",
        b"NaN",
        b'"format_version": 1',
        b'"a":',
        b"{}",
        b'"w.index.json"',
        b"\x01\xff9",
        b"\x01\xff[",
    ),
)


def _read_variable(raw: bytes) -> None:
    """Expand a path that a variable holds: a part that is repeated, a bar, and the rest.

    The first byte counts the repetitions.
    """
    part, _, rest = raw[1:].partition(b"|")
    raw = (part * (1 + 8 * (raw or b"\0")[0]))[:_VARIABLE_BYTES] + rest
    expand_variable(raw.decode("utf-8", "surrogateescape").replace("\0", ""))


def expand_variable(text: str) -> None:
    """Expand what a variable holds, which may name itself as ``$AIRGAP_TEST``."""
    with _environment(AIRGAP_TEST=text, HOME="/home/me"):
        begun = time.process_time()
        try:
            path = expand(text, "AIRGAP_TEST")
        finally:
            spent = time.process_time() - begun
            assert spent < _MOST_SECONDS, "an expansion takes more than linear time"
        again = os.path.expanduser(os.path.expandvars(path))  # noqa: PTH111  (as BentoML does)
        assert again == path, "something is left to expand"
    assert len(path) < 1_000_000


_VARIABLE_BYTES: Final = 128 * 1024
"""The most that Linux allows a variable to have."""
_MOST_SECONDS: Final = 2.0
"""Of CPU. A variable that names itself costs 0.2 s at most; in quadratic time it was over 7 s."""


_REFUSES: Final = (ConfigurationError, StorageError)
_REFUSES_URLS: Final[tuple[type[AirgapError], ...]] = (
    ConfigurationError,
    TransportError,
    UsageError,
)

READERS: Final[dict[str, Reader]] = {
    "config file": Reader(_read_config, _REFUSES_URLS, lambda: [_CONFIG], _TOML_WORDS),
    "config file of a drop box": Reader(
        _read_dropbox_settings, _REFUSES, lambda: [_DROPBOX, _SHORT_DROPBOX], _DROPBOX_WORDS
    ),
    "ssh_config": Reader(_read_ssh_config, _REFUSES, lambda: [_SSH_CONFIG], _SSH_WORDS),
    "known_hosts": Reader(_read_known_hosts, _REFUSES, lambda: [_KNOWN_HOSTS]),
    "profile of AWS": Reader(_read_aws_profile, _REFUSES, lambda: [_AWS], _AWS_WORDS),
    "netrc": Reader(
        _read_netrc, _REFUSES, lambda: [b"machine depot.example login a password b\ndefault\n"]
    ),
    "record of huggingface_hub": Reader(
        _read_record,
        _REFUSES,
        lambda: [_RECORD, b'{"files": [null], "weight_map": [null]}'],
        _JSON_WORDS,
    ),
    "path in a variable": Reader(
        _read_variable,
        _REFUSES,
        lambda: [b"\0~/$HOME|/a"],
        (b"$AIRGAP_TEST", b"${HOME}", b"~", b"|", b"${"),
    ),
}
