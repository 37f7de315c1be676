"""The commands of docs/keep-an-archive.md, run as they stand; only ids and folders differ."""

import re
import shlex
from pathlib import Path

from tests.support import sides
from tests.support.archive_site import POLICY, make_archive_site

PAGE = sides.REPOSITORY / "docs" / "keep-an-archive.md"


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_the_commands_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    site = make_archive_site(tmp_path, approvers=1)
    depot = site.export("v1")
    (folder,) = (depot / "bundles").iterdir()
    names = {
        "/media/usb/depot": str(depot),
        "/srv/archive": str(site.archive),
        "archive.toml": str(site.policy),
        "recorder.key": str(site.key("ray")),
        "approver.key": str(site.key("dan")),
        "#ID": f"#{folder.name}",
    }
    assert _blocks("toml") == [POLICY]
    printed = []
    for line in "".join(_blocks("sh archive")).splitlines():
        placeholders = re.compile("|".join(map(re.escape, names)))
        command = placeholders.sub(lambda match: names[match[0]], line)
        ran = site.side.run(*shlex.split(command)[1:])
        assert ran.code == 0, f"{command}\n{ran.err}"
        printed.append(ran.out)
        held = re.search(r"hold ([0-9a-f]{64})", ran.out)
        if held:
            names["HOLD"] = held[1]
    assert "lifted" in printed[-1]
    assert site.show(folder.name)["holds"] == []
