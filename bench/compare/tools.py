"""The tools that are compared: how each packs a folder, and unpacks it on the other side.

A script runs in the folder of its round. ``{v1}``, ``{v2}``, ``{v3}`` are the versions of the
corpus, ``{key}`` and ``{pub}`` an ECDSA key of airgap, ``{python}`` this interpreter. Whatever a
tool writes is synced by the tool or by its script, on both sides: a bundle that is not on the disk
was not exported. airgap reads everything again (``--reread``): the second time has its own bench.
"""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

AIRGAP = "{python} -m airgap"


@dataclass(frozen=True)
class Tool:
    """How a tool is driven. Steps run in their order; ``output`` is what ``export`` has made."""

    name: str
    program: str
    output: str
    steps: dict[str, str]
    prepare: str = ""
    """Runs before each round, and is not counted."""
    new: dict[str, str] = field(default_factory=dict)
    """What a step added to: its size before is taken off."""

    def is_here(self, path: str) -> bool:
        """Tell whether its program is on a search path."""
        return self.program == "airgap" or shutil.which(self.program, path=path) is not None


def tar(compressor: str) -> dict[str, str]:
    """Return the steps of a pipe through tar and zstd."""
    return {
        "export": f"tar -C {{v1}} -cf - . | {compressor} > t.tar && sync t.tar",
        "import": "mkdir x && zstd -q -dcf t.tar | tar -C x -xf - && sync -f x",
    }


RESTIC = "RESTIC_PASSWORD=x restic -q --no-cache -r repo"
BORG = "borg --lock-wait 5"

TOOLS = (
    Tool(
        "cp -r",
        "cp",
        "c",
        {"export": "cp -r {v1} c && sync -f c", "import": "cp -r c x && sync -f x"},
    ),
    Tool(
        "airgap",
        "airgap",
        "bundle",
        {
            "export": f"{AIRGAP} export --model corpus:v1 -o bundle --key {{key}} -q --reread",
            "verify": f"AIRGAP_HOME={{site}} {AIRGAP} verify bundle -q",
            "import": f"BENTOML_HOME=$PWD/x AIRGAP_HOME=$PWD/site {AIRGAP} import bundle -q",
            "export v2": (
                f"{AIRGAP} export --model corpus:v2 -o two --base bundle --key {{key}} -q --reread"
            ),
            "export v3": (
                f"{AIRGAP} export --model corpus:v3 -o three --base bundle --key {{key}} -q"
                " --reread"
            ),
            "import v3": f"BENTOML_HOME=$PWD/x AIRGAP_HOME=$PWD/site {AIRGAP} import three -q",
        },
        prepare="cp -r {site} site",
    ),
    Tool(
        "tar",
        "tar",
        "t.tar",
        {
            "export": "tar -C {v1} -cf t.tar . && sync t.tar",
            "import": "mkdir x && tar -C x -xf t.tar && sync -f x",
        },
    ),
    Tool("tar | zstd -1", "zstd", "t.tar", tar("zstd -q -1 -T0 -c")),
    Tool(
        "bentoml tar",
        "bentoml",
        "out.tar",
        {
            "export": "bentoml models export corpus:v1 $PWD/out.tar && sync out.tar",
            "import": "BENTOML_HOME=$PWD/x bentoml models import $PWD/out.tar && sync -f x",
        },
    ),
    Tool(
        "restic",
        "restic",
        "repo",
        {
            "export": f"{RESTIC} backup {{v1}} && sync -f repo",
            "import": f"{RESTIC} restore latest --target x && sync -f x",
            "export v2": f"{RESTIC} backup {{v2}} && sync -f repo",
            "export v3": f"{RESTIC} backup {{v3}} && sync -f repo",
        },
        prepare=f"{RESTIC} init",
        new={"export v2": "repo", "export v3": "repo"},
    ),
    Tool(
        "borg zstd,3",
        "borg",
        "repo",
        {
            "export": f"cd {{v1}} && {BORG} create -C zstd,3 $OLDPWD/repo::v1 . && sync -f $OLDPWD",
            "import": f"mkdir x && cd x && {BORG} extract ../repo::v1 && sync -f .",
            "export v2": (
                f"cd {{v2}} && {BORG} create -C zstd,3 $OLDPWD/repo::v2 . && sync -f $OLDPWD"
            ),
            "export v3": (
                f"cd {{v3}} && {BORG} create -C zstd,3 $OLDPWD/repo::v3 . && sync -f $OLDPWD"
            ),
        },
        prepare=f"{BORG} init -e none repo",
        new={"export v2": "repo", "export v3": "repo"},
    ),
    Tool(
        "casync",
        "casync",
        "store.castr",
        {
            "export": "casync make --store=store.castr one.caidx {v1} > /dev/null && sync -f .",
            "import": "casync extract --store=store.castr one.caidx x && sync -f x",
            "export v2": "casync make --store=store.castr two.caidx {v2} > /dev/null && sync -f .",
            "export v3": "casync make --store=store.castr 3.caidx {v3} > /dev/null && sync -f .",
        },
        new={"export v2": "store.castr", "export v3": "store.castr"},
    ),
    Tool(
        "model_signing",
        "model_signing",
        "model.sig",
        {
            "export": "model_signing sign key --private_key {pem} --signature model.sig {v1}",
            "verify": "model_signing verify key --public_key {pub} --signature model.sig {v1}",
        },
    ),
)
"""In the order in which a round runs them."""

SLOW = (
    Tool(
        "bentoml gz",
        "bentoml",
        "out.tar.gz",
        {"export": "bentoml models export small:v1 $PWD/out.tar.gz && sync out.tar.gz"},
    ),
    Tool(
        "bentoml xz",
        "bentoml",
        "out.bentomodel",
        {"export": "bentoml models export small:v1 $PWD/out.bentomodel && sync out.bentomodel"},
    ),
    Tool(
        "airgap",
        "airgap",
        "bundle",
        {"export": f"{AIRGAP} export --model small:v1 -o bundle --key {{key}} -q --reread"},
    ),
)
"""Tools that take minutes: they run on a part of the corpus, with airgap on the same part."""


def new_bytes(tool: Tool, step: str) -> str:
    """Name what holds what a step has added."""
    outputs = {"export v2": "two", "export v3": "three"}
    return tool.new.get(step) or outputs.get(step, tool.output)


def folder_of(tool: Tool) -> Path:
    """Name the folder of a tool's round."""
    return Path("".join(one if one.isalnum() else "-" for one in tool.name))
