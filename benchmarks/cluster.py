"""Two workers of a Dask cluster against one, and on paper 16 and 64.

``python -m benchmarks.cluster`` takes ten minutes on two cores, and writes
``benchmarks/cluster.md``. Needs what ``dvc repro`` makes on the full MNIST, and changes none of it.
"""

import heapq
import json
import resource
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from distributed import get_task_stream
from dvc.repo import Repo

from benchmarks.__main__ import ENVIRONMENT, ROOT, machine
from stages.parallel.cluster import Cluster, moved

STAGES = (
    "fit@digits_sgd_scaled",
    "find_neighbors@train_in_train",
    "find_neighbors@test_in_augmented",
)
# OpenBLAS chooses by itself.
ENVIRONMENT = {
    name: value for name, value in ENVIRONMENT.items() if not name.startswith("OPENBLAS_")
}
# What the table on paper takes for granted: 10 Gb/s in and out of the scheduler's machine.
BYTES_A_SECOND = 1.25e9
# Exercise 2's images, and each shifted by up to 5 and 6 pixels, in 135 ways.
N_AUGMENTED, N_SHIFTED = 300_000, 8_100_000


class Run(NamedTuple):
    """A stage, run on a cluster."""

    seconds: float
    bytes_moved: int
    bytes_a_worker: int
    """The peak of the memory of a worker."""
    tasks: list[float]
    """The seconds that each task took, in the order of their starts."""


@contextmanager
def cluster(n_workers: int) -> Iterator[Cluster]:
    """A scheduler and workers of one core on loopback, as a user starts them."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        file = Path(folder) / "scheduler.json"
        options = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file)]

        def start(*command: str) -> None:
            process = subprocess.Popen(
                ["dask", *command, *options],
                cwd=folder,
                env=ENVIRONMENT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)

        start("scheduler", "--port", "0")
        wait_for(lambda: file.exists() and file.read_text().endswith("}"))
        for _ in range(n_workers):
            start("worker", "--nworkers", "1", "--nthreads", "1")
        client = Cluster(json.loads(file.read_text())["address"], set_as_default=False)
        stack.callback(client.close)
        wait_for(lambda: len(client.ncores()) == n_workers)
        yield client


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    while not condition():
        time.sleep(0.1)


def run(name: str, n_workers: int) -> Run:
    """Run a stage of dvc.yaml, its outputs elsewhere; without workers, in threads here."""
    with Repo(str(ROOT)) as repo:
        (stage,) = repo.stage.collect(name)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(stage.outs[0].def_path)
        out = Path(folder) / made.name
        command = shlex.split(stage.cmd.replace(f"--out {made}", f"--out {out}"))
        if not n_workers:
            return Run(timed(command, ENVIRONMENT), 0, 0, [])
        with cluster(n_workers) as client:
            before = moved(client)
            address = str(client.scheduler_info()["address"])
            with get_task_stream(client) as stream:
                seconds = timed(command, {**ENVIRONMENT, "DASK_SCHEDULER_ADDRESS": address})
            bytes_moved = sum(after - before[w] for w, after in moved(client).items())
            memory = client.run(lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        for file in filter(Path.is_file, (out, *out.glob("*"))):
            if file.read_bytes() != (ROOT / made.parent / file.relative_to(folder)).read_bytes():
                raise ValueError(f"{name} has made another {file.name} than dvc repro has")
    return Run(seconds, bytes_moved, max(memory.values()) * 1024, times(stream.data))


def timed(command: Sequence[str], environment: dict[str, str]) -> float:
    """The seconds that a command takes."""
    begin = time.perf_counter()
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    return time.perf_counter() - begin


def times(stream: Sequence[dict[str, Any]]) -> list[float]:
    """The seconds of joblib's tasks in Dask's stream, in the order of their starts."""
    spans = [
        (step["start"], step["stop"])
        for task in stream
        if str(task["key"]).startswith("batch_of")
        for step in task["startstops"]
        if step["action"] == "compute"
    ]
    return [stop - start for start, stop in sorted(spans)]


def makespan(tasks: Sequence[float], n_cores: int) -> float:
    """The seconds until all tasks are solved, each in turn by the first core that is free."""
    free = [0.0] * n_cores
    for seconds in tasks:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def on_paper(
    one: Run, n_cores: int, images: float, times_as_many: float = 1
) -> tuple[float, float]:
    """Seconds and bytes of a stage on so many cores, from its run on one.

    Args:
        one: The run.
        n_cores: How many workers of one core.
        images: The bytes of the images that each worker gets.
        times_as_many: As many tasks.
    """
    alone = one.seconds - sum(one.tasks)
    tasks = one.tasks * round(times_as_many)
    bytes_moved = one.bytes_moved * times_as_many + images * (n_cores - 1)
    # Sending goes on while tasks are solved.
    return alone + max(makespan(tasks, n_cores), bytes_moved / BYTES_A_SECOND), bytes_moved


def row(*cells: Any) -> str:
    """A line of a table in Markdown."""
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Measure, and write both tables."""
    images = {
        name: np.load(ROOT / "data" / name / "images.npy", mmap_mode="r").nbytes
        for name in ("train", "test")
    }
    runs = {name: [run(name, n_workers) for n_workers in (0, 1, 2)] for name in STAGES}
    lines = [
        "# On a cluster",
        "",
        ", ".join(f"{name} {which}" for name, which in machine().items()),
        "",
        "Workers of one core each, scheduler and stage on the same machine.",
        "",
        "| stage | threads | one worker | two workers | | moved by two | memory of one |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, (threads, one, two) in runs.items():
        cells = [f"{each.seconds:.1f} s" for each in (threads, one, two)]
        ratio = f"{one.seconds / two.seconds:.2f} ×"
        lines.append(
            row(
                f"`{name}`",
                *cells,
                ratio,
                f"{two.bytes_moved / 1e6:.0f} MB",
                f"{two.bytes_a_worker / 1e6:.0f} MB",
            )
        )
    lines += [
        "",
        f"On paper, by the times of the tasks on one worker, at {BYTES_A_SECOND / 1e9} GB/s:",
        "",
        "| stage | tasks | longest | 16 cores | moved | 64 cores | moved |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    sent = {name: images["test" if "augmented" in name else "train"] for name in STAGES}
    many = N_SHIFTED / N_AUGMENTED
    papers = [(name, f"`{name}`", 1.0) for name in STAGES]
    papers.append((STAGES[-1], f"the same in {N_SHIFTED:,} images", many))
    for name, label, times_as_many in papers:
        one = runs[name][1]
        cells = []
        for n_cores in (16, 64):
            seconds, bytes_moved = on_paper(one, n_cores, sent[name], times_as_many)
            cells += [f"{seconds:.1f} s", f"{bytes_moved / 1e9:.1f} GB"]
        n_tasks = round(len(one.tasks) * times_as_many)
        lines.append(row(label, f"{n_tasks:,}", f"{max(one.tasks):.2f} s", *cells))
    text = "\n".join(lines) + "\n"
    (ROOT / "benchmarks" / "cluster.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
