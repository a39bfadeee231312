"""How much faster: each cell of the notebook that takes time, its way and the pipeline's.

``python -m benchmarks --full`` takes an hour or two, and writes ``benchmarks/full.md``.
``--stages`` times the pipeline alone, in a few minutes, and prints it; ``LOKY_MAX_CPU_COUNT``
limits the cores. Needs what ``dvc repro`` makes, and changes none of it.

The notebook's way is scikit-learn with the arguments that the notebook gives it, on float64, in
this process. The pipeline's way is the command of each stage, imports, reading and writing
included.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, NamedTuple

from dvc.repo import Repo
from joblib import cpu_count
from networkx import topological_sort

from benchmarks.warm import ENVIRONMENT, ROOT, machine

# Their images are copied.
NOT_TIMED = {"fetch", "check_data", "split"}


class Taken(NamedTuple):
    """What a process has taken."""

    seconds: float
    cpu_seconds: float
    megabytes: float


def run(command: list[str], folder: Path) -> Taken:
    """Run a stage in ``folder``.

    Raises:
        CalledProcessError: It fails.
    """
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), command)
    # Linux counts kB, macOS bytes.
    megabytes = usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return Taken(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, megabytes)


def run_stages() -> dict[str, Taken]:
    """All stages, in their order, in a folder where the first ones have run."""
    with Repo(str(ROOT)) as repo:
        # Its edges lead from a stage to those that it depends on.
        in_order = list(topological_sort(repo.index.graph))[::-1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for tree in ("stages", ".dvc/plots", "data/train", "data/test"):
            shutil.copytree(ROOT / tree, folder / tree)
        for file in ("params.yaml", "data/classes.json", "data/metrics/data.json"):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, folder / file)
        timed = [stage for stage in in_order if stage.name not in NOT_TIMED]
        return {stage.name: run(stage.cmd.split(), folder) for stage in timed}


def main(stages_alone: bool) -> None:
    """Measure, and print or write the tables."""
    # First: a process starts with the most memory that the one before it has had.
    stages = run_stages()
    ours = sum(taken.seconds for taken in stages.values())
    of_stages = ["| stage | time | CPU time | cores busy | memory |", "|---|---:|---:|---:|---:|"]
    for name, (seconds, cpu, megabytes) in sorted(stages.items(), key=lambda item: -item[1][0]):
        busy, memory = f"{cpu / seconds:.2f}", f"{megabytes:.0f} MB"
        of_stages.append(f"| `{name}` | {seconds:.1f} s | {cpu:.1f} s | {busy} | {memory} |")
    print(f"{ours:.0f} s in all, {cpu_count()} cores", *of_stages, sep="\n", flush=True)
    if stages_alone:
        return
    text = (ROOT / "benchmarks" / "notebook.py").read_text()
    start, *parts = re.split(r"^# ((?:In|Exercise) .+|= .+)$", text, flags=re.M)
    names: dict[str, Any] = {}
    os.chdir(ROOT)
    exec(start, names)
    others = " ".join(name for name in stages if name not in text.split())
    rows, group, theirs = [], 0.0, 0.0
    for heading, code in [*zip(parts[::2], parts[1::2], strict=True), (f"= {others}", "")]:
        begin = time.perf_counter()
        exec(code, names)
        seconds = time.perf_counter() - begin
        if heading.startswith("= "):
            answers = heading.split()[1:]
            answered = ", ".join(f"`{name}`" for name in answers)
            took = sum(stages[name].seconds for name in answers)
            times = f"{group / took:.1f} ×" if group else "not in the notebook"
            rows.append(f"| | {answered} | | {took:.1f} s | {times} |")
            group = 0.0
        else:
            rows.append(f"| {heading} | {seconds:.1f} s | | |")
            group, theirs = group + seconds, theirs + seconds
        print(rows[-1], flush=True)
    lines = [
        "# The notebook's way and this pipeline's",
        "",
        f"{len(names['X']):,} + {len(names['X_test']):,} images, {machine()}",
        "",
        "| cell | | notebook | pipeline | |",
        "|---|---|---:|---:|---:|",
        *rows,
        f"| | all | {theirs:.0f} s | {ours:.0f} s | **{theirs / ours:.1f} ×** |",
        "",
        *of_stages,
    ]
    written = "\n".join(lines) + "\n"
    (ROOT / "benchmarks" / "full.md").write_text(written, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    parser = ArgumentParser("python -m benchmarks", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--full", action="store_true", help="the notebook's cells and the stages")
    what.add_argument("--stages", action="store_true", help="the stages alone")
    main(parser.parse_args().stages)
