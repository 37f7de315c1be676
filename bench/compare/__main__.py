"""airgap against the tools people use instead, on the same work in the same run.

python bench/compare FOLDER CORPUS [--rounds 3] [--slow]

FOLDER needs room for twelve times the corpus, must not exist, and is removed at the end. CORPUS
holds ``v1``, ``v2``, ``v3`` and its scale (see README.md). Rounds are interleaved: every tool runs
once, then every tool again. Each figure is a median over the rounds, each ratio one of ratios
within a round.
"""

import argparse
import os
import shutil
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import results
from measure import Row, Took, run, size_of
from plot import draw
from settle import Ballast
from tools import SLOW, TOOLS, Tool, folder_of, new_bytes
from weights import sizes_of_weights

CREATED = "2026-01-02T03:04:05+00:00"
BARS = (
    ("export", "tar | zstd -1", 0.75),
    ("export", "bentoml tar", 0.7),
    ("export", "restic", 0.35),
    ("export", "borg zstd,3", 0.35),
    ("import", "tar | zstd -1", 1.0),
    ("import", "bentoml tar", 0.7),
    ("import", "restic", 0.7),
    ("import", "borg zstd,3", 0.7),
    ("verify", "model_signing", 1.3),
    ("export v2", "restic", 0.5),
    ("export v2", "borg zstd,3", 0.5),
)
"""What airgap's time may be, divided by a peer's."""
MOST_MB = (("export v2", 85), ("export v3", 400))
"""What a new version may take, times the scale."""
MOST_SHARE = 0.735
MOST_GZ = 0.03


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slow", action="store_true", help="also tools that take minutes")
    asked = parser.parse_args()
    top = asked.folder.absolute()
    top.mkdir(parents=True)
    scale = scale_of(asked.corpus)
    try:
        found = compare(top, asked.corpus.absolute(), scale, asked.rounds, slow=asked.slow)
    finally:
        shutil.rmtree(top)
    path = results.write("compare", scale, found)
    draw(found, path.with_suffix(".svg"))
    print(f"\n{path}, {path.with_suffix('.svg')}")


def scale_of(corpus: Path) -> float:
    """Return the scale that a corpus was made with."""
    return float((corpus / "scale").read_text())


@dataclass(frozen=True)
class Setting:
    """Where tools run: the folder, what scripts name, and their environment."""

    top: Path
    names: Mapping[str, str]
    environment: Mapping[str, str]
    ballast: Ballast


def compare(top: Path, corpus: Path, scale: float, rounds: int, *, slow: bool) -> dict[str, object]:
    """Run everything; print tables; return what was found."""
    setting = prepare(top, corpus)
    names, environment = setting.names, setting.environment
    plain = size_of([Path(names["v1"])])
    found = results.head(scale, rounds)
    print(
        f"{plain / 1e6:.0f} MB (scale {scale:g}), {found['machine']}, load {found['load_before']}"
    )
    rows = interleaved(setting, TOOLS, rounds)
    show(rows, plain)
    bars = [*judge(rows), *judge_sizes(rows, plain, scale)]
    found |= {
        "plain_bytes": plain,
        "rows": [row.as_map(plain) for row in rows],
        "bars": bars,
        "weights": sizes_of_weights(top / "weights", environment, names),
    }
    if slow:
        few = interleaved(setting, SLOW, 1)
        small = size_of([Path(names["small"])])
        show(few, small)
        times = {row.tool: row for row in few}
        bars.append(
            judged("export", "bentoml gz", times["airgap"].ratio(times["bentoml gz"]), MOST_GZ)
        )
        found["slow"] = {"plain_bytes": small, "rows": [row.as_map(small) for row in few]}
    return found


def prepare(top: Path, corpus: Path) -> Setting:
    """Make the store, a site and its keys."""
    store = top / "store"
    environment = {
        **os.environ,
        "BENTOML_HOME": str(store),
        "AIRGAP_HOME": str(top / "home"),
        "BENTOML_DO_NOT_TRACK": "True",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        "BORG_BASE_DIR": str(top / "borg"),
    }
    names = {version: str(add(store, corpus / version, version)) for version in ("v1", "v2", "v3")}
    names["small"] = str(add(store, corpus / "v1", "v1", name="small", parts=("fp16", "src")))
    names |= {"python": sys.executable, "key": str(top / "builder.key")}
    names |= {
        "pub": str(top / "builder.pub"),
        "pem": str(top / "builder.pem"),
        "site": str(top / "site"),
    }
    airgap = f"{sys.executable} -m airgap"
    script = f"""
    {airgap} key generate root --dir . --no-passphrase -q
    openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out builder.pem
    chmod 600 builder.pem && cp builder.pem builder.key
    openssl pkey -in builder.pem -pubout -out builder.pub
    {airgap} root create --site bench --root-key root.key --builder builder.pub -o root.msgpack -q
    export AIRGAP_HOME={names["site"]}
    {airgap} trust init root.msgpack --fingerprint SHA256:$(openssl sha256 -r root.msgpack | cut -d' ' -f1)
    """  # noqa: E501
    run(script, environment, top)
    return Setting(top, names, environment, Ballast(top / "ballast"))


def add(
    store: Path, source: Path, version: str, name: str = "corpus", parts: Sequence[str] = ()
) -> Path:
    """Put a model into the store; its files are links to the corpus where that is possible."""
    folder = store / "models" / name / version
    for part in parts or [one.name for one in source.iterdir()]:
        same_disk = source.stat().st_dev == store.parent.stat().st_dev
        link = os.link if same_disk else shutil.copy2
        target = folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (source / part).is_dir():
            shutil.copytree(source / part, target, copy_function=link)
        else:
            link(source / part, target)
    (folder / "model.yaml").write_text(
        f"name: {name}\nversion: {version}\nmodule: ''\ncreation_time: '{CREATED}'\n"
        "labels: {}\noptions: {}\nmetadata: {}\napi_version: v1\nsignatures: {}\n"
        "context: {framework_name: '', framework_versions: {}, bentoml_version: 1.4.0,"
        " python_version: 3.11.0}\n"
    )
    return folder


def interleaved(setting: Setting, tools: Sequence[Tool], rounds: int) -> list[Row]:
    """Run every step of every tool, round after round."""
    top, names, environment = setting.top, setting.names, setting.environment
    took: dict[tuple[str, str], list[Took]] = defaultdict(list)
    stored: dict[tuple[str, str], int] = {}
    here = [tool for tool in tools if tool.is_here(environment["PATH"])]
    for name in {tool.name for tool in tools} - {tool.name for tool in here}:
        print(f"not installed, left out: {name}")
    for number in range(rounds):
        for tool in here:
            folder = top / f"round-{number}" / folder_of(tool)
            folder.mkdir(parents=True)
            if tool.prepare:
                run(tool.prepare.format(**names), environment, folder)
            for step, script in tool.steps.items():
                made = folder / new_bytes(tool, step)
                before = size_of([made]) if step in tool.new else 0
                setting.ballast.settle()
                took[tool.name, step].append(run(script.format(**names), environment, folder))
                if step.startswith("export"):
                    stored[tool.name, step] = size_of([made]) - before
            (folder / "x").exists() and shutil.rmtree(folder / "x")
        if number:  # not at once: ext4 is slow to give out what was just freed
            shutil.rmtree(top / f"round-{number - 1}")
    return [Row(*key, tuple(all_of), stored.get(key)) for key, all_of in took.items()]


def show(rows: Sequence[Row], plain: int) -> None:
    """Print one table."""
    base = {row.step: row for row in rows if row.tool == "cp -r"}
    print(
        f"\n{'tool':<14} {'step':<10} {'wall s':>7} {'/ cp':>6} {'CPU s/GB':>9} {'peak MB':>8}"
        f" {'MB':>7} {'%':>6}"
    )
    for row in rows:
        cp = base.get(row.step.split()[0])
        peak = max(one.peak_mb for one in row.took)
        sized = "" if row.stored is None else f"{row.stored / 1e6:>7.1f} {row.stored / plain:>6.1%}"
        ratio = f"{row.ratio(cp):>6.2f}" if cp else " " * 6
        print(
            f"{row.tool:<14} {row.step:<10} {row.wall:>7.2f} {ratio} {row.cpu / plain * 1e9:>9.2f}"
            f" {peak:>8.0f} {sized}"
        )


def judge(rows: Sequence[Row]) -> list[dict[str, object]]:
    """Compare the ratios of times with what they ought to be."""
    known = {(row.tool, row.step): row for row in rows}
    print()
    return [
        judged(step, peer, known["airgap", step].ratio(known[peer, step]), bar)
        for step, peer, bar in BARS
        if (peer, step) in known
    ]


def judge_sizes(rows: Sequence[Row], plain: int, scale: float) -> list[dict[str, object]]:
    """Compare sizes with what they ought to be."""
    stored = {row.step: row.stored or 0 for row in rows if row.tool == "airgap"}
    share = judged("size", "the corpus", stored["export"] / plain, MOST_SHARE)
    return [
        share,
        *(judged(step, "MB", stored[step] / 1e6, most * scale) for step, most in MOST_MB),
    ]


def judged(step: str, peer: str, figure: float, bar: float) -> dict[str, object]:
    """Print one line."""
    verdict = "ok" if figure <= bar else "MISSED"
    print(f"{step:<10} airgap / {peer:<14} {figure:>7.3f}  (bar {bar})  {verdict}")
    return {"step": step, "peer": peer, "figure": round(figure, 3), "bar": bar}


if __name__ == "__main__":
    main()
