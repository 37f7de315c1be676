"""The file system of a folder is found, however it is mounted."""

from pathlib import Path

import pytest

from airgap.disk import mounts, space
from airgap.disk.mounts import find_mount, parse_mounts
from tests.support import mounts as real_mounts

TABLE = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
40 27 8:17 / /media/usb\040stick rw,nosuid shared:12 - exfat /dev/sdb1 rw,uid=1000
41 27 0:44 /@home /home rw shared:1 master:2 - btrfs /dev/mapper/pool rw,subvol=/@home
42 27 0:44 /@srv /srv rw - btrfs /dev/mapper/pool rw,subvol=/@srv
43 27 0:50 / /mnt/share rw - nfs4 server:/export/a\040b rw,vers=4.2
44 27 254:0 /srv/data /data rw - ext4 /dev/vda rw
45 27 0:51 / /remote rw - fuse.sshfs me@host: rw,user_id=0
46 27 0:52 / /over rw - overlay overlay rw,lowerdir=/a,upperdir=/b
47 27 0:53 / /odd\134name\012x rw - tmpfs tmp\011fs rw
48 27 0:54 / /media rw - tmpfs tmpfs rw
this line - is cut
x 27 0:55 / /bad rw - ext4 /dev/x rw
"""


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc/self of this test, without numbers of mounts."""
    folder = tmp_path / "proc"
    folder.mkdir()
    monkeypatch.setattr(mounts, "_SELF", folder)
    return folder


def test_the_table_is_read_with_its_escapes() -> None:
    found = {mount.folder: mount for mount in parse_mounts(TABLE)}

    assert found["/media/usb stick"] == mounts.Mount(
        40, "8:17", "/media/usb stick", "exfat", "/dev/sdb1"
    )
    assert found["/mnt/share"].source == "server:/export/a b"
    assert found["/odd\\name\nx"].source == "tmp\tfs"
    assert found["/home"].device == found["/srv"].device
    assert found["/data"].device == found["/"].device
    assert "/bad" not in found
    assert len(found) == 11


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("/media/usb stick", "/dev/sdb1"),
        ("/media/usb stick/a/depot", "/dev/sdb1"),
        ("/media/usb stickers", "tmpfs"),
        ("/remote/x", "me@host:"),
        ("/over", "overlay"),
        ("/etc", "/dev/vda"),
    ],
)
def test_without_a_number_the_longest_mount_point_counts(path: str, source: str) -> None:
    mount = mounts._find_by_path(parse_mounts(TABLE), path)

    assert mount is not None
    assert mount.source == source


def test_of_two_mounts_on_one_folder_the_last_counts() -> None:
    table = "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / / rw - ext4 /dev/b rw\n"
    mount = mounts._find_by_path(parse_mounts(table), "/x")

    assert mount is not None
    assert mount.source == "/dev/b"


def test_a_path_with_bytes_that_are_not_text_is_found(proc: Path) -> None:
    (proc / "mountinfo").write_bytes(b"7 1 8:1 / / rw - ext4 /dev/\xff rw\n")
    mount = find_mount(proc)

    assert mount is not None
    assert mount.source == "/dev/\udcff"


def test_the_number_of_the_mount_decides(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (proc / "mountinfo").write_text(TABLE)
    monkeypatch.setattr(mounts, "_read_number", lambda _: 42)
    mount = find_mount(Path("/"))

    assert mount is not None
    assert mount.folder == "/srv"


def test_a_system_without_the_table_does_not_say(proc: Path) -> None:
    assert find_mount(proc) is None
    assert space.has_holes(proc)


def test_files_have_no_holes_on_some_file_systems(proc: Path) -> None:
    for name, expected in (("exfat", False), ("fuse.sshfs", False), ("ext4", True)):
        (proc / "mountinfo").write_text(f"7 1 8:1 / / rw - {name} /dev/x rw\n")
        assert space.has_holes(proc) is expected


def test_a_mount_that_hides_another_is_the_one(tmp_path: Path) -> None:
    inner = tmp_path / "media" / "usb"
    inner.mkdir(parents=True)
    with real_mounts.tmpfs(inner, 1024 * 1024):
        (tmp_path / "media" / "below").mkdir()
        with real_mounts.tmpfs(tmp_path / "media", 1024 * 1024):
            inner.mkdir()
            mount = find_mount(inner)
            assert mount is not None
            assert (mount.folder, mount.type) == (str(tmp_path / "media"), "tmpfs")
