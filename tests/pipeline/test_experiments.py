"""Experiments in DVC's queue, several at once, and what DVC shows of them."""

from collections.abc import Iterator

import pytest
from dvc.repo import Repo

from tests.support.clone import Clone
from tests.support.waiting import wait_for

COLUMNS = 120
EDIT = "binary.thresholds.decision.sgd=-100000,100000"


@pytest.fixture
def queue(clone: Clone) -> Iterator[Clone]:
    """A clone without experiments, whose queue is emptied and stopped in the end."""
    clone.dvc("exp", "remove", "--all-commits", check=False)
    yield Clone(clone.folder, COLUMNS=str(COLUMNS))
    clone.dvc("queue", "stop", "--kill")
    clone.dvc("queue", "remove", "--all", check=False)
    clone.dvc("exp", "remove", "--all-commits", check=False)


def test_two_at_once_change_nothing_here_and_are_shown_whole(queue: Clone) -> None:
    queue.dvc("exp", "run", "--queue", "--set-param", EDIT)
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

    # Without what the README leaves out; and with all that DVC has to say, the figures first.
    figures = {"sgd.precision", "sgd.recall"}
    for options, names in (
        (("--drop", ".*/|State|Executor"), {*figures, "-100000", "100000", EDIT.split("=")[0]}),
        ((), figures),
    ):
        lines = queue.dvc("exp", "show", "--only-changed", "--no-pager", *options).stdout
        shown = {word for line in lines.splitlines() for word in line[:COLUMNS].split()}
        assert names <= shown
        if options:
            assert max(map(len, lines.splitlines())) <= COLUMNS
            assert "…" not in lines
