"""Killed at any moment, again and again: the same bytes afterwards.

With ``--thorough`` every stage is among those killed, and more often; otherwise a few.
"""

import random
import re
import shutil
import signal
import subprocess
import time
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


def is_writing(clone: Clone, since: float) -> bool:
    """Whether a stage has begun to write an output."""
    try:
        return any((clone.folder / name).stat().st_mtime > since for name in clone.files())
    except FileNotFoundError:
        return False


def kill(clone: Clone, chance: random.Random, *command: str) -> str:
    """Start a command, and kill it or its stage; how, or nothing if it was over by then."""
    stays = clone.folder.parent / "stays"
    stays.write_text('#!/bin/sh\n/bin/sh "$@"\nexit $?\n')
    stays.chmod(0o755)
    # Of a single command bash becomes it; a shell that stays is between DVC and its stage.
    shell = chance.choice([*filter(None, map(shutil.which, ("bash", "sh"))), str(stays)])
    began = time.time()
    # In a process group of its own, as a terminal starts it.
    dvc = subprocess.Popen(
        command,
        cwd=clone.folder,
        env={**clone.environment, "SHELL": shell},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    moment, seconds = chance.choice(["at random", "while writing"]), chance.uniform(0.5, 4)
    while time.time() < began + seconds and dvc.poll() is None:
        if moment == "while writing" and is_writing(clone, began):
            break
        time.sleep(0.002)
    told, whom = chance.choice(SIGNALS), chance.choice(["dvc", "stage", "both"])
    children = psutil.Process(dvc.pid).children(recursive=True) if dvc.poll() is None else []
    for process in {"dvc": [dvc], "stage": children, "both": [dvc, *children]}[whom]:
        process.send_signal(told)
    running = dvc.poll() is None or dvc.returncode < 0
    output, _ = dvc.communicate(timeout=120)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    if re.search(HALF_WRITTEN, output):
        clone.make("verify")
    return f"{told.name} to {whom}, {moment}" if running else ""


def test_killed_again_and_again_it_ends_with_the_same_bytes(
    clone: Clone, tmp_path: Path, thorough: bool
) -> None:
    disturbed, chance = Clone.of(clone.folder, tmp_path / "repository"), random.Random(SEED)
    times, targets = (60, ()) if thorough else (5, FEW)
    kills: list[str] = []
    while len(kills) < times:
        kills += filter(None, [kill(disturbed, chance, "dvc", "repro", *targets)])
    print(*sorted(kills), sep="\n")
    if re.search(HALF_WRITTEN, disturbed.dvc("status", check=False).stderr):
        disturbed.make("verify")
    disturbed.dvc("repro", *targets)
    done = disturbed.outs()
    assert done.items() <= clone.outs().items()
    assert {path: md5(disturbed.folder / path) for path in done} == done
    # Nothing else lies about but DVC's own, for the page that it caches, and ours.
    ignored = {"data", "data/idx", "data/pictures", "reports"}
    assert disturbed.files() - {f"{folder}/.gitignore" for folder in ignored} == set(done)
    cache = disturbed.folder / ".dvc" / "cache"
    print(f"{len(list(cache.rglob('.*.tmp')))} files half copied into DVC's cache")
    disturbed.make("verify")
    assert list(cache.rglob(".*")) == []
    assert disturbed.outs() == done
