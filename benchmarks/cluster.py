"""Two workers of a Dask cluster against one, and against threads.

``python -m benchmarks.cluster`` takes ten minutes on two cores, and writes
``benchmarks/cluster.md``. Needs what ``dvc repro`` makes on the full MNIST, and changes none of it.
"""

import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from distributed import LocalCluster
from dvc.repo import Repo

from benchmarks.__main__ import ENVIRONMENT, ROOT, machine

STAGES = (
    "fit@digits_sgd_scaled",
    "find_neighbors@train_in_train",
    "find_neighbors@test_in_augmented",
)


def run(name: str, n_workers: int) -> float:
    """The seconds that a stage of dvc.yaml takes; without workers, in threads here.

    Raises:
        ValueError: It has not made what ``dvc repro`` has.
    """
    with Repo(str(ROOT)) as repo:
        (stage,) = repo.stage.collect(name)
    made, environment = Path(stage.outs[0].def_path), {**ENVIRONMENT}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        if n_workers:
            cluster = LocalCluster(None, n_workers, threads_per_worker=1, dashboard_address=None)
            environment["DASK_SCHEDULER_ADDRESS"] = stack.enter_context(cluster).scheduler_address
        out = Path(folder) / made.name
        command = stage.cmd.replace(f"--out {made}", f"--out {out}").split()
        begin = time.perf_counter()
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
        seconds = time.perf_counter() - begin
        for file in filter(Path.is_file, (out, *out.rglob("*"))):
            if file.read_bytes() != (ROOT / made.parent / file.relative_to(folder)).read_bytes():
                raise ValueError(f"{name} has made another {file.name} than dvc repro has")
    return seconds


def main() -> None:
    """Measure, and write the table."""
    lines = [
        "# On a cluster",
        "",
        ", ".join(f"{name} {which}" for name, which in machine().items()),
        "",
        "Workers of one core each, scheduler and stage on the same machine.",
        "",
        "| stage | threads | one worker | two workers | |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in STAGES:
        threads, one, two = (run(name, n_workers) for n_workers in (0, 1, 2))
        times = f"{threads:.1f} s | {one:.1f} s | {two:.1f} s | {one / two:.2f} ×"
        lines.append(f"| `{name}` | {times} |")
    text = "\n".join(lines) + "\n"
    (ROOT / "benchmarks" / "cluster.md").write_text(text, encoding="utf-8", newline="\n")
    print(text)


if __name__ == "__main__":
    main()
