"""Killed at any moment, again and again: the same bytes afterwards.

With ``--thorough`` every stage is among those killed, and more often; otherwise a few.
"""

import random
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

from tests.support.clone import Clone, md5

SEED = 20
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
FEW = ("gallery", "augment", "find_neighbors@test_in_train")
# What DVC says of the two files that it writes in place, where it was killed at that moment.
HALF_WRITTEN = (
    r"dvc\.lock' (is invalid|validation failed)|Unable to read RWLock|RWLock.*format error"
)


def kill(clone: Clone, chance: random.Random, *command: str) -> bool:
    """Start a command, and kill it or its stage; whether it ran by then."""
    # In a process group of its own, as a terminal starts it.
    dvc = subprocess.Popen(
        command,
        cwd=clone.folder,
        env=clone.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    time.sleep(chance.uniform(0.5, 4))
    children = psutil.Process(dvc.pid).children(recursive=True) if dvc.poll() is None else []
    whom = chance.choice([[dvc], children, [dvc, *children]])
    told = chance.choice(SIGNALS)
    for process in whom:
        # A stage may end by itself, or with DVC.
        with suppress(psutil.NoSuchProcess):
            process.send_signal(told)
    running = dvc.poll() is None or dvc.returncode < 0
    output, _ = dvc.communicate(timeout=120)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    if re.search(HALF_WRITTEN, output):
        clone.make("verify")
    return running


def test_killed_again_and_again_it_ends_with_the_same_bytes(
    clone: Clone, tmp_path: Path, thorough: bool
) -> None:
    disturbed, chance = Clone.of(clone.folder, tmp_path / "repository"), random.Random(SEED)
    times, targets = (60, ()) if thorough else (5, FEW)
    kills = 0
    while kills < times:
        kills += kill(disturbed, chance, "dvc", "repro", *targets)
    if re.search(HALF_WRITTEN, disturbed.dvc("status", check=False).stderr):
        disturbed.make("verify")
    disturbed.dvc("repro", *targets)
    done = disturbed.outs()
    assert done.items() <= clone.outs().items()
    assert {path: md5(disturbed.folder / path) for path in done} == done
    # Nothing else lies about but DVC's own, for the page that it caches, and ours.
    ignored = {"data", "data/idx", "data/pictures", "reports"}
    assert disturbed.files() - {f"{folder}/.gitignore" for folder in ignored} == set(done)
    # Nor what was half copied into DVC's cache.
    disturbed.make("verify")
    assert list((disturbed.folder / ".dvc" / "cache").rglob(".*")) == []
    assert disturbed.outs() == done
