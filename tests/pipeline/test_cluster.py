"""Stages on a Dask cluster (stages/parallel), whose processes are started and killed here.

Its workers have another checkout's code in memory, by the same names, in which nothing works. With
``--thorough``, every stage runs on one, two and three workers, and loses one of two.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import pytest

from tests.support import ROOT
from tests.support.clone import Clone, md5
from tests.support.dag import modules, stages
from tests.support.waiting import wait_for

THOROUGH = partial(pytest.param, marks=pytest.mark.thorough)
OPTIONS = ("--host", "127.0.0.1", "--no-dashboard")
# The stages that send something.
SENT = [name for name, stage in stages().items() if "stages/parallel" in modules(stage)]
FIT, SEARCH_OF_TESTS = "fit@digits_sgd", "find_neighbors@test_in_augmented"
ONE_OF_EACH = ["fit@binary_forest", FIT, "fit@digits_ovr_svc"]
ONE_OF_EACH += [SEARCH_OF_TESTS, "search_grid", "denoise", "choose_svm"]
OTHER_CODE = """
globals().update({name: None for name, value in globals().items()
                  if getattr(value, "__module__", None) == __name__})
"""
IMPORT = "import stages.models.fit, stages.models.sgd, stages.models.svc, stages.neighbors.search\n"
IMPORT += "import stages.strokes.choose_svm\n"
# A library of another version, and another Python, as far as anyone asks.
OTHER_LIBRARY = "import joblib; joblib.__version__ = '0.1'\n"
OTHER_PYTHON = """
import distributed.versions as versions
found = {**versions.get_system_info(), "python": "3.10.0.final.0"}
versions.get_system_info = lambda: found
"""


class Cluster:
    """A scheduler and its workers, each of one core, in a folder of their own."""

    def __init__(self, folder: Path, clone: Clone, stack: ExitStack) -> None:
        self.folder, self.stack, file = folder, stack, folder / "scheduler.json"
        shutil.copytree(clone.folder / "stages", folder / "stages")
        for module in (folder / "stages").glob("[mns]*/*.py"):
            module.write_text(module.read_text() + OTHER_CODE)
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.scheduler = self._start("scheduler", "--port", "0", "--scheduler-file", str(file))
        wait_for(lambda: file.exists() and file.read_text().endswith("}"))
        self.address = json.loads(file.read_text())["address"]
        self.client = distributed.Client(self.address, set_as_default=False)
        stack.callback(self.client.close)

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("dask"), *command, *OPTIONS],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.stack.callback(kill, process)
        return process

    def add(self, preload: str = IMPORT) -> str:
        """Start one more worker, which runs some code first; its address."""
        name = f"{len(list(self.folder.glob('*.py')))}.py"
        (self.folder / name).write_text(preload)
        options = ["--nworkers", "1", "--nthreads", "1", "--name", name, "--preload"]
        self.workers[name] = self._start("worker", self.address, *options, str(self.folder / name))
        return wait_for(lambda: self.names().get(name))

    def names(self) -> dict[str, str]:
        """The address of each worker that is there, by its name."""
        found = self.client.scheduler_info(-1)["workers"]
        return {worker["name"]: address for address, worker in found.items()}

    def have(self, n_workers: int) -> None:
        """Start workers, or kill some."""
        for name in list(self.workers)[n_workers:]:
            kill(self.workers.pop(name))
        while len(self.workers) < n_workers:
            self.add()
        wait_for(lambda: self.names().keys() == self.workers.keys())

    def processing(self) -> bool:
        """Whether a task is being solved."""
        return any(self.client.processing().values())

    def n_tasks(self) -> int:
        """How many tasks the cluster knows of."""
        return self.client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))

    def kill_who_holds_the_images(self) -> None:
        """Kill the worker that alone has the data of a task that is being solved, and its nanny."""

        def only_holder() -> str | None:
            held = self.client.who_has()
            holders = {who for key, who in held.items() if str(key).startswith("identity")}
            return next((who[0] for who in holders if len(who) == 1), None)

        wait_for(self.processing)
        address = wait_for(only_holder)
        kill(self.workers.pop(next(name for name, of in self.names().items() if of == address)))


def kill(process: subprocess.Popen[Any]) -> None:
    """Kill a process and those that it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def clusters() -> Iterator[tuple[list[Cluster], ExitStack]]:
    """The one that is running, and what ends all of them."""
    with ExitStack() as stack:
        yield [], stack


@pytest.fixture
def start(
    clone: Clone,
    clusters: tuple[list[Cluster], ExitStack],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[int], Cluster]:
    """A cluster of so many workers: the last test's, as it takes time to start one."""
    running, stack = clusters

    def start(n_workers: int) -> Cluster:
        if not running or running[-1].scheduler.poll() is not None:
            running.append(Cluster(tmp_path_factory.mktemp("cluster"), clone, stack))
        running[-1].have(n_workers)
        return running[-1]

    return start


@pytest.fixture
def folder(clone: Clone, tmp_path: Path) -> Path:
    """What the stages need and have made, to run them again."""
    for name in ("stages", "params.yaml", "data"):
        copy = shutil.copytree if (clone.folder / name).is_dir() else shutil.copy
        copy(clone.folder / name, tmp_path / name)
    (tmp_path / "reports").mkdir()
    return tmp_path


def forget(folder: Path, names: Sequence[str]) -> None:
    """Remove the outputs of stages."""
    for name in names:
        for out in stages()[name].outs:
            path = folder / str(out.def_path)
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def run(folder: Path, name: str, address: str) -> subprocess.Popen[str]:
    """Start a stage, after its outputs are gone."""
    forget(folder, [name])
    return subprocess.Popen(
        [sys.executable, *stages()[name].cmd.split()[1:]],
        cwd=folder,
        env={**os.environ, "DASK_SCHEDULER_ADDRESS": address},
        stderr=subprocess.PIPE,
        text=True,
    )


def end_of(process: subprocess.Popen[str], seconds: float = 120) -> tuple[int, str]:
    """How a stage ends, and the last line that it says."""
    with process:
        try:
            _, told = process.communicate(timeout=seconds)
        finally:
            process.kill()
    assert "Traceback" not in told, told
    return process.returncode, told.splitlines()[-1]


def made(folder: Path, name: str) -> dict[str, str]:
    """The MD5 of each output of a stage."""
    outs = [folder / str(out.def_path) for out in stages()[name].outs]
    files = [file for out in outs for file in (out, *out.rglob("*")) if file.is_file()]
    return {str(file.relative_to(folder)): md5(file) for file in files}


# The tests below have one and two workers, for a few stages.
@pytest.mark.parametrize("n_workers", [THOROUGH(1), THOROUGH(2), 3])
def test_the_bytes_are_those_of_threads(
    start: Callable[[int], Cluster], clone: Clone, folder: Path, n_workers: int, thorough: bool
) -> None:
    cluster, names = start(n_workers), SENT if thorough else ONE_OF_EACH
    forget(folder, names)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(ROOT / "tests" / "support" / "in_one_process.py")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "DASK_SCHEDULER_ADDRESS": cluster.address},
        input="\n".join(stages()[name].cmd for name in names),
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f" MB moved, workers: {n_workers}\n") == len(names)
    for name in names:
        assert made(folder, name) == made(clone.folder, name) != {}


WITHIN = "a search within one set"
# It is cut into more tasks than the sample would be.
SEARCH = """
import sys
import numpy as np
from stages.parallel.workers import workers
from stages.neighbors import search
search.PER_TASK = 500
images = np.load("data/train/images.npy", mmap_mode="r")
with workers():
    found = search.nearest(images, images, 64)
np.savez(sys.argv[1], indices=found[0], squared_distances=found[1])
"""


def script(folder: Path, code: str, address: str, *arguments: str) -> subprocess.Popen[str]:
    """Start code that uses a cluster as a stage does."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "DASK_SCHEDULER_ADDRESS": address},
        stderr=subprocess.PIPE,
        text=True,
    )


# What a stage sends makes no difference.
@pytest.mark.parametrize("name", [*map(THOROUGH, SENT), WITHIN])
def test_a_worker_that_is_killed_takes_nothing_along(
    start: Callable[[int], Cluster], clone: Clone, folder: Path, name: str
) -> None:
    """Not even the images, if it alone had them."""
    cluster = start(2)
    if name in SENT:
        stage = run(folder, name, cluster.address)
    else:
        stage = script(folder, SEARCH, cluster.address, "found.npz")
    cluster.kill_who_holds_the_images()
    status, told = end_of(stage)
    assert (status, told.split(", ")[-1]) == (0, "workers: 1")
    if name in SENT:
        assert made(folder, name) == made(clone.folder, name)
    else:
        theirs = np.load(clone.folder / "data" / "neighbors" / "train_in_train.npz")
        ours = np.load(folder / "found.npz")
        assert all((ours[key] == theirs[key]).all() for key in theirs)


def test_a_scheduler_that_goes_away_or_is_not_there_is_told_and_nothing_recorded(
    start: Callable[[int], Cluster], folder: Path
) -> None:
    cluster = start(1)
    stage = run(folder, FIT, cluster.address)
    wait_for(cluster.processing)
    kill(cluster.scheduler)
    status, told = end_of(stage)
    assert (status, made(folder, FIT)) == (1, {})
    assert told.startswith(f"the scheduler at {cluster.address} is gone")
    for address in (cluster.address, "tls://127.0.0.1:1"):
        status, told = end_of(run(folder, FIT, address))
        assert (status, made(folder, FIT)) == (1, {})
        assert told.startswith(f"DASK_SCHEDULER_ADDRESS is {address}: ")


# Tasks that are solved until their worker is killed, or of which it dies.
TASKS = """
import os, sys, time
from joblib import Parallel, delayed
from stages.common.errors import UserError
from stages.parallel import cluster
from stages.parallel.workers import workers
cluster.SECONDS_WITHOUT_WORKERS = {seconds}
try:
    with workers():
        Parallel(n_jobs=-1)(delayed({task})({argument}) for _ in range(6))
except UserError as error:
    sys.exit(str(error))
"""
SLEEP = TASKS.format(task="time.sleep", argument=600, seconds=2)
DIE = TASKS.format(task="os._exit", argument=1, seconds=60)


def test_tasks_go_with_their_stage(start: Callable[[int], Cluster], folder: Path) -> None:
    """As it ends with DVC: test_guard."""
    cluster = start(2)
    stage = script(folder, SLEEP, cluster.address)
    wait_for(cluster.processing)
    stage.kill()
    stage.communicate()
    wait_for(lambda: not cluster.n_tasks(), seconds=10)
    # One that is being solved goes on.
    cluster.have(0)


def test_workers_that_do_not_come_back_are_not_waited_for(
    start: Callable[[int], Cluster], folder: Path
) -> None:
    cluster = start(1)
    waits = script(folder, SLEEP, cluster.address)
    wait_for(cluster.processing)
    cluster.have(0)
    status, told = end_of(waits, seconds=20)
    assert (status, told.endswith("or has had no workers for 2 s")) == (1, True)


def test_a_task_that_workers_die_of_is_not_tried_for_ever(
    start: Callable[[int], Cluster], folder: Path
) -> None:
    """Most likely, they had too little memory. Dask starts them again."""
    cluster = start(0)
    for _ in range(2):
        cluster.add(preload="")
    status, told = end_of(script(folder, DIE, cluster.address))
    assert (status, told.startswith("several workers died of one task")) == (1, True)
    cluster.have(0)


@pytest.mark.parametrize(
    ("preload", "told"),
    [
        pytest.param(OTHER_LIBRARY, "worker {} has joblib ", id="library"),
        pytest.param(OTHER_PYTHON, "worker {} has Python 3.10: ", id="Python"),
    ],
)
def test_a_worker_that_would_compute_otherwise_is_refused(
    start: Callable[[int], Cluster], folder: Path, preload: str, told: str
) -> None:
    cluster = start(0)
    address = cluster.add(preload)
    status, line = end_of(run(folder, SEARCH_OF_TESTS, cluster.address))
    assert (status, made(folder, SEARCH_OF_TESTS)) == (1, {})
    assert line.startswith(told.format(address))
    cluster.have(0)


def test_an_edit_runs_on_workers_that_have_run_the_code_before(
    start: Callable[[int], Cluster], clone: Clone, folder: Path
) -> None:
    cluster, code, found = start(1), folder / "stages" / "neighbors" / "search.py", []
    for edit, address in (("", cluster.address), (" + 1", cluster.address), (" + 1", "")):
        text = (clone.folder / "stages" / "neighbors" / "search.py").read_text()
        code.write_text(text.replace("squares[part])", f"squares[part]{edit})"))
        assert end_of(run(folder, SEARCH_OF_TESTS, address))[0] == 0
        found.append(made(folder, SEARCH_OF_TESTS))
    assert made(clone.folder, SEARCH_OF_TESTS) == found[0] != found[1] == found[2]


def test_without_the_extra_it_is_told(folder: Path) -> None:
    (folder / "stages" / "parallel" / "cluster.py").write_text("import no_distributed")
    status, told = end_of(run(folder, FIT, "tcp://127.0.0.1:1"))
    assert (status, told.startswith("No module named 'no_distributed'")) == (1, True)
