"""Killed at any moment, a full disk, two runs at once, damaged files: the same bytes afterwards.

With ``--thorough`` every stage is among those disturbed, and more often; otherwise a few.
"""

import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil

from tests.support.clone import Clone, md5, ran

SEED = 20
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
FEW = ("gallery", "augment", "find_neighbors@test_in_train")
# What DVC says of the two files that it writes in place, where it was killed at that moment.
HALF_WRITTEN = (
    r"dvc\.lock' (is invalid|validation failed)|Unable to read RWLock|RWLock.*format error"
)


def is_as_undisturbed(disturbed: Clone, clone: Clone) -> None:
    """Check that every output is the clone's, and that nothing else lies about."""
    done = disturbed.outs()
    assert done.items() <= clone.outs().items()
    assert {path: md5(disturbed.folder / path) for path in done} == done
    # DVC's own, for the page that it caches, and ours.
    ignored = {"data", "data/idx", "data/pictures", "reports"}
    assert disturbed.files() - {f"{folder}/.gitignore" for folder in ignored} == set(done)
    cache = disturbed.folder / ".dvc" / "cache"
    print(f"{len(list(cache.rglob('.*.tmp')))} files half copied into DVC's cache")
    disturbed.make("verify")
    assert list(cache.rglob(".*")) == []
    assert disturbed.outs() == done


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
    dvc = clone.popen(*command, SHELL=shell)
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
    is_as_undisturbed(disturbed, clone)


def test_a_full_disk_is_told_and_does_no_harm(
    clone: Clone, small_disk: Path, thorough: bool
) -> None:
    disturbed = Clone.of(clone.folder, small_disk)
    # The size of the disk, which becomes larger until it holds all.
    megabytes, failed = 4, 0
    grows, targets = (2, ()) if thorough else (4, ("augment",))
    while (done := disturbed.dvc("repro", *targets, check=False)).returncode:
        assert "Traceback" not in done.stderr
        lines = re.findall(r"^.*(?:disk is full|[Nn]o space left).*$", done.stderr, re.M)
        assert lines, done.stderr
        failed += 1
        megabytes *= grows
        resize = ["mount", "-o", f"remount,size={megabytes}m", str(small_disk)]
        subprocess.run(resize, check=True)
        if re.search(HALF_WRITTEN, done.stderr):
            disturbed.make("verify")
    assert failed
    is_as_undisturbed(disturbed, clone)


def test_two_runs_at_once_do_no_harm(clone: Clone) -> None:
    clone.edit(gallery__n_digits=70)
    runs = [clone.popen("dvc", "repro", "gallery") for _ in range(2)]
    told = [run.communicate(timeout=300)[0] for run in runs]
    for run, output in zip(runs, told, strict=True):
        if run.returncode:
            assert re.search("is busy, it is being blocked by|Unable to acquire lock", output)
    assert not all(run.returncode for run in runs)
    assert "gallery" not in ran(clone.dvc("repro", "gallery").stdout)
    outs = clone.outs()
    assert {path: md5(clone.folder / path) for path in outs} == outs
    clone.undo()


def test_what_is_damaged_is_made_again(clone: Clone) -> None:
    """Where DVC can see it; what it cannot see is for ``make verify``."""
    outs = clone.outs()
    for path in ("data/train/labels.npy", "reports/metrics/summary.json"):
        file = clone.folder / path
        file.chmod(0o644)
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    clone.repro()
    assert {path: md5(clone.folder / path) for path in outs} == outs == clone.outs()
    assert clone.run("git", "status", "--porcelain") == ""
