"""Stages on a Dask cluster (stages/parallel), whose workers and scheduler are killed here.

The workers have other code in memory by the names of the stages', in which nothing works.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
# A library or Python of another version, as far as anyone asks.
OTHER_VERSION = """
import distributed.versions as of
of.get_package_info = lambda names, real=of.get_package_info: {{
    name: {1!r} if name == {0!r} else version for name, version in real(names).items()
}}
"""


@contextmanager
def cluster(n_workers: int, preload: str = "") -> Iterator[Any]:
    """So many workers, each of one core, which run some code first; a third death is too much."""
    options = {"threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": 50}
    preloads = [preload] * bool(preload)
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        LocalCluster(n_workers=n_workers, preload=preloads, **options) as started,
        Client(started) as client,
    ):
        yield client


def environment(address: str, folder: Path = ROOT) -> dict[str, str]:
    """That of a process which uses a cluster, with the stages of a folder."""
    return {**os.environ, "PYTHONPATH": str(folder), "DASK_SCHEDULER_ADDRESS": address}


def processing(client: Client) -> bool:
    """Whether a task is being solved."""
    return any(client.processing().values())


def test_the_bytes_are_those_of_threads(clone: Clone, tmp_path: Path, thorough: bool) -> None:
    names = SENT if thorough else ONE_OF_EACH
    paths = [path for name in names for path in outs(stages()[name])]
    commands = "\n".join(stages()[name].cmd for name in names)
    for path in paths:
        commands = commands.replace(f" {path}", f" {tmp_path / path}")
    script = ROOT / "tests" / "support" / "in_one_process.py"
    with cluster(3 if thorough else 2, OTHER_CODE) as client:
        subprocess.run(
            [sys.executable, "-W", "ignore", script, "."],
            cwd=clone.folder,
            env=environment(client.scheduler.address, clone.folder),
            input=commands,
            text=True,
            check=True,
        )
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
cluster.SECONDS_TO_CONNECT, cluster.SECONDS_WITHOUT_WORKERS = 1, 3
images = np.ones((1000, 1000))
def total(images):
    time.sleep(0.5)
    return images.sum()
try:
    with workers():
        found = Parallel()(delayed({})({}) for _ in range(12))
except UserError as error:
    end(str(error), 1)
assert found in ([1e6] * 12, [None] * 12)
"""
TOTALS, DIE = SCRIPT.format("total", "images"), SCRIPT.format("os._exit", "1")
SLEEP = SCRIPT.format("time.sleep", "600")
OTHER_LIBRARY = OTHER_VERSION.format("scipy", "0.1")
# As if a worker had come meanwhile.
CHANGE = SCRIPT.format("exec", f"{OTHER_LIBRARY!r}, {{}}")


def ends(code: str, address: str, meanwhile: Callable[[], object] = lambda: None) -> str:
    """What a script says that uses a cluster: a line, if it fails."""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, env=environment(address), stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            meanwhile()
            _, told = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, told.count("\n")) in {(0, 0), (1, 1)}, told
    return told


def test_a_worker_that_is_killed_takes_nothing_along() -> None:
    """Not even the images, if it alone had them."""
    with cluster(2) as client:
        pids = client.run(os.getpid)

        def only_holder() -> str | None:
            held = [who for key, who in client.who_has().items() if "batch_of" not in str(key)]
            return next((who[0] for who in held if len(who) == 1 and processing(client)), None)

        def kill() -> None:
            os.kill(pids[wait_for(only_holder)], signal.SIGKILL)

        assert ends(TOTALS, client.scheduler.address, kill) == ""


@pytest.mark.filterwarnings("ignore:Mismatched versions")
@pytest.mark.parametrize(
    ("code", "preload", "told"),
    [
        (DIE, "", "all those workers died while running it"),
        # Before any task.
        (DIE, OTHER_LIBRARY, "Mismatched versions found .* scipy [^N]+ 0.1$"),
        (DIE, OTHER_VERSION.format("scipy", None), "found .* scipy [^N]+ None$"),
        (DIE, OTHER_VERSION.format("python", "3.10.0"), "found .* python 3.1[^0].* 3.10.0$"),
        (CHANGE, "", "Mismatched versions found .* scipy [^N]+ 0.1$"),
        (SLEEP, "", "timed out after 3.00 s waiting without any running workers"),
    ],
)
def test_workers_that_cannot_solve_it_end_it(code: str, preload: str, told: str) -> None:
    with cluster(1, preload) as client:

        def leave() -> None:
            wait_for(lambda: processing(client))
            client.cluster.scale(0)

        meanwhile = [leave] if code == SLEEP else []
        assert re.search(told, ends(code, client.scheduler.address, *meanwhile))


# A scheduler without a checkout, in a process of its own.
HOST = """
import sys, time
sys.modules["stages"] = None
from distributed import LocalCluster
cluster = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0")
print(cluster.scheduler_address, flush=True)
time.sleep(600)
"""


def test_a_scheduler_that_goes_away_or_is_not_there_is_told() -> None:
    with subprocess.Popen([sys.executable, "-c", HOST], stdout=subprocess.PIPE, text=True) as host:
        address = str(host.stdout and host.stdout.readline().strip())

        def kill() -> None:
            try:
                with Client(address) as client:
                    wait_for(lambda: processing(client))
            finally:
                host.kill()

        assert ends(SLEEP, address, kill).startswith(f"the cluster at {address}: ")
    for other in (address, "tls://127.0.0.1:1"):
        assert ends(TOTALS, other).startswith(f"the cluster at {other}: ")
