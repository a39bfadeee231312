"""Where the independent problems of a stage are solved: in threads here, or on a cluster."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from joblib import parallel_config


@contextmanager
def workers() -> Iterator[None]:
    """Have joblib solve what it is given meanwhile in threads.

    With ``DASK_SCHEDULER_ADDRESS`` in the environment, on the workers of that Dask cluster: see
    :func:`stages.common.cluster.workers`. Either way, the results are the same.

    Raises:
        UserError: The cluster is not there, goes away, or would compute with other libraries.
    """
    if address := os.environ.get("DASK_SCHEDULER_ADDRESS"):
        # Takes half a second to import, and is an extra.
        with import_module("stages.common.cluster").workers(address):
            yield
    else:
        with parallel_config("threading"):
            yield
