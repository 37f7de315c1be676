"""Archives like those of python-build-standalone, which hold as little as a test needs."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

LINK = "link:"
ELF_X86_64 = b"\x7fELF\x02\x01\x01" + bytes(11) + b"\x3e\x00" + bytes(100)
ELF_AARCH64 = ELF_X86_64[:18] + b"\xb7\x00" + bytes(100)
PLAIN: Mapping[str, bytes | str] = {
    "python/bin/python3.12": ELF_X86_64,
    "python/bin/python3": f"{LINK}python3.12",
    "python/lib/python3.12/os.py": b"'ftp://joe:hidden-word@host/'\n",
    "python/share/terminfo/N/x": b"1",
    "python/share/terminfo/n/x": b"2",
}


def archive(path: Path, members: Mapping[str, bytes | str]) -> Path:
    """Write a .tar.gz; a member that begins with ``link:`` is a link, and programs are in bin/."""
    with tarfile.open(path, "w:gz") as opened:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.mtime = 1_700_000_000
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content.removeprefix(LINK)
                opened.addfile(member)
                continue
            member.mode = 0o755 if "/bin/" in name else 0o644
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
    return path
