"""Experiments in DVC's queue, several at once, and what DVC shows of them."""

import csv
from collections.abc import Iterator

import pytest
from dvc.repo import Repo

from stages.report.results import value
from tests.support.clone import Clone
from tests.support.waiting import wait_for

COLUMNS = 120
# What the README leaves out.
DROP = ("--drop", ".*/|State|Executor")


@pytest.fixture(scope="module")
def queue(clone: Clone) -> Iterator[Clone]:
    """A clone without experiments, whose queue is emptied and stopped in the end."""
    clone.dvc("exp", "remove", "--all-commits", check=False)
    yield clone
    clone.dvc("queue", "stop", "--kill")
    clone.dvc("queue", "remove", "--all", check=False)
    clone.dvc("exp", "remove", "--all-commits", check=False)


def test_two_at_once_change_nothing_here(queue: Clone) -> None:
    edit = "binary.thresholds.decision.sgd=-100000,100000"
    queue.dvc("exp", "run", "--queue", "--set-param", edit)
    before = queue.files(), queue.outs()
    queue.dvc("queue", "start", "--jobs", "2")

    def ended() -> list[bool]:
        # For a moment, one that starts is neither queued nor active.
        with Repo(str(queue.folder)) as repo:
            done = [bool(one.result) for one in repo.experiments.celery_queue.iter_done()]
        return done if len(done) == 2 else []

    assert all(wait_for(ended, pause=1))
    # Nor is anything damaged, which verify would remove.
    queue.make("verify")
    assert (queue.files(), queue.outs()) == before
    assert queue.run("git", "status", "--porcelain") == ""


def table(clone: Clone, *options: str) -> list[str]:
    """The lines of ``dvc exp show --only-changed`` in a terminal of so many columns."""
    in_columns = Clone(clone.folder, COLUMNS=str(COLUMNS))
    return in_columns.dvc("exp", "show", "--only-changed", *options).stdout.splitlines()


def rounded(text: str, decimals: int) -> str | float:
    """A number, rounded; anything else as it is."""
    try:
        return round(float(text), decimals)
    except ValueError:
        return text


def test_what_has_changed_is_shown_whole_in_120_columns(queue: Clone) -> None:
    """Those of the test before, two of an edited threshold."""
    header, *rows = csv.reader(table(queue, "--csv", *DROP))
    changed = dict(zip(header, zip(*rows, strict=True), strict=True))
    assert {"sgd.precision", "sgd.recall"} < set(changed)
    assert len(rows) == 4
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
