"""What reruns when: README.md's table, row by row, with ``dvc repro`` on the sample."""

import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.clone import Clone
from tests.support.dag import NAMES, parameters, stages
from tests.support.documents import section

# By the words of the README's row, what is edited at once: values, or texts of files. No other test
# may use these values: DVC would remember them.
EDITS: dict[str, dict[str, Any] | list[tuple[str, str, str]]] = {
    "`binary.thresholds.precision` or any other threshold": {
        "binary__thresholds__precision": 0.97,
        "binary__thresholds__decision__forest": 0.25,
        "binary__thresholds__first_digit": [-10.0, 10.0],
    },
    "`grid.n_neighbors`, `grid.weights` (up to `neighbors.k`)": {"grid__n_neighbors": [2, 9]},
    "`errors.pair`": {"errors__pair": [4, 9]},
    "`data.classes`": {"data__classes": [f"class {n}" for n in range(10)]},
    "`multilabel.large_from`": {"multilabel__large_from": 6},
    "`denoise.high`": {"denoise__high": 80},
    "`forest.n_estimators`": {"forest__n_estimators": 12},
    "`augment.shifts`": {"augment__shifts": [[2, 0]]},
    "`sgd_scaled.tol`": {"sgd_scaled__tol": 1.0},
    "a line of `stages/models/forest.py`": [
        ("stages/models/forest.py", "    return ", "    # Trees.\n    return ")
    ],
    "a chart in `.dvc/plots`, a line of `report.html`": [
        (".dvc/plots/roc.json", "ROC curves", "The curves"),
        ("stages/report/pages/report/report.html", "<h1>Classifying", "<h1>Now classifying"),
    ],
    "a bound in `stages/check_params.py`": [
        ("stages/check_params.py", "ge=1, le=1000", "ge=1, le=2000")
    ],
    "a comment in `params.yaml`, this README": [
        ("params.yaml", "# fit: the models, ", "# fit: all the models, "),
        ("README.md", "# Digitline", "# The digits"),
    ],
}


@pytest.fixture(autouse=True, scope="module")
def undone(clone: Clone) -> Iterator[None]:
    """Whatever a test has edited, and failed before it was undone."""
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
    """Make the edits of a row, and undo all others."""
    clone.undo_edits()
    edits = EDITS[row]
    if isinstance(edits, dict):
        clone.edit(**edits)
    else:
        for texts in edits:
            clone.replace(*texts)


def test_an_edit_runs_what_the_readme_says(clone: Clone, thorough: bool) -> None:
    """And what it changes back, of the edit before it, runs nothing."""
    expected = rows()
    for row, named in expected.items():
        # Which the README says of every parameter, and of every parameter and line of code.
        if re.match(r"`\w+\.", row):
            named.add("check_params")
        if named:
            named.add("report")
    ran, reports = {}, {}
    for row in EDITS:
        edit(clone, row)
        ran[row], reports[row] = clone.repro(), clone.reports()
    assert ran == expected
    # Nor does an edit run anything another time: each, or every fourth.
    for row in list(EDITS)[:: 1 if thorough else 4]:
        edit(clone, row)
        assert clone.repro() == set(), row
        assert clone.reports() == reports[row], row
    clone.undo_edits()
    assert clone.repro() == set()
    assert clone.run("git", "status", "--porcelain") == ""


LEFT_BY_OTHERS = (
    *(".DS_Store", "._a.py", "Thumbs.db", "a.py~", ".a.py.swp", ".a.py.swo", "a.py.orig"),
    *("#a.py#", ".a.py.kate-swp", "4913", ".~lock.a.csv#", ".syncthing.a.py.tmp", ".nfs0001"),
    *("._a.csv", "._a.js", "._a.json", "._a.png"),
)


def test_what_editors_file_managers_and_other_branches_leave_runs_nothing(clone: Clone) -> None:
    """Of other branches, ``data/`` keeps outputs of stages that this one has not."""
    code = ("stages/common", "stages/output", "stages/report/pages/report", ".dvc/plots")
    made = ("data/metrics", "reports/plots", "reports/pictures")
    folders = [clone.folder / name for name in (*code, *made)]
    left = [folder / name for folder in folders for name in LEFT_BY_OTHERS]
    for path in left:
        path.write_bytes(b"\x00\xff")
    # As Emacs marks a file that is not saved: a link to nowhere.
    left.append(folders[0] / ".#a.py")
    left[-1].symlink_to("user@host.1:1")
    left.append(clone.folder / "data" / "metrics" / "other.json")
    left[-1].write_text("{}")
    for kind in ("binary", "digits"):
        left.append(clone.folder / "data" / "models" / kind / "other")
        shutil.copytree(left[-1].with_name("sgd"), left[-1])
    try:
        assert clone.repro() == set()
        showing = ("evaluate_binary", "evaluate_digits", "report")
        forced = clone.dvc("repro", "--single-item", "--force", *showing).stdout
        assert forced.count("Running stage") == len(showing)
    finally:
        for path in left:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert clone.run("git", "status", "--porcelain") == ""


def test_another_version_of_a_library_concerns_the_stages_that_declare_it(clone: Clone) -> None:
    """And one of a tool none."""
    path = clone.folder / "stages" / "libraries.yaml"
    libraries = YAML(typ="safe").load(path)
    requirements = clone.folder / "requirements.txt"
    pins = re.sub(r"^(pytest|ruff)==\S+", r"\1==99.0", requirements.read_text(), flags=re.M)
    assert pins.count("==99.0") == 2
    requirements.write_text(pins)
    assert json.loads(clone.dvc("status", "--json").stdout) == {}
    path.write_text(re.sub('".+"', '"99.0"', path.read_text()))
    concerned: dict[str, set[str]] = {library: set() for library in libraries}
    for name, reasons in json.loads(clone.dvc("status", "--json").stdout).items():
        for changed in (reason.get("changed deps", {}) for reason in reasons):
            for library in changed.get("stages/libraries.yaml", {}):
                concerned[library].add(name)
    clone.undo_edits()
    assert concerned == {
        library: {
            name
            for name, stage in stages().items()
            if library in parameters(stage).get("stages/libraries.yaml", [])
        }
        for library in libraries
    }
    assert all(0 < len(names) < len(NAMES) for names in concerned.values())


def test_a_version_that_is_not_the_pinned_one_computes_nothing(clone: Clone) -> None:
    clone.replace("stages/libraries.yaml", '\nnumpy: "', '\nnumpy: "99.')
    failed = clone.dvc("repro", check=False)
    assert failed.returncode != 0
    assert re.search(r"^numpy \S+ is installed, but results are of 99\.", failed.stderr, re.M)
    clone.undo_edits()
    assert clone.repro() == set()
