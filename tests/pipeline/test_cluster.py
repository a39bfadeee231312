"""Stages on a Dask cluster (stages/parallel), whose workers and scheduler are killed here.

The workers have other code in memory by the names of the stages', in which nothing works.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client, LocalCluster

from tests.support import ROOT
from tests.support.clone import Clone
from tests.support.dag import declared, outs, stages
from tests.support.waiting import wait_for

# The stages that send something, and one of each kind.
SENT = [name for name, stage in stages().items() if "stages/parallel" in declared(stage)]
ONE_OF_EACH = ["fit@binary_forest", "fit@digits_sgd", "fit@digits_ovr_svc"]
ONE_OF_EACH += ["find_neighbors@test_in_augmented", "denoise", "choose_svm"]
OTHER_CODE = """
import sys
import stages.models.fit, stages.models.sgd, stages.models.svc, stages.neighbors.search
import stages.strokes.choose_svm
for name, module in list(sys.modules.items()):
    if name.startswith(("stages.models", "stages.neighbors", "stages.strokes")):
        own = [key for key, of in vars(module).items() if getattr(of, "__module__", "") == name]
        vars(module).update(dict.fromkeys(own))
"""
# A library of another version, none, and another Python, as far as anyone asks.
OTHER_LIBRARY = "import joblib; joblib.__version__ = '0.1'"
NO_LIBRARY = "import sys; sys.modules['scipy'] = None"
OTHER_PYTHON = """
import distributed.versions as versions
found = {**versions.get_system_info(), "python": "3.10.0.final.0"}
versions.get_system_info = lambda: found
"""


@pytest.fixture
def start() -> Iterator[Callable[..., Any]]:
    """Start a cluster of so many workers, each of one core, which run some code first."""
    with ExitStack() as stack:

        def start(n_workers: int, preload: str = "") -> Client:
            # A task that kills a second worker is given up.
            dask.config.set({"distributed.scheduler.allowed-failures": 1})
            cluster = LocalCluster(
                n_workers=n_workers,
                threads_per_worker=1,
                dashboard_address=None,
                silence_logs=50,
                preload=[preload] * bool(preload),
            )
            return stack.enter_context(Client(stack.enter_context(cluster)))

        yield start


def processing(client: Client) -> bool:
    """Whether a task is being solved."""
    return any(client.processing().values())


def test_the_bytes_are_those_of_threads(
    start: Callable[..., Any], clone: Clone, tmp_path: Path, thorough: bool
) -> None:
    client, names = start(3 if thorough else 2, OTHER_CODE), SENT if thorough else ONE_OF_EACH
    paths = {path: name for name in names for path in outs(stages()[name])}
    commands = {name: stages()[name].cmd for name in names}
    for path, name in paths.items():
        commands[name] = commands[name].replace(f" {path}", f" {tmp_path / path}")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", ROOT / "tests" / "support" / "in_one_process.py", "."],
        cwd=clone.folder,
        env={
            **os.environ,
            "PYTHONPATH": str(clone.folder),
            "DASK_SCHEDULER_ADDRESS": client.scheduler.address,
        },
        input="\n".join(commands.values()),
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    tasks = client.run_on_scheduler(lambda dask_scheduler: [*dask_scheduler.task_prefixes])
    assert any("batch_of" in name for name in tasks)
    for path in paths:
        found = (tmp_path / path, *(tmp_path / path).rglob("*"))
        made = {file.relative_to(tmp_path): file.read_bytes() for file in found if file.is_file()}
        assert made == {name: (clone.folder / name).read_bytes() for name in made} != {}


# What uses a cluster as a stage does, and ends as one.
SCRIPT = """
import os, time
import numpy as np, scipy
from joblib import Parallel, delayed
from stages.common.errors import UserError, end
from stages.parallel import cluster
from stages.parallel.workers import workers
cluster.SECONDS_WITHOUT_WORKERS = 3
images = np.ones((1000, 1000))
def total(images):
    time.sleep(0.5)
    return images.sum()
try:
    with workers():
        assert {}
except UserError as error:
    end(str(error), 1)
"""
TOTALS = SCRIPT.format("Parallel()(delayed(total)(images) for _ in range(12)) == [1e6] * 12")
SLEEP = SCRIPT.format("Parallel()(delayed(time.sleep)(600) for _ in range(6))")
DIE = SCRIPT.format("Parallel()(delayed(os._exit)(1) for _ in range(6))")


def script(code: str, address: str) -> subprocess.Popen[str]:
    """Start code that uses a cluster."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DASK_SCHEDULER_ADDRESS": address}
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def end_of(process: subprocess.Popen[str]) -> tuple[int, str]:
    """How a process ends, and what it says."""
    with process:
        try:
            _, told = process.communicate(timeout=60)
        finally:
            process.kill()
    return process.returncode, told


def refusal(process: subprocess.Popen[str]) -> str:
    """The one line that a process fails with."""
    status, told = end_of(process)
    assert (status, told.count("\n")) == (1, 1), told
    return told


def test_a_worker_that_is_killed_takes_nothing_along(start: Callable[..., Any]) -> None:
    """Not even the images, if it alone had them."""
    client = start(2)
    process = script(TOTALS, client.scheduler.address)

    def only_holder() -> str | None:
        held = [who for key, who in client.who_has().items() if "batch_of" not in str(key)]
        return next((who[0] for who in held if len(who) == 1 and processing(client)), None)

    pids = client.run(os.getpid)
    os.kill(pids[wait_for(only_holder)], signal.SIGKILL)
    assert end_of(process) == (0, "")


@pytest.mark.parametrize(
    ("code", "preload", "told"),
    [
        (DIE, "", "all those workers died while running it"),
        (TOTALS, OTHER_LIBRARY, r"^worker \S+ has {'joblib': '0.1'}, and this stage {"),
        (TOTALS, NO_LIBRARY, r"^worker \S+: "),
        (TOTALS, OTHER_PYTHON, r"^tcp\S+ has Python 3.10"),
    ],
)
def test_workers_that_cannot_solve_it_end_it(
    start: Callable[..., Any], code: str, preload: str, told: str
) -> None:
    assert re.search(told, refusal(script(code, start(1, preload).scheduler.address)))


def test_workers_that_do_not_come_back_are_not_waited_for(start: Callable[..., Any]) -> None:
    client = start(1)
    process = script(SLEEP, client.scheduler.address)
    wait_for(lambda: processing(client))
    client.cluster.scale(0)
    assert "timed out after 3.00 s waiting without any running workers" in refusal(process)


# A scheduler without a checkout, in a process of its own.
HOST = """
import sys, time
sys.modules["stages"] = None
from distributed import LocalCluster
cluster = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None)
print(cluster.scheduler_address, flush=True)
time.sleep(600)
"""


def test_a_scheduler_that_goes_away_or_is_not_there_is_told() -> None:
    with subprocess.Popen([sys.executable, "-c", HOST], stdout=subprocess.PIPE, text=True) as host:
        try:
            address = str(host.stdout and host.stdout.readline().strip())
            process = script(SLEEP, address)
            with Client(address) as client:
                wait_for(lambda: processing(client))
        finally:
            host.kill()
    assert refusal(process).startswith(f"the cluster at {address}: ")
    for other in (address, "tls://127.0.0.1:1"):
        assert refusal(script(SLEEP, other)).startswith(f"DASK_SCHEDULER_ADDRESS is {other}: ")
