"""What reruns when: README.md's table, row by row, with ``dvc repro`` on the sample."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.clone import Clone
from tests.support.dag import NAMES, parameters, stages
from tests.support.documents import section

Edit = Callable[[Clone], None]


def value(**values: Any) -> Edit:
    return lambda clone: clone.edit(**values)


def text(file: str, before: str, after: str) -> Edit:
    def edit(clone: Clone) -> None:
        path = clone.folder / file
        content = path.read_text()
        assert before in content
        path.write_text(content.replace(before, after, 1))

    return edit


# By the words of the README's row, what is edited at once. No other test may use these values: DVC
# would remember them.
EDITS: dict[str, list[Edit]] = {
    "`binary.thresholds.precision` or any other threshold": [
        value(
            binary__thresholds__precision=0.97,
            binary__thresholds__decision__forest=0.25,
            binary__thresholds__first_digit=[-10.0, 10.0],
        ),
    ],
    "`grid.n_neighbors`, `grid.weights` (up to `neighbors.k`)": [
        value(grid__n_neighbors=[2, 9]),
    ],
    "`errors.pair`": [value(errors__pair=[4, 9])],
    "`data.classes`": [value(data__classes=[f"class {n}" for n in range(10)])],
    "`multilabel.large_from`": [value(multilabel__large_from=6)],
    "`denoise.high`": [value(denoise__high=80)],
    "`forest.n_estimators`": [value(forest__n_estimators=12)],
    "`augment.shifts`": [value(augment__shifts=[[2, 0]])],
    "`sgd_scaled.tol`": [value(sgd_scaled__tol=1.0)],
    "a line of `stages/models/forest.py`": [
        text("stages/models/forest.py", "    return ", "    # Trees.\n    return ")
    ],
    "a chart in `.dvc/plots`, a line of `report.html`": [
        text(".dvc/plots/roc.json", "ROC curves", "The curves"),
        text("stages/report/pages/report/report.html", "<h1>Classifying", "<h1>Now classifying"),
    ],
    "a bound in `stages/check_params.py`": [
        text("stages/check_params.py", "ge=1, le=1000", "ge=1, le=2000")
    ],
    "a comment in `params.yaml`, this README": [
        text("params.yaml", "# fit: the models, ", "# fit: all the models, "),
        text("README.md", "# Digitline", "# The digits"),
    ],
}


@pytest.fixture(autouse=True)
def undone(clone: Clone) -> Iterator[None]:
    """Whatever a test has edited, failed or not."""
    yield
    clone.undo()


def rows() -> dict[str, set[str]]:
    """The stages that the table names, by its row's first cell."""
    cells = re.findall(
        r"^\| (.+?) \| (.+?) \| .+ \|$", section("README.md", "What reruns when"), re.M
    )
    return {edit: set(re.findall("`(.+?)`", runs)) for edit, runs in cells[1:]}


def test_every_row_is_tested_and_names_stages() -> None:
    assert list(rows()) == list(EDITS)
    assert set().union(*rows().values()) <= set(NAMES)


def edit(clone: Clone, row: str) -> None:
    """Make the edits of a row."""
    for one in EDITS[row]:
        one(clone)


@pytest.mark.parametrize("row", EDITS)
def test_an_edit_runs_what_the_readme_says(clone: Clone, row: str) -> None:
    before = (clone.folder / "params.yaml").read_text()
    edit(clone, row)
    # Which the README says of every parameter, and of every parameter and line of code.
    expected = rows()[row]
    if re.match(r"`\w+\.", row):
        expected |= {"check_params"}
    assert clone.repro() == expected | ({"report"} if expected else set())
    reports = clone.reports()
    # Changed back, and forth: DVC remembers both.
    clone.undo_edits()
    assert (clone.folder / "params.yaml").read_text() == before
    assert clone.repro() == set()
    assert clone.run("git", "status", "--porcelain") == ""
    edit(clone, row)
    assert clone.repro() == set()
    assert clone.reports() == reports


LEFT_BY_OTHERS = (
    *(".DS_Store", "._a.py", "Thumbs.db", "a.py~", ".a.py.swp", ".a.py.swo", "a.py.orig"),
    *("#a.py#", ".a.py.kate-swp", "4913", ".~lock.a.csv#", ".syncthing.a.py.tmp", ".nfs0001"),
    *("._a.csv", "._a.js", "._a.json", "._a.png"),
)


def test_what_editors_and_file_managers_leave_runs_nothing(clone: Clone) -> None:
    code = ("stages/common", "stages/output", "stages/report/pages/report", ".dvc/plots")
    made = ("data/metrics", "reports/plots", "reports/pictures")
    folders = [clone.folder / name for name in (*code, *made)]
    left = [folder / name for folder in folders for name in LEFT_BY_OTHERS]
    for path in left:
        path.write_bytes(b"\x00\xff")
    # As Emacs marks a file that is not saved: a link to nowhere.
    left.append(folders[0] / ".#a.py")
    left[-1].symlink_to("user@host.1:1")
    try:
        assert clone.repro() == set()
        clone.dvc("repro", "--single-item", "--force", "report")
        assert clone.run("git", "status", "--porcelain", "--", "dvc.lock") == ""
    finally:
        for path in left:
            path.unlink()


def test_what_another_branch_has_made_runs_nothing(clone: Clone) -> None:
    """``data/`` keeps outputs of stages that this branch has not."""
    left = [clone.folder / "data" / "metrics" / "other.json"]
    for kind in ("binary", "digits"):
        model = clone.folder / "data" / "models" / kind / "other"
        shutil.copytree(model.with_name("sgd"), model)
        left.append(model)
    left[0].write_text("{}")
    try:
        assert clone.repro() == set()
        for stage in ("evaluate_binary", "evaluate_digits", "report"):
            clone.dvc("repro", "--single-item", "--force", stage)
        assert clone.run("git", "status", "--porcelain") == ""
    finally:
        for path in left:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize("library", ["matplotlib", "numba", "pillow", "scipy"])
def test_another_version_of_a_library_concerns_the_stages_that_declare_it(
    clone: Clone, library: str
) -> None:
    path = clone.folder / "stages" / "libraries.yaml"
    path.write_text(
        re.sub(rf'^{library}: ".+"', f'{library}: "99.0"', path.read_text(), flags=re.M)
    )
    concerned = {
        name
        for name, stage in stages().items()
        if library in parameters(stage).get("stages/libraries.yaml", [])
    }
    changed = json.loads(clone.dvc("status", "--json").stdout)
    assert 0 < len(concerned) < len(NAMES)
    assert {
        name
        for name, reasons in changed.items()
        if any("stages/libraries.yaml" in reason.get("changed deps", {}) for reason in reasons)
    } == concerned


def test_another_version_of_a_tool_concerns_no_stage(clone: Clone) -> None:
    path = clone.folder / "requirements.txt"
    content = path.read_text()
    path.write_text(re.sub(r"^(pytest|ruff)==\S+", r"\1==99.0", content, flags=re.M))
    assert path.read_text() != content
    assert json.loads(clone.dvc("status", "--json").stdout) == {}


def test_a_version_that_is_not_the_pinned_one_computes_nothing(clone: Clone) -> None:
    text("stages/libraries.yaml", '\nnumpy: "', '\nnumpy: "99.')(clone)
    failed = clone.dvc("repro", check=False)
    assert failed.returncode != 0
    assert re.search(r"^numpy \S+ is installed, but results are of 99\.", failed.stderr, re.M)
    clone.undo_edits()
    assert clone.repro() == set()
