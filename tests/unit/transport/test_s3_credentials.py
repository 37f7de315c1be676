from pathlib import Path

import pytest

from airgap.errors import ConfigurationError
from airgap.flow.redaction import redact
from airgap.transport.s3.credentials import Profile, find_profile, read_keys
from airgap.transport.s3.options import S3Keys

SECRETS = """
# made by hand
[default]
aws_access_key_id = AK
aws_secret_access_key=wJalr=XUtn/FEMI%K7
region = ignored-here

[ward]
aws_access_key_id = WARD
aws_secret_access_key = secret
aws_session_token = token==
"""
CONFIG = """
[default]
region = eu-west-1
s3 =
  addressing_style = path

[profile ward]
region = us-gov-east-1
endpoint_url = https://s3.ward
ca_bundle = /etc/ward.pem

[profile role]
role_arn = arn:aws:iam::1:role/x

[profile sso]
sso_session = x
"""


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment whose home has both files."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(SECRETS)
    (tmp_path / ".aws" / "config").write_text(CONFIG)
    return {"HOME": str(tmp_path)}


def test_without_anything_there_are_no_keys(tmp_path: Path) -> None:
    assert find_profile({"HOME": str(tmp_path)}) == Profile()


def test_the_default_profile_is_read(home: dict[str, str]) -> None:
    found = find_profile(home)

    assert found.keys == S3Keys("AK", "wJalr=XUtn/FEMI%K7")


def test_the_credentials_file_counts_more_than_the_config(home: dict[str, str]) -> None:
    assert find_profile(home).region == "ignored-here"


def test_a_profile_is_read_from_both_files(home: dict[str, str]) -> None:
    assert find_profile(home, "ward") == Profile(
        S3Keys("WARD", "secret", "token=="), "us-gov-east-1", "https://s3.ward", "/etc/ward.pem"
    )


def test_a_variable_can_name_the_profile(home: dict[str, str]) -> None:
    assert find_profile({**home, "AWS_PROFILE": "ward"}) == find_profile(home, "ward")


def test_variables_count_more_than_files(home: dict[str, str]) -> None:
    variables = {
        "AWS_ACCESS_KEY_ID": "I",
        "AWS_SECRET_ACCESS_KEY": "S",
        "AWS_SESSION_TOKEN": "T",
        "AWS_DEFAULT_REGION": "r-1",
        "AWS_ENDPOINT_URL": "https://e",
        "AWS_CA_BUNDLE": "/ca",
    }

    found = find_profile({**home, **variables})

    assert found == Profile(S3Keys("I", "S", "T"), "r-1", "https://e", "/ca")


def test_a_profile_that_is_asked_for_counts_more_than_variables(home: dict[str, str]) -> None:
    variables = {"AWS_ACCESS_KEY_ID": "I", "AWS_SECRET_ACCESS_KEY": "S"}

    assert find_profile({**home, **variables}, "ward").keys == S3Keys("WARD", "secret", "token==")


def test_a_profile_that_does_not_exist_is_reported(home: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="profile 'other' is not in"):
        find_profile(home, "other")


@pytest.mark.parametrize(("name", "key"), [("role", "role_arn"), ("sso", "sso_session")])
def test_a_profile_that_needs_more_than_a_file_is_refused(
    name: str, key: str, home: dict[str, str]
) -> None:
    with pytest.raises(ConfigurationError, match=key) as caught:
        find_profile(home, name)

    assert "export-credentials" in caught.value.hint


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_half_a_pair_of_keys_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="but no") as caught:
        find_profile({"HOME": str(tmp_path), name: "hidden"})

    assert "hidden" not in f"{caught.value} {caught.value.hint}"


def test_keys_lose_the_line_break_of_a_ci_secret(tmp_path: Path) -> None:
    variables = {
        "AWS_ACCESS_KEY_ID": "ID\n",
        "AWS_SECRET_ACCESS_KEY": " a secret key\r\n",
        "AWS_SESSION_TOKEN": "a session token\n",
    }

    keys = find_profile({"HOME": str(tmp_path), **variables}).keys

    assert keys == S3Keys("ID", "a secret key", "a session token")
    assert redact("a secret key, a session token") == "***, ***"


@pytest.mark.parametrize("part", ["hid\nden", "hid\x7fden", "hid\u2026den", "hid\tden"])
@pytest.mark.parametrize(
    "name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
)
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(
    name: str, part: str, tmp_path: Path
) -> None:
    variables = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", name: part}

    with pytest.raises(ConfigurationError, match="not printable ASCII") as caught:
        find_profile({"HOME": str(tmp_path), **variables})

    assert "hid" not in f"{caught.value} {caught.value.hint}"


def test_a_damaged_file_is_reported_and_not_shown(home: dict[str, str]) -> None:
    path = Path(home["HOME"], ".aws", "credentials")
    for content, number in (
        (b"[default\naws_secret_access_key hidden\n", 1),
        (b"[default]\n\naws_secret_access_key hidden\n", 3),
    ):
        path.write_bytes(content)
        with pytest.raises(
            ConfigurationError, match=f"line {number} is not NAME = VALUE"
        ) as caught:
            find_profile(home)
        assert "hidden" not in f"{caught.value}"
        assert caught.value.__suppress_context__


def test_a_file_in_utf_16_is_reported(home: dict[str, str]) -> None:
    Path(home["HOME"], ".aws", "config").write_text(CONFIG, encoding="utf-16")

    with pytest.raises(ConfigurationError, match="it is not UTF-8"):
        find_profile(home)


def write(home: dict[str, str], config: str = "", secrets: str = "") -> None:
    folder = Path(home["HOME"], ".aws")
    (folder / "config").write_text(config)
    (folder / "credentials").write_text(secrets)


KEYS_OF_A = "aws_access_key_id = A\naws_secret_access_key = B\n"


@pytest.mark.parametrize(
    "text",
    [
        f"[ward]\n{KEYS_OF_A}",
        f"\ufeff[ward]\n{KEYS_OF_A}".replace("\n", "\r\n"),
        f"# a comment\n; another\n[ward] # mine\n\n{KEYS_OF_A}# the end",
        "[ ward ]\naws_access_key_id=A # of anna\nAWS_SECRET_ACCESS_KEY =  B\t; secret\n",
        f"[other]\nx = 1\n[ward]\n{KEYS_OF_A}aws_session_token =\n",
        "[ward]\n  aws_access_key_id = A\n  aws_secret_access_key = B\n",
        f"[ward]\naws_access_key_id = C\n[ward]\n{KEYS_OF_A}",
    ],
)
def test_a_profile_may_be_written_in_many_ways(text: str, home: dict[str, str]) -> None:
    write(home, secrets=text)

    assert find_profile(home, "ward").keys == S3Keys("A", "B")


@pytest.mark.parametrize("title", ["[profile ward]", '[profile "ward"]', "[profile\tward]"])
def test_a_profile_of_the_config_file_has_the_word(title: str, home: dict[str, str]) -> None:
    write(home, config=f"{title}\n{KEYS_OF_A}s3 =\n  aws_access_key_id = no\nregion = r-1\n")

    assert find_profile(home, "ward") == Profile(S3Keys("A", "B"), "r-1")


def test_the_default_profile_may_have_the_word(home: dict[str, str]) -> None:
    write(home, config="[profile default]\nregion = r-1\n[default]\nregion = r-2\n")

    assert find_profile(home).region == "r-1"


@pytest.mark.parametrize(
    ("config", "secrets", "hint"),
    [
        ("[ward]\nregion = r-1\n", "", "Write [profile ward] instead of [ward] in "),
        ("", "[profile ward]\nregion = r-1\n", "Write [ward] instead of [profile ward] in "),
        ("[profile other]\n", "", "Check its name."),
    ],
)
def test_a_profile_with_a_wrong_title_is_named(
    config: str, secrets: str, hint: str, home: dict[str, str]
) -> None:
    write(home, config, secrets)

    with pytest.raises(ConfigurationError, match="profile 'ward' is not in") as caught:
        find_profile(home, "ward")

    assert caught.value.hint.startswith(hint)


def test_an_empty_value_hides_nothing(home: dict[str, str]) -> None:
    write(
        home, f"[profile ward]\n{KEYS_OF_A}region = r-1\n", "[ward]\naws_access_key_id =\nregion="
    )

    assert find_profile(home, "ward") == Profile(S3Keys("A", "B"), "r-1")


def test_keys_of_two_files_are_not_mixed(home: dict[str, str]) -> None:
    write(home, "[profile ward]\naws_session_token = old\n", f"[ward]\n{KEYS_OF_A}")

    assert find_profile(home, "ward").keys == S3Keys("A", "B")


def test_an_indented_key_is_named_and_not_shown(home: dict[str, str]) -> None:
    write(home, secrets="[ward]\naws_access_key_id = A\n  aws_secret_access_key = hidden\n")

    with pytest.raises(ConfigurationError, match="below aws_access_key_id is indented") as caught:
        find_profile(home, "ward")

    assert "hidden" not in f"{caught.value} {caught.value.hint}"


def test_the_endpoint_of_a_service_counts_more(home: dict[str, str]) -> None:
    write(
        home,
        "[profile ward]\nservices = own\nendpoint_url = https://all\n"
        "[services own]\nec2 =\n  endpoint_url = https://ec2\n"
        "s3 =\n  endpoint_url = https://s3.ward # near\n",
    )

    assert find_profile(home, "ward").endpoint == "https://s3.ward"


@pytest.mark.parametrize(
    "setting",
    [
        "role_arn = arn:x\nsource_profile = base",
        "web_identity_token_file = /token",
        "sso_session = s",
        "sso_start_url = https://s",
    ],
)
def test_keys_beside_what_counts_more_are_not_used(setting: str, home: dict[str, str]) -> None:
    """Amazon's tools would be another user than airgap."""
    write(home, f"[profile ward]\n{setting}\n", f"[ward]\n{KEYS_OF_A}")

    with pytest.raises(ConfigurationError, match="does not support") as caught:
        find_profile(home, "ward")

    assert "export-credentials --format env --profile ward" in caught.value.hint


@pytest.mark.parametrize("setting", ["credential_process", "source_profile", "credential_source"])
def test_keys_count_more_than_what_brings_keys(setting: str, home: dict[str, str]) -> None:
    write(home, f"[profile ward]\n{setting} = x\n", f"[ward]\n{KEYS_OF_A}")
    assert find_profile(home, "ward").keys == S3Keys("A", "B")

    write(home, f"[profile ward]\n{setting} = x\n")
    with pytest.raises(ConfigurationError, match=f"uses {setting}, which airgap does not"):
        find_profile(home, "ward")


def test_variables_help_where_a_profile_does_not(home: dict[str, str]) -> None:
    """They are what the hint says to set, while ``AWS_PROFILE`` is still there."""
    variables = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B", "AWS_PROFILE": "sso"}

    assert find_profile({**home, **variables}).keys == S3Keys("A", "B")


@pytest.mark.parametrize(
    "parts",
    [
        ("id\n", "hidden"),
        ("id", " hidden"),
        ("id", "hidden", "to\nken"),
        ("", "hidden"),
        ("id", ""),
        ("id", "hidden\u00e9"),
    ],
)
def test_keys_that_no_request_can_hold_cannot_be_made(parts: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match="for S3") as caught:
        S3Keys(*parts)

    assert "hidden" not in f"{caught.value} {caught.value.hint}"


def test_keys_are_read_from_a_file_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(SECRETS)
    path.chmod(0o600)

    assert read_keys(path) == S3Keys("AK", "wJalr=XUtn/FEMI%K7")
    assert read_keys(path, "ward").token == "token=="  # noqa: S105  (of the test)


def test_a_file_without_keys_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("[default]\nregion = x\n")
    path.chmod(0o600)

    with pytest.raises(ConfigurationError, match=r"no keys in section \[default\]"):
        read_keys(path)


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(SECRETS)
    path.chmod(0o640)

    with pytest.raises(ConfigurationError, match="Other users"):
        read_keys(path)


def test_a_file_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_keys(tmp_path / "nothing")


def test_keys_show_nothing() -> None:
    assert repr(S3Keys("id", "hidden", "token")) == "S3Keys()"


def test_the_files_of_aws_may_be_named_with_variables(
    home: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(home["HOME"], ".aws")
    monkeypatch.setenv("HOME", home["HOME"])
    monkeypatch.setenv("DISK", str(folder))
    plain = find_profile(home, "ward")

    moved = {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "$DISK/credentials"}

    assert find_profile({**moved, "HOME": "/nowhere"}, "ward") == plain
