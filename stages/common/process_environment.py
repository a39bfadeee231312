"""What a stage sees of the user's machine, and whose end it follows.

A result depends on declared inputs alone. Libraries, however, read settings of their own from the
environment and from the user's home folder: these are taken away before any of them is imported.
"""

import json
import logging
import os
import re
import sys
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path

from stages.common.errors import UserError, end

# What stays: where things are, the number of cores and their kind, which change no result; how
# fetch reaches the network, and Dask a cluster; and what DVC and the tests set.
KEPT = re.compile(
    r"PATH|HOME|TMPDIR|TEMP|TMP|LD_LIBRARY_PATH|SYSTEMROOT|TERM|COLUMNS"
    r"|LOKY_MAX_CPU_COUNT|OPENBLAS_\w+|NPY_DISABLE_CPU_FEATURES|NUMBA_CPU_\w+"
    r"|\w+_PROXY|SSL_CERT_\w+|\w+_CA_BUNDLE|NODE_\w+|NPM_CONFIG_.+"
    r"|DASK_\w+|DVC_\w+|DIGITLINE_\w+",
    re.IGNORECASE,
)
# Tasks run side by side, one a core, so nothing works in parallel inside one: OpenMP, BLAS.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
IGNORED = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
SECONDS_BETWEEN_LOOKS = 0.2


def clean_environment() -> None:
    """Take away all variables but those of ``KEPT``, and what they have set already.

    Raises:
        UserError: The number of cores is none.
    """
    for name in [name for name in os.environ if not KEPT.fullmatch(name)]:
        del os.environ[name]
    os.environ |= dict.fromkeys(THREADS, "1")
    if sys.prefix != sys.base_prefix and os.access(sys.prefix, os.W_OK):
        # In the virtual environment, beside the libraries that compile it.
        os.environ["NUMBA_CACHE_DIR"] = f"{sys.prefix}/compiled"
    # An empty file, which matplotlib takes before the one in the home folder.
    os.environ["MATPLOTLIBRC"] = os.devnull
    # That it keeps nothing in a home folder that cannot be written is no warning to the user.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    # Python's own filters of warnings, in place of those of PYTHONWARNINGS.
    sys.warnoptions.clear()
    warnings.resetwarnings()
    for category in IGNORED:
        warnings.simplefilter("ignore", category)
    check_cores()


def check_cores() -> None:
    """Raise :class:`UserError` if ``LOKY_MAX_CPU_COUNT`` is set, and no number of cores."""
    name = "LOKY_MAX_CPU_COUNT"
    cores = os.environ.get(name, "1")
    if not cores.isdecimal() or int(cores) < 1:
        raise UserError(f"{name} is {cores!r}, but should be a whole number above 0")


def end_with_dvc() -> None:
    """End this process soon after the DVC that runs it, if one does."""
    if "DVC_STAGE" in os.environ:
        # Where DVC says which process writes what, so that no two write the same.
        writers = json.loads(Path(".dvc/tmp/rwlock").read_bytes())["write"].values()
        pids = {writer["pid"] for writer in writers}
        threading.Thread(target=_end_with, args=(pids,), daemon=True).start()


def _end_with(pids: set[int]) -> None:
    # Here, so that no stage waits for it.
    import psutil

    def run_this() -> bool:
        while True:
            # A shell between may end while it is looked at.
            with suppress(psutil.NoSuchProcess):
                return any(process.pid in pids for process in psutil.Process().parents())

    while run_this():
        time.sleep(SECONDS_BETWEEN_LOOKS)
    end("DVC, which ran this stage, is gone", 1)
