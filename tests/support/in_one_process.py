"""Run commands of stages, read from standard input, in each of the folders that are named.

One after another in this process, so that what is imported and compiled is so once.
``DIGITLINE_CORES`` says how many cores the stages see. Prints, as JSON, what the libraries report
of the machine.
"""

import json
import os
import sys
from importlib import import_module
from typing import Any


def take_cores() -> None:
    """Have this process see as many as asked for."""
    if wanted := os.environ.get("DIGITLINE_CORES"):
        cores = set(range(int(wanted)))
        if cores <= os.sched_getaffinity(0):
            os.sched_setaffinity(0, cores)
        # More than there are: as many threads, taking turns.
        os.sched_getaffinity = lambda _: cores
        os.cpu_count = lambda: len(cores)


def machine() -> dict[str, Any]:
    """What the libraries report of it."""
    # Imported only now, because libraries count the cores when they are.
    import joblib
    from threadpoolctl import threadpool_info

    cpu = import_module("numpy._core._multiarray_umath")
    return {
        "joblib's threads": joblib.effective_n_jobs(-1),
        "threads of a library": max(info["num_threads"] for info in threadpool_info()),
        "BLAS": sorted(
            {info["architecture"] for info in threadpool_info() if "scipy" in info["prefix"]}
        ),
        "numpy's features": [name for name in cpu.__cpu_dispatch__ if cpu.__cpu_features__[name]],
    }


def main() -> None:
    """Run the stages in the process_environment that each of them cleans for itself."""
    take_cores()
    import_module("stages.common.process_environment").clean_environment()
    options = import_module("stages.common.run").options
    commands = sys.stdin.readlines()
    for folder in sys.argv[1:]:
        os.chdir(folder)
        for command in commands:
            _, _, _, stage, *arguments = command.split()
            stage_main = import_module(f"stages.{stage}").main
            stage_main(**options(stage_main, stage, arguments))
    print(json.dumps(machine()))


main()
