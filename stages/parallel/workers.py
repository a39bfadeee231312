"""Where the independent problems of a stage are solved: in threads here, or on a cluster."""

import os
import sys
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any

from joblib import parallel_config

from stages.common.guard import LIBRARY_OF


def workers() -> AbstractContextManager[Any]:
    """Have joblib solve what it is given meanwhile in threads.

    With ``DASK_SCHEDULER_ADDRESS`` in the environment, on the workers of that Dask cluster: see
    :func:`stages.parallel.cluster.workers`. Either way, the results are the same.

    Raises:
        UserError: The cluster is not there, goes away, or would compute with other libraries.
    """
    if address := os.environ.get("DASK_SCHEDULER_ADDRESS"):
        libraries = [LIBRARY_OF[module] for module in LIBRARY_OF.keys() & sys.modules.keys()]
        # It takes half a second to import, brings libraries of its own, and is an extra.
        return import_module("stages.parallel.cluster").workers(address, libraries)
    return parallel_config("threading")
