"""The drop box's config file: what is wrong with it is said with line and key."""

import dataclasses
import re
from pathlib import Path

import pytest

from airgap.errors import ConfigurationError
from airgap.server.dropbox import settings
from tests.support import drop_box, sides

GOOD = """\
state = "state"
[tls]
required = false
[users.ann]
password = "$HASH"
"""


def _load(tmp_path: Path, text: str) -> settings.DropBoxSettings:
    path = tmp_path / "dropbox.toml"
    path.write_text(text.replace("$HASH", drop_box.HASH))
    return settings.load(path)


def test_a_minimal_config_file_loads(tmp_path: Path) -> None:
    loaded = _load(tmp_path, GOOD)

    assert loaded.state == tmp_path / "state"
    assert [(user.name, user.max_files) for user in loaded.users] == [("ann", 10_000)]
    assert not loaded.hold


@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        (("state =", "sate ="), 1, "sate is unknown (did you mean state?)"),
        (('state = "state"', ""), 0, "state is missing"),
        (('"state"', "7"), 1, "state must be a path in quotes"),
        (("required = false", "required = 0"), 3, "tls.required must be true or false"),
        (("required = false", ""), 2, "tls.certificate is missing; TLS is required"),
        (("required = false", 'required = false\ncertificate = "no"'), 4, "is not a file"),
        (("[users.ann]", "[users.Ann]"), 4, "users.Ann is not a valid user name"),
        (("[users.ann]", "[users.ann]\nshell = 1"), 5, "users.ann.shell is unknown"),
        (("[users.ann]", '[users.ann]\nmax_bytes = "9"'), 5, "users.ann.max_bytes must be a size"),
        (
            ("[users.ann]", f"[users.ann]\nmax_bytes = '{'9' * 400} TB'"),
            5,
            "users.ann.max_bytes must be a size",
        ),
        (("[tls]", "x = " + "[" * 20_000 + "\n[tls]"), 0, "is nested too deeply"),
        (("$HASH", "secret"), 5, "users.ann.password is not what `airgap serve hash-password`"),
        (("[tls]", "[limits]\nrate = '1 kB'\n[tls]"), 3, "limits.rate must be at least 64 KiB"),
        (("[tls]", "[listen]\nport = 65536\n[tls]"), 3, "listen.port must be from 0 to 65535"),
        (("[tls]", "[listen]\nport = true\n[tls]"), 3, "listen.port must be a whole number"),
        (("[tls]", "[listen]\naddress = 'here'\n[tls]"), 3, "listen.address must be an IP"),
        (("[tls]", "[listen]\npassive_ports = '9-2'\n[tls]"), 3, "must be a range of ports"),
        (("[tls]", "[listen]\nimplicit_port = 1\n[tls]"), 3, "needs [tls] certificate"),
        (("[tls]", "on_arrival = 'run'\n[tls]"), 2, "on_arrival must be one of import, hold"),
        (("[tls]", "settle_seconds = -1\n[tls]"), 2, "settle_seconds must be from 0 to 86400"),
        (("[tls]", "listen = 3\n[tls]"), 2, "listen must be a section"),
    ],
)
def test_an_error_names_line_and_key(
    change: tuple[str, str], line: int, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)) as raised:
        _load(tmp_path, GOOD.replace(*change))

    assert (f"line {line}:" in raised.value.message) == bool(line)


def test_a_config_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "box.toml").write_bytes(b"\xef\xbb\xbf# made on Windows\r\n")

    with pytest.raises(ConfigurationError, match="state is missing"):
        settings.load(tmp_path / "box.toml")


def test_a_toml_error_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="line 2"):
        _load(tmp_path, 'state = "x"\nport 21\n')


def test_a_drop_box_without_users_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="users is empty"):
        _load(tmp_path, GOOD.partition("[users")[0])


def test_sizes_may_be_decimal_or_binary(tmp_path: Path) -> None:
    texts = {"2 GB": 2_000_000_000, "1.5 GiB": 1_610_612_736, "7B": 7}
    for text, size in texts.items():
        loaded = _load(tmp_path, GOOD + f'max_bytes = "{text}"\n')
        assert loaded.users[0].max_bytes == size


def test_the_description_contains_no_secret(tmp_path: Path) -> None:
    description = "\n".join(settings.describe(_load(tmp_path, GOOD)))

    assert "user ann" in description
    assert "scrypt" not in description
    assert "in the clear" in description


def _example(tmp_path: Path) -> str:
    """The documented example, with files and a password that are there."""
    text = (sides.REPOSITORY / "docs" / "gateway-drop-box.md").read_text()
    block = re.search(r"^   ```toml\n(.*?)^   ```", text, re.MULTILINE | re.DOTALL)
    assert block is not None
    for name in ("certificate.pem", "key.pem"):
        (tmp_path / name).touch()
    example = block[1].replace("/etc/airgap/", f"{tmp_path}/")
    return example.replace("$scrypt$ln=15,r=8,p=1$…", drop_box.HASH)


def test_the_documented_example_is_a_config_file(tmp_path: Path) -> None:
    loaded = _load(tmp_path, _example(tmp_path))

    assert loaded.passive_ports == range(50_000, 50_100)
    assert loaded.rate == 100_000_000


def test_the_documented_example_shows_every_key_and_its_default(tmp_path: Path) -> None:
    text = _example(tmp_path)
    shown = _load(tmp_path, text)
    least = [
        line
        for line in text.splitlines()
        if re.match(r" *(\[tls|\[users|state|certificate|key =|password)", line)
    ]
    default = _load(tmp_path, "\n".join(least))

    differ = {
        field.name
        for field in dataclasses.fields(shown)
        if getattr(shown, field.name) != getattr(default, field.name)
    }
    assert differ == {"implicit_port", "passive_ports", "rate"}
    keys = set(re.findall(r"take\(\s*\"(\w+)\"", Path(settings.__file__).read_text()))
    assert keys <= set(re.findall(r"^ *(?:# )?(\w+) =", text, re.MULTILINE))
