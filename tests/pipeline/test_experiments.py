"""Experiments in DVC's queue, several at once, one of them killed; and what DVC shows of them."""

import csv
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from dvc.repo import Repo

from stages.report.results import value
from tests.support.clone import Clone
from tests.support.waiting import wait_for

COLUMNS = 120
# What the README leaves out, and the parameter of the experiment that is killed.
DROP = ("--drop", ".*/|State|Executor|forest.*")
JOBS = 2
# Where each runs: a copy of the repository.
COPIES = Path(".dvc", "tmp", "exps")


def running(clone: Clone) -> Iterator[psutil.Process]:
    """The stages of experiments that run now."""
    for process in psutil.process_iter(["cmdline", "cwd"]):
        command, folder = process.info["cmdline"] or [], process.info["cwd"] or ""
        if command[1:3] == ["-m", "stages"] and folder.startswith(str(clone.folder / COPIES)):
            yield process


def kill_the_dvc_of(stage: str, clone: Clone) -> None:
    """Kill, as a machine that runs out of memory does, the DVC that runs a stage in a copy."""

    def found() -> psutil.Process | None:
        of_stage = (process for process in running(clone) if stage in process.info["cmdline"])
        return next(of_stage, None)

    parents = wait_for(found).parents()
    next(parent for parent in parents if "exec-run" in parent.cmdline()).kill()


def ended(clone: Clone, n: int) -> dict[str | None, bool]:
    """Whether each of the queue's ``n`` experiments has succeeded, by its name, after all."""

    def found() -> dict[str | None, bool] | None:
        # For a moment, one that starts is neither queued nor active.
        with Repo(str(clone.folder)) as repo:
            done = list(repo.experiments.celery_queue.iter_done())
        return {one.entry.name: bool(one.result) for one in done} if len(done) == n else None

    return wait_for(found, pause=1)


@pytest.fixture(scope="module")
def queue(clone: Clone) -> Iterator[Clone]:
    """A clone without experiments, whose queue is emptied and stopped in the end."""
    clone.dvc("exp", "remove", "--all-commits", check=False)
    yield clone
    clone.dvc("queue", "stop", "--kill")
    clone.dvc("queue", "remove", "--all", check=False)
    clone.dvc("exp", "remove", "--all-commits", check=False)


def test_one_that_is_killed_harms_no_other_and_runs_again(queue: Clone) -> None:
    asked = ("exp", "run", "--queue", "--set-param")
    again = (*asked, "forest.n_estimators=20", "--name", "killed")
    queue.dvc(*again)
    queue.dvc(*asked, "binary.thresholds.decision.sgd=-100000,100000")
    before = queue.files(), queue.outs()
    queue.dvc("queue", "start", "--jobs", str(JOBS))
    kill_the_dvc_of("models.fit", queue)
    states = ended(queue, 3)
    assert [name for name, succeeded in states.items() if not succeeded] == ["killed"]
    assert list(running(queue)) == []
    # Nothing here has changed, or is damaged, which verify would remove.
    queue.make("verify")
    assert (queue.files(), queue.outs()) == before
    assert queue.run("git", "status", "--porcelain") == ""

    queue.dvc("queue", "remove", "--failed")
    queue.dvc(*again)
    queue.dvc("queue", "start", "--jobs", str(JOBS))
    assert all(ended(queue, 3).values())


def table(clone: Clone, *options: str) -> list[str]:
    """The lines of ``dvc exp show --only-changed`` in a terminal of so many columns."""
    clone_of_columns = Clone(clone.folder, clone.trace, COLUMNS=str(COLUMNS))
    return clone_of_columns.dvc("exp", "show", "--only-changed", *options).stdout.splitlines()


def rounded(text: str, decimals: int) -> str | float:
    """A number, rounded; anything else as it is."""
    try:
        return round(float(text), decimals)
    except ValueError:
        return text


def test_what_has_changed_is_shown_whole_in_120_columns(queue: Clone) -> None:
    """Those of the test before: three, of which two are of an edited threshold."""
    header, *rows = csv.reader(table(queue, "--csv", *DROP))
    changed = dict(zip(header, zip(*rows, strict=True), strict=True))
    assert {"sgd.precision", "sgd.recall"} < set(changed)
    assert len(rows) == 5
    shown = table(queue, "--no-pager", *DROP)
    assert max(map(len, shown)) <= COLUMNS
    words = [word for line in shown for word in line.split()]
    assert "…" not in words
    keys = [key for key in changed if value(queue.summary(), key) is not None]
    assert {*keys, "binary.thresholds.decision.sgd"} <= set(words)
    for key in keys:
        # To five digits.
        for figure in changed[key]:
            assert any(rounded(word, 5) == rounded(figure, 5) for word in words), figure
    # With all that DVC has to say, the figures come first, whole.
    for options in ((), ("--no-pager",)):
        seen = [line[:COLUMNS].split() for line in table(queue, *options)]
        (names,) = (line for line in seen if "Experiment" in line)
        assert set(keys) <= set(names)
