"""joblib's backend for Dask, and what makes its results those of threads, or ends the stage.

Only imported where there is a cluster: ``distributed`` is an extra, and takes time to import.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any

import cloudpickle
import dask
from distributed import Client, Future, get_worker
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker, NoWorkerError
from joblib import parallel_config, wrap_non_picklable_objects
from joblib._dask import DaskDistributedBackend
from threadpoolctl import threadpool_limits
from toolz import identity

import stages
from stages.common.errors import UserError

SECONDS_TO_CONNECT = 10
SECONDS_WITHOUT_WORKERS = 60


def versions(modules: Iterable[str]) -> dict[str, str]:
    """The version of each module that Python has loaded, which may be older than the installed."""
    return {module: import_module(module).__version__ for module in modules}


def solve(expected: Mapping[str, str], pickled: bytes, *args: Any, **kwargs: Any) -> Any:
    """Run on a worker: call a pickled function, in one thread, with the libraries expected."""
    try:
        found = versions(expected)
    except ImportError as error:
        raise UserError(f"worker {get_worker().address}: {error}") from None
    if others := dict(found.items() - expected.items()):
        raise UserError(f"worker {get_worker().address} has {others}, and this stage {expected}")
    # joblib would send what the function has solved in parallel to the cluster, too.
    with parallel_config("sequential"), threadpool_limits(1):
        return cloudpickle.loads(pickled)(*args, **kwargs)


class Cluster(Client):
    """A client whose data outlive the worker that holds them."""

    async def scatter(self, data: Any, **_: Any) -> Future:  # type: ignore[override]
        """Send ``data`` as a task of their own: the scheduler keeps it, and has it done again."""
        return self.submit(identity, data, pure=False)


class Workers(DaskDistributedBackend):
    """joblib's backend, with code by value, the libraries expected, and errors that end the run."""

    def __init__(self, client: Cluster, expected: Mapping[str, str]) -> None:
        super().__init__(client=client, wait_for_workers_timeout=SECONDS_WITHOUT_WORKERS)
        self.expected = expected

    def effective_n_jobs(self, n_jobs: int) -> int:
        """Cores of the cluster; two, if there is one, whose tasks joblib would solve here."""
        return max(2, super().effective_n_jobs(n_jobs))

    def submit(self, func: Any, callback: Callable[[Any], None]) -> Any:
        """Send joblib's batch of tasks; call back with the result, or with what prevents one."""
        func.items = [
            # Pickled twice: it is loaded only where the libraries are the expected ones.
            (wrap_non_picklable_objects(partial(solve, self.expected, cloudpickle.dumps(f))), *rest)
            for f, *rest in func.items
        ]
        future = super().submit(func, callback)
        # joblib calls back with results only, and would wait for ever.
        future.add_done_callback(
            lambda done: callback(done.exception()) if done.exception() else None
        )
        return future


@contextmanager
def workers(address: str, imported: Iterable[str]) -> Iterator[None]:
    """Have joblib solve what it is given meanwhile on the workers of a Dask cluster.

    Args:
        address: The scheduler's, such as ``tcp://127.0.0.1:8786``.
        imported: The modules whose versions must be the same on the workers.

    Raises:
        UserError: The scheduler is not there or goes away; there are no workers for a minute; one
            has another Python or other libraries; or several die of the same task.
    """
    # Each library that pickles functions has a copy of its own.
    for module in {"cloudpickle", "numba.cloudpickle"} & sys.modules.keys():
        import_module(module).register_pickle_by_value(stages)
    dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"})
    try:
        client = Cluster(address, timeout=SECONDS_TO_CONNECT)
    # TypeError: a TLS address without certificates.
    except (OSError, TypeError, ValueError) as error:
        raise UserError(f"DASK_SCHEDULER_ADDRESS is {address}: {error}") from None
    # Another Python has other bytecode.
    info: Any = client.get_versions()
    pythons = {at: part["host"]["python"] for at, part in info["workers"].items()}
    for at, python in {"scheduler": info["scheduler"]["host"]["python"], **pythons}.items():
        if python.split(".")[:2] != [*map(str, sys.version_info[:2])]:
            raise UserError(f"{at} has Python {python}: it must be that of this stage")
    # By itself, Dask waits for workers for ever. A lambda is sent by value.
    client.run_on_scheduler(
        lambda seconds, dask_scheduler: setattr(
            dask_scheduler, "no_workers_timeout", dask_scheduler.no_workers_timeout or seconds
        ),
        SECONDS_WITHOUT_WORKERS,
    )
    try:
        with parallel_config(Workers(client, versions(imported))):
            yield
    except (CancelledError, CommClosedError, KilledWorker, NoWorkerError, TimeoutError) as error:
        raise UserError(f"the cluster at {address}: {' '.join(str(error).split())}") from None
    client.close()
