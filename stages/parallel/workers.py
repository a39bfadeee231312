"""Where the independent problems of a stage are solved: in threads here, or on a cluster."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from joblib import parallel_config

from stages.common.guard import LIBRARY_OF


@contextmanager
def workers() -> Iterator[None]:
    """Have joblib solve what it is given meanwhile in threads.

    With ``DASK_SCHEDULER_ADDRESS`` in the environment, on the workers of that Dask cluster: see
    :func:`stages.parallel.cluster.workers`. Either way, the results are the same.

    Raises:
        UserError: The cluster is not there, goes away, or would compute with other libraries.
    """
    if address := os.environ.get("DASK_SCHEDULER_ADDRESS"):
        imported = sorted(LIBRARY_OF.keys() & sys.modules.keys())
        # It takes half a second to import, brings libraries of its own, and is an extra.
        with import_module("stages.parallel.cluster").workers(address, imported):
            yield
    else:
        with parallel_config("threading"):
            yield
