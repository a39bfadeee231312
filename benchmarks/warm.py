"""What an edit costs: ``dvc repro`` after it, beside one that finds nothing to do.

``python -m benchmarks.warm`` takes two minutes, and writes ``benchmarks/warm.md``. Needs what
``dvc repro`` makes, and leaves it as it is: it edits a copy of the commit and of DVC's cache.
"""

import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial, reduce
from operator import getitem
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks.__main__ import ENVIRONMENT, ROOT, machine

yaml = YAML()
TIMES = 5
# What is edited, and five values that DVC has not seen.
EDITS: dict[str, list[Any]] = {
    "binary.thresholds.precision": [0.81, 0.82, 0.83, 0.84, 0.86],
    "errors.pair": [[0, 6], [1, 7], [2, 8], [4, 9], [5, 8]],
    "grid.n_neighbors": [[2, 3], [3, 6], [4, 7], [5, 8], [6, 9]],
}


def run(folder: Path, *command: str) -> float:
    """The seconds that a command takes in ``folder``."""
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=ENVIRONMENT, check=True, capture_output=True)
    return time.perf_counter() - start


def repro(folder: Path, edits: Sequence[Callable[[], None]] = (lambda: None,) * TIMES) -> float:
    """The median time of ``dvc repro`` in ``folder``, once after each edit."""
    seconds = []
    for edit in edits:
        edit()
        seconds.append(run(folder, "dvc", "repro"))
    return statistics.median(seconds)


def pipeline(folder: Path) -> int:
    """The committed pipeline in ``folder``, its results in place; returns how many stages."""
    run(folder.parent, "git", "clone", "--quiet", str(ROOT), str(folder))
    shutil.copytree(ROOT / ".dvc" / "cache", folder / ".dvc" / "cache")
    run(folder, "dvc", "repro")
    return len(yaml.load(folder / "dvc.lock")["stages"])


def empty(folder: Path, n: int) -> None:
    """As many stages in a row, each of which writes one word."""
    folder.mkdir()
    stages = {
        f"stage_{i}": {"cmd": f"echo {i} > {i}", "deps": [f"{i - 1}"] * (i > 0), "outs": [f"{i}"]}
        for i in range(n)
    }
    yaml.dump({"stages": stages}, folder / "dvc.yaml")
    run(folder, "git", "init", "--quiet")
    run(folder, "dvc", "init", "--quiet")
    for option in ("core.analytics", "core.check_update"):
        run(folder, "dvc", "config", option, "false")
    run(folder, "dvc", "repro")


def edit(folder: Path, key: str, value: Any) -> None:
    """Set a parameter of ``params.yaml``."""
    params = yaml.load(folder / "params.yaml")
    *parents, last = key.split(".")
    reduce(getitem, parents, params)[last] = value
    yaml.dump(params, folder / "params.yaml")


def main() -> None:
    """Measure, and write the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "digitline"
        n = pipeline(folder)
        empty(Path(temporary) / "empty", n)
        bare, nothing = repro(Path(temporary) / "empty"), repro(folder)
        rows = [
            (f"nothing, in {n} empty stages", bare, f"{bare / nothing:.1f}"),
            ("nothing", nothing, "1"),
        ]
        for key, values in EDITS.items():
            seconds = repro(folder, [partial(edit, folder, key, value) for value in values])
            rows.append((f"`{key}`", seconds, f"{seconds / nothing:.1f}"))
    lines = [
        "# What an edit costs",
        "",
        ", ".join(f"{name} {which}" for name, which in machine().items()),
        "",
        f"The median of {TIMES} times `dvc repro`, on the full MNIST.",
        "",
        "| edited | time | of finding nothing to do |",
        "|---|---:|---:|",
        *(f"| {what} | {seconds:.2f} s | {ratio} × |" for what, seconds, ratio in rows),
    ]
    text = "\n".join(lines) + "\n"
    (ROOT / "benchmarks" / "warm.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
