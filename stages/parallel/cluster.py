"""joblib's backend for Dask, and what makes its results those of threads, or ends the stage.

Only imported where there is a cluster: ``distributed`` is an extra, and takes time to import.
"""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any
from warnings import catch_warnings

import dask
from distributed import Client, Future
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker, NoWorkerError
from joblib import parallel_config, wrap_non_picklable_objects
from joblib._dask import DaskDistributedBackend
from threadpoolctl import threadpool_limits
from toolz import identity

import stages
from stages.common.errors import UserError

SECONDS_TO_CONNECT, SECONDS_WITHOUT_WORKERS = 10, 60


def solve(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run on a worker: call a function in one thread."""
    # joblib would send what the function has solved in parallel to the cluster, too.
    with parallel_config("sequential"), threadpool_limits(1):
        return function(*args, **kwargs)


class Cluster(Client):
    """A client whose data outlive the worker that holds them."""

    async def scatter(self, data: Any, **_: Any) -> Future:  # type: ignore[override]
        """Send ``data`` as a task of their own: the scheduler keeps it, and has it done again."""
        return self.submit(identity, data, pure=False)


class Workers(DaskDistributedBackend):
    """joblib's backend, with code by value, and with errors that end the run."""

    def effective_n_jobs(self, n_jobs: int) -> int:
        """Cores of the cluster; two, if there is one, whose tasks joblib would solve here."""
        return max(2, super().effective_n_jobs(n_jobs))

    def submit(self, func: Any, callback: Callable[[Any], None]) -> Any:
        """Send joblib's batch of tasks; call back with the result, or with what prevents one."""
        func.items = [(wrap_non_picklable_objects(partial(solve, f)), *of) for f, *of in func.items]
        future = super().submit(func, callback)
        # joblib calls back with results only, and would wait for ever.
        future.add_done_callback(
            lambda done: callback(done.exception()) if done.exception() else None
        )
        return future


@contextmanager
def told_in_a_line(address: str, *errors: type[Exception]) -> Iterator[None]:
    """Have such errors end the stage; a warning of versions that differ is a table."""
    try:
        yield
    except errors as error:
        words = (word for word in str(error).split() if word.strip("+-|"))
        raise UserError(f"the cluster at {address}: {' '.join(words)}") from None


@contextmanager
def workers(address: str, libraries: list[str]) -> Iterator[None]:
    """Have joblib solve what it is given meanwhile on the workers of a Dask cluster.

    Args:
        address: The scheduler's, such as ``tcp://127.0.0.1:8786``.
        libraries: Those whose versions must be the same on the workers.

    Raises:
        UserError: The scheduler is not there or goes away; there are no workers for a minute; one
            has another Python or other libraries; or several die of the same task.
    """
    # Each library that pickles functions has a copy of its own.
    for module in {"cloudpickle", "numba.cloudpickle"} & sys.modules.keys():
        import_module(module).register_pickle_by_value(stages)
    dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"})
    # TypeError: a TLS address without certificates.
    refused = OSError, TypeError, ValueError, Warning
    with told_in_a_line(address, *refused), catch_warnings(action="error"):
        client = Cluster(address, timeout=SECONDS_TO_CONNECT)
        client.get_versions(check=True, packages=libraries)
    # By itself, Dask waits for workers for ever. A lambda is sent by value.
    client.run_on_scheduler(
        lambda seconds, dask_scheduler: setattr(
            dask_scheduler, "no_workers_timeout", dask_scheduler.no_workers_timeout or seconds
        ),
        SECONDS_WITHOUT_WORKERS,
    )
    backend = Workers(client=client, wait_for_workers_timeout=SECONDS_WITHOUT_WORKERS)
    lost = CancelledError, CommClosedError, KilledWorker, NoWorkerError, TimeoutError, Warning
    with told_in_a_line(address, *lost):
        with parallel_config(backend):
            yield
        # Workers may have come meanwhile.
        with catch_warnings(action="error"):
            client.get_versions(check=True, packages=libraries)
    client.close()
