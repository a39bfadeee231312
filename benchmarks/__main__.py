"""How much faster: each cell of the notebook that takes time, its way and the pipeline's.

``python -m benchmarks`` times the pipeline alone, in a few minutes, and prints it;
``LOKY_MAX_CPU_COUNT`` limits the cores. With ``--full`` it times the notebook, too, in an hour or
two, and writes ``benchmarks/full.md``. Needs what ``dvc repro`` makes, and changes none of it.

The notebook's way is scikit-learn with the arguments that the notebook gives it, on float64, in
this process. The pipeline's way is the command of each stage, imports, reading and writing
included.
"""

import os
import re
import shutil
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from dvc.repo import Repo
from joblib import cpu_count
from networkx import topological_sort

from benchmarks.warm import ROOT, machine, run

# Their images are copied.
NOT_TIMED = {"fetch", "check_data", "split"}


def run_stages() -> dict[str, float]:
    """The seconds of each stage, in their order, in a folder where the first ones have run."""
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
        return {stage.name: run(folder, *stage.cmd.split()) for stage in timed}


def main(full: bool) -> None:
    """Measure, and print or write the tables."""
    stages = run_stages()
    ours = sum(stages.values())
    of_stages = ["| stage | time |", "|---|---:|"]
    for name, seconds in sorted(stages.items(), key=lambda item: -item[1]):
        of_stages.append(f"| `{name}` | {seconds:.1f} s |")
    print(f"{ours:.0f} s in all, {cpu_count()} cores", *of_stages, sep="\n", flush=True)
    if not full:
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
            took = sum(stages[name] for name in answers)
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
    parser.add_argument("--full", action="store_true", help="the notebook's cells, too")
    main(parser.parse_args().full)
