"""The file of known hosts, read as OpenSSH writes it; ssh-keygen is the oracle for hashed names."""

import base64
import os
import subprocess
from pathlib import Path

import pytest

from airgap.errors import ConfigurationError, StorageError, TransportError
from airgap.transport.sftp import known_hosts
from airgap.transport.sftp.known_hosts import KnownHost, fingerprint

KIND = "ssh-ed25519"


def blob(number: int) -> bytes:
    return b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes([number]) * 32


def line(names: str, number: int = 1) -> str:
    return f"{names} {KIND} {base64.b64encode(blob(number)).decode()}\n"


def known(tmp_path: Path, text: str, host: str = "host.example", port: int = 22) -> KnownHost:
    (tmp_path / "known").write_text(text)
    return known_hosts.look_up(host, port, [tmp_path / "known"], required=True)


def accepts(found: KnownHost, number: int = 1) -> bool:
    try:
        found.check(KIND, blob(number))
    except TransportError:
        return False
    return True


@pytest.mark.parametrize(
    "names",
    [
        "host.example",
        "other,host.example",
        "*.example",
        "h?st.example",
        "*",
        "HOST.example",
        "*,!other.example",
    ],
)
def test_a_key_is_known_by_the_names_of_its_line(names: str, tmp_path: Path) -> None:
    assert accepts(known(tmp_path, line(names)))


@pytest.mark.parametrize(
    "names",
    [
        "host.example.org",
        "host",
        "hostXexample",
        "h??st.example",
        "!host.example",
        "*,!host.example",
        "!*.example,host.example",
        "[host.example]:2222",
        "# host.example",
        "[a-z]ost.example",
    ],
)
def test_a_key_of_other_names_is_not_known(names: str, tmp_path: Path) -> None:
    assert not accepts(known(tmp_path, line(names)))


def test_a_port_has_keys_of_its_own(tmp_path: Path) -> None:
    text = line("host.example", 1) + line("[host.example]:2222", 2)

    assert accepts(known(tmp_path, text, port=2222), 2)
    assert not accepts(known(tmp_path, text, port=2222), 1)
    assert not accepts(known(tmp_path, text), 2)


def test_a_port_without_keys_of_its_own_has_those_of_the_host(tmp_path: Path) -> None:
    assert accepts(known(tmp_path, line("host.example"), port=2222))


@pytest.mark.parametrize(("name", "port"), [("host.example", 22), ("[host.example]:2222", 2222)])
def test_hashed_names_are_those_of_openssh(name: str, port: int, tmp_path: Path) -> None:
    file = tmp_path / "known"
    file.write_text(line("a.example", 2) + line(name, 1))
    subprocess.run(
        ["ssh-keygen", "-q", "-H", "-f", file], check=True, capture_output=True, timeout=120
    )
    assert "example" not in file.read_text()

    found = known_hosts.look_up("host.example", port, [file], required=True)

    assert accepts(found, 1)
    assert not accepts(found, 2)


def test_fingerprints_are_those_of_openssh(tmp_path: Path) -> None:
    (tmp_path / "known").write_text(line("host.example"))
    listed = subprocess.run(
        ["ssh-keygen", "-l", "-f", tmp_path / "known"],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert fingerprint(blob(1)) in listed.stdout


def test_one_of_several_keys_will_do(tmp_path: Path) -> None:
    found = known(tmp_path, line("host.example", 1) + line("*.example", 2))

    assert accepts(found, 1)
    assert accepts(found, 2)
    assert found.kinds == [KIND, KIND]


@pytest.mark.parametrize("names", ["host.example", "*"])
def test_a_revoked_key_is_refused_wherever_it_is_known(names: str, tmp_path: Path) -> None:
    found = known(tmp_path, line("host.example") + f"@revoked {line(names)}")

    with pytest.raises(TransportError, match=r"revoked .*line 2"):
        found.check(KIND, blob(1))


def test_a_key_that_another_host_lost_is_not_revoked_here(tmp_path: Path) -> None:
    assert accepts(known(tmp_path, line("host.example") + f"@revoked {line('other')}"))


def test_a_changed_key_is_reported_with_both_fingerprints_and_its_line(tmp_path: Path) -> None:
    found = known(tmp_path, "\n" + line("host.example", 1))

    with pytest.raises(TransportError) as caught:
        found.check(KIND, blob(2))
    for part in (fingerprint(blob(1)), fingerprint(blob(2)), f"{tmp_path}/known line 2"):
        assert part in caught.value.message
    assert "administrator" in caught.value.hint


def test_the_line_of_an_unknown_key_makes_it_known(tmp_path: Path) -> None:
    with pytest.raises(TransportError) as caught:
        known(tmp_path, "", port=2222).check(KIND, blob(1))

    assert accepts(known(tmp_path, caught.value.details[0], port=2222))


@pytest.mark.parametrize(
    "text",
    [
        "@revoked",
        "@revoked host.example",
        "host.example",
        "host.example ssh-ed25519",
        "host.example ssh-ed25519 !!!!",
        f"host.example ssh-rsa {base64.b64encode(blob(1)).decode()}",
        f"@trusted {line('host.example')}",
        "host.example 1024 35 123456789",
        f"|1|not base64|x {KIND} AAAA",
        f"|1|AAAA {KIND} AAAA",
    ],
)
def test_a_line_that_cannot_be_honoured_is_not_passed_over(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="line 2") as caught:
        known(tmp_path, line("host.example") + text)
    assert caught.value.hint


def test_a_damaged_line_of_another_host_does_no_harm(tmp_path: Path) -> None:
    assert accepts(known(tmp_path, f"other nonsense\n{line('host.example')}"))


def test_only_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(ConfigurationError, match="missing"):
        known_hosts.look_up("host.example", 22, [missing], required=True)

    assert known_hosts.look_up("host.example", 22, [missing], required=False).lines == ()


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        known_hosts.look_up("host.example", 22, [tmp_path], required=True)


def test_a_file_without_end_is_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(known_hosts, "_LARGEST_FILE", 10)
    with pytest.raises(ConfigurationError, match="more than 10 bytes"):
        known(tmp_path, line("host.example"))


def test_all_lines_of_a_pipe_count() -> None:
    reader, writer = os.pipe2(os.O_DIRECT)  # each read returns what one write wrote
    for number in (1, 2):
        os.write(writer, line("host.example", number).encode())
    os.close(writer)

    found = known_hosts.look_up("host.example", 22, [Path(f"/dev/fd/{reader}")], required=True)

    os.close(reader)
    assert accepts(found, 2)


def test_all_files_count(tmp_path: Path) -> None:
    (tmp_path / "one").write_text(line("host.example", 1))
    (tmp_path / "two").write_text(f"@revoked {line('*', 1)}{line('host.example', 2)}")
    files = [tmp_path / "one", tmp_path / "two"]

    found = known_hosts.look_up("host.example", 22, files, required=False)

    assert not accepts(found, 1)
    assert accepts(found, 2)
