"""joblib's backend for Dask, and what makes its results those of threads, or ends the stage.

Only imported where there is a cluster: ``distributed`` is an extra, and takes time to import.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from importlib.metadata import version
from threading import Event, Thread
from typing import Any, TypeAlias

import cloudpickle
import dask
from dask.sizeof import sizeof
from dask.utils import funcname
from distributed import Client, Future, get_worker
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker
from joblib import parallel_config
from joblib._dask import DaskDistributedBackend
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits
from toolz import identity

import stages
from stages.common.errors import UserError
from stages.common.guard import LIBRARY_OF

SECONDS_TO_CONNECT = 10
SECONDS_WITHOUT_WORKERS = 60
# Of a module, what is installed and what is loaded: a worker may be older than its environment.
Versions: TypeAlias = tuple[str, str | None]


def versions(module: str) -> Versions:
    """The version of a module's library that is installed, and the one that is loaded."""
    return version(LIBRARY_OF[module]), getattr(import_module(module), "__version__", None)


def solve(expected: Mapping[str, Versions], pickled: bytes, *args: Any, **kwargs: Any) -> Any:
    """Run on a worker: call a pickled function, in one thread, with the libraries expected.

    Raises:
        UserError: The worker has another version of a library, or none.
    """
    for module, ours in expected.items():
        try:
            theirs = versions(module)
        except ImportError:
            theirs = "none", None
        if theirs != ours:
            raise UserError(
                f"worker {get_worker().address} has {LIBRARY_OF[module]} "
                f"{'/'.join(dict.fromkeys(map(str, theirs)))}, but results are of {ours[0]}"
            )
    # joblib would send what the function has solved in parallel to the cluster, too.
    with parallel_config("sequential"), threadpool_limits(1):
        return cloudpickle.loads(pickled)(*args, **kwargs)


class ByValue:
    """A function that travels with its code: a worker may have other code by the same name."""

    def __init__(self, function: Callable[..., Any], expected: Mapping[str, Versions]) -> None:
        self.function, self.expected = function, expected
        # As the dashboard shows it.
        self.__name__ = funcname(function)

    def __reduce__(self) -> tuple[Any, ...]:  # noqa: D105
        # Pickled in itself, so that it is loaded only where the libraries are the expected ones.
        call = partial(solve, self.expected, cloudpickle.dumps(self.function))
        return cloudpickle.loads, (cloudpickle.dumps(call),)


class Cluster(Client):
    """A client whose data outlive the worker that holds them."""

    async def scatter(self, data: Any, **_: Any) -> Future:  # type: ignore[override]
        """Send ``data`` as a task of their own: the scheduler keeps it, and has it done again."""
        return self.submit(identity, data, pure=False)


class Workers(DaskDistributedBackend):
    """joblib's backend, with code by value and errors that end the run.

    Args:
        client: joblib scatters large arguments of its tasks by it, each once.
        expected: The versions of the modules that the tasks import.
    """

    def __init__(self, client: Cluster, expected: Mapping[str, Versions]) -> None:
        super().__init__(client=client, wait_for_workers_timeout=SECONDS_WITHOUT_WORKERS)
        self.expected = expected

    def effective_n_jobs(self, n_jobs: int) -> int:
        """Cores of the cluster; two, if there is one, whose tasks joblib would solve here."""
        return max(2, super().effective_n_jobs(n_jobs))

    def submit(self, func: Any, callback: Callable[[Any], None]) -> Any:
        """Send joblib's batch of tasks; call back with the result, or with what prevents one."""
        func.items = [(ByValue(f, self.expected), args, kwargs) for f, args, kwargs in func.items]
        future = super().submit(func, callback)

        def call_back(done: Any) -> None:
            if error := done.exception():
                callback(error)

        # joblib calls back with results only, and would wait for ever.
        future.add_done_callback(call_back)
        return future


@sizeof.register(csr_array)
def size(matrix: csr_array) -> int:
    """The bytes of a matrix, which Dask only knows of SciPy's older classes."""
    return matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes


def moved(client: Cluster) -> dict[str, int]:
    """For each worker's address, the bytes that it has received as tasks, and sent as data."""
    received = client.run_on_scheduler(
        lambda dask_scheduler: {
            address: comm.byte_count for address, comm in dask_scheduler.stream_comms.items()
        }
    )
    # A worker may die at any time.
    sent = client.run(
        lambda dask_worker: dask_worker.transfer_outgoing_bytes_total, on_error="ignore"
    )
    return {address: received.get(address, 0) + sent[address] for address in sent}


def end_without_workers(client: Cluster, done: Event) -> None:
    """Cancel all tasks once there have been no workers for long, unless ``done`` is set before."""
    seen = time.monotonic()
    # Without a scheduler, Dask cancels them.
    with suppress(OSError):
        while not done.wait(1):
            if client.ncores():
                seen = time.monotonic()
            elif time.monotonic() > seen + SECONDS_WITHOUT_WORKERS:
                client.cancel([Future(key, client) for key in list(client.futures)])
                return


def check_python(client: Cluster) -> None:
    """Raise :class:`UserError` if the cluster has another Python, which has other bytecode."""
    found: Any = client.get_versions()
    parts = {"the scheduler": found["scheduler"]} | {
        f"worker {w}": v for w, v in found["workers"].items()
    }
    for name, part in parts.items():
        theirs = part["host"]["python"].split(".")[:2]
        if theirs != [str(number) for number in sys.version_info[:2]]:
            raise UserError(f"{name} has Python {'.'.join(theirs)}: it must be that of this stage")


@contextmanager
def workers(address: str, imported: Sequence[str]) -> Iterator[None]:
    """Have joblib solve what it is given meanwhile on the workers of a Dask cluster.

    At the end, tells how many bytes were moved. Where the client goes, its tasks go.

    Args:
        address: The scheduler's, such as ``tcp://127.0.0.1:8786``.
        imported: The modules whose libraries must be the same on the workers.

    Raises:
        UserError: The scheduler is not there or goes away; there are no workers for a minute; one
            has another Python or other libraries; or several die of the same task.
    """
    expected = {module: versions(module) for module in imported}
    # Each library that pickles functions has a copy of its own.
    for module in {"cloudpickle", "numba.cloudpickle"} & sys.modules.keys():
        import_module(module).register_pickle_by_value(stages)
    # What they have to say ends up in one line below.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"})
    try:
        client = Cluster(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)
    # TypeError: a TLS address without certificates.
    except (OSError, TypeError, ValueError) as error:
        raise UserError(f"DASK_SCHEDULER_ADDRESS is {address}: {error}") from None
    done = Event()
    Thread(target=end_without_workers, args=(client, done), daemon=True).start()
    try:
        check_python(client)
        before = moved(client)
        with parallel_config(Workers(client, expected)):
            yield
        after = moved(client)
    except (CancelledError, CommClosedError, TimeoutError):
        raise UserError(
            f"the scheduler at {address} is gone, or has had no workers for "
            f"{SECONDS_WITHOUT_WORKERS} s"
        ) from None
    except KilledWorker as error:
        raise UserError(f"several workers died of one task: their logs say why: {error}") from None
    finally:
        done.set()
    megabytes = sum(after[worker] - before.get(worker, 0) for worker in after) / 1e6
    print(f"{megabytes:.1f} MB moved, workers: {len(after)}", file=sys.stderr)
    client.close()
