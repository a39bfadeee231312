"""Killed at any moment, a full disk, two runs at once, damaged files: the same bytes afterwards.

With ``--thorough`` every stage is among those disturbed, and more often; otherwise a few.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.support.clone import Clone, md5, ran

SEED = 20
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


class Interrupter:
    """Kills ``dvc repro`` or its stage, at a random moment or as an output is being written."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)

    def __init__(self, clone: Clone, seed: int) -> None:
        self.clone, self.random = clone, random.Random(seed)
        self.stays = clone.folder.parent / "stays"
        self.stays.write_text('#!/bin/sh\n/bin/sh "$@"\nexit $?\n')
        self.stays.chmod(0o755)
        self.kills: Counter[str] = Counter()

    def traces(self) -> Iterator[Path]:
        return self.clone.trace.glob("*.jsonl")

    def kill(self, *command: str) -> bool:
        """Start, interrupt, wait for the end of all; whether it was still running."""
        # Of a single command bash becomes it; a shell that stays is between DVC and its stage.
        installed = filter(None, map(shutil.which, ("bash", "sh")))
        shell = self.random.choice([*installed, str(self.stays)])
        for trace in self.traces():
            trace.unlink()
        dvc = self.clone.popen(*command, SHELL=shell)
        moment = self.random.choice(["at random", "while writing"])
        end = time.monotonic() + self.random.uniform(0.5, 4)
        while time.monotonic() < end and dvc.poll() is None:
            # A stage has opened an output.
            if moment != "at random" and any('"write"' in t.read_text() for t in self.traces()):
                break
            time.sleep(0.002)
        told, whom = self.random.choice(self.SIGNALS), self.random.choice(["dvc", "stage", "both"])
        children = psutil.Process(dvc.pid).children(recursive=True) if dvc.poll() is None else []
        if whom in ("dvc", "both") and dvc.poll() is None:
            dvc.send_signal(told)
        if whom in ("stage", "both"):
            for child in children:
                child.send_signal(told)
        running = dvc.poll() is None or dvc.returncode < 0
        output, _ = dvc.communicate(timeout=120)
        _, alive = psutil.wait_procs(children, timeout=10)
        assert alive == []
        self.kills[f"{told.name} to {whom}, {moment}"] += running
        if half := re.search(HALF_WRITTEN, output):
            self.kills[f"mended after {half[0]}"] += 1
            self.clone.make("verify")
        return running


def test_killed_again_and_again_it_ends_with_the_same_bytes(
    clone: Clone, tmp_path: Path, thorough: bool
) -> None:
    disturbed = Clone.of(clone.folder, tmp_path / "repository", tmp_path)
    interrupter = Interrupter(disturbed, SEED)
    times, targets = (60, ()) if thorough else (5, FEW)
    while times > 0:
        times -= interrupter.kill("dvc", "repro", *targets)
    if re.search(HALF_WRITTEN, disturbed.dvc("status", check=False).stderr):
        disturbed.make("verify")
    disturbed.dvc("repro", *targets)
    print(*sorted((+interrupter.kills).items()), sep="\n")
    is_as_undisturbed(disturbed, clone)


def test_a_full_disk_is_told_and_does_no_harm(
    clone: Clone, small_disk: Path, tmp_path: Path, thorough: bool
) -> None:
    disturbed = Clone.of(clone.folder, small_disk, tmp_path)
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


def damage(path: Path) -> os.stat_result:
    """Change one byte in the middle; returns what the file was like."""
    was = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(was.st_mode)
    return was


def test_what_is_damaged_is_made_again(clone: Clone) -> None:
    """Where DVC can see it; and, after verify, as by a failing disk, with the same time."""
    outs = clone.outs()
    seen = ("data/train/labels.npy", "reports/metrics/summary.json")
    for path in seen:
        damage(clone.folder / path)
    clone.repro()
    assert {path: md5(clone.folder / path) for path in seen}.items() <= outs.items()
    in_cache = ("data/mnist/labels.npy", "data/test/labels.npy")
    in_place = ("data/is_target/train.npy", "data/augmented/labels.npy")
    cached = (clone.cached(outs[path]) for path in in_cache)
    for file in (*cached, *map(clone.folder.joinpath, in_place)):
        was = damage(file)
        os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    clone.make("verify")
    assert clone.repro() == set()
    for path in (*in_cache, *in_place):
        assert md5(clone.cached(outs[path])) == md5(clone.folder / path) == outs[path]
    assert clone.run("git", "status", "--porcelain") == ""
