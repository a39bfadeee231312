"""A progress bar on a terminal, a line now and then anywhere else."""

import sys
from collections.abc import Iterable

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 20


def progress(results: Iterable, total: int, label: str) -> tqdm:
    """Give the results on, one by one, and tell on standard error how many of them there are."""
    if sys.stderr.isatty():
        return tqdm(results, label, total)
    line = "{desc}: {n_fmt} of {total_fmt}, {elapsed} elapsed\n"
    return tqdm(results, label, total, bar_format=line, mininterval=SECONDS_BETWEEN_LINES)
