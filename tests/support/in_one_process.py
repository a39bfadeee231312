"""Run commands of stages, read from standard input, one after another in this process.

``DIGITLINE_CORES`` and ``DIGITLINE_UMASK`` set what the stages see. Prints, as JSON, what the
libraries then report of the machine.
"""

import json
import locale
import os
import sys
import time
from importlib import import_module

if wanted := os.environ.get("DIGITLINE_CORES"):
    cores = set(range(int(wanted)))
    if cores <= os.sched_getaffinity(0):
        os.sched_setaffinity(0, cores)
    # More than there are: as many threads, taking turns.
    os.sched_getaffinity = lambda _: cores
    os.cpu_count = lambda: len(cores)
if umask := os.environ.get("DIGITLINE_UMASK"):
    os.umask(int(umask, 8))

# Imported only now, because libraries count the cores when they are.
import joblib
import tyro
from threadpoolctl import threadpool_info

locale.setlocale(locale.LC_ALL, "")
for command in sys.stdin:
    _, _, _, stage, *arguments = command.split()
    tyro.cli(import_module(f"stages.{stage}").main, args=arguments)

cpu = import_module("numpy._core._multiarray_umath")
report = {
    "python": ".".join(map(str, sys.version_info[:2])),
    "joblib's threads": joblib.effective_n_jobs(-1),
    "BLAS": sorted(
        {info["architecture"] for info in threadpool_info() if "scipy" in info["prefix"]}
    ),
    "numpy's features": [name for name in cpu.__cpu_dispatch__ if cpu.__cpu_features__[name]],
    "accelerator": "sklearnex" in sys.modules,
    "locale": locale.setlocale(locale.LC_ALL),
    "time zone": time.strftime("%z"),
    "umask": oct(os.umask(0)),
}
print(json.dumps(report))
