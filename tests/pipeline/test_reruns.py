"""What reruns when: README.md's table, row by row, with ``dvc repro`` on the sample."""

import json
import re
import shutil

from benchmarks import warm
from tests.support.clone import Clone
from tests.support.dag import NAMES, parameters, stages
from tests.support.documents import section

# The sample has fewer trees and passes. No other test may use these values: DVC remembers them.
EDITS = {
    **warm.EDITS,
    "`forest.n_estimators`": {"forest.n_estimators": 12},
    "`sgd_scaled.tol`": {"sgd_scaled.tol": 1.0},
}


def test_an_edit_runs_what_the_readme_says(clone: Clone, thorough: bool) -> None:
    """And what it changes back, of the edit before it, runs nothing."""
    _, *rows = re.findall(
        r"^\| (.+?) \| (.+?) \| .+ \|$", section("README.md", "What reruns when"), re.M
    )
    expected = {}
    for row, runs in rows:
        expected[row] = set(re.findall("`(.+?)`", runs))
        # Which the README says of every parameter, and of every parameter and line of code.
        if re.match(r"`\w+\.", row):
            expected[row].add("check_params")
        if expected[row]:
            expected[row].add("report")
    ran, reports = {}, {}
    for row in EDITS:
        warm.edit(clone.folder, EDITS[row])
        ran[row], reports[row] = clone.repro(), clone.reports()
    assert ran == expected
    # Nor does an edit run anything another time: each, or every sixth.
    for row in list(EDITS)[:: 1 if thorough else 6]:
        warm.edit(clone.folder, EDITS[row])
        assert clone.repro() == set(), row
        assert clone.reports() == reports[row], row
    clone.undo_edits()
    assert clone.repro() == set()
    assert clone.run("git", "status", "--porcelain") == ""


LEFT_BY_OTHERS = (
    *(".DS_Store", "._a.py", "Thumbs.db", "a.py~", ".a.py.swp", ".a.py.swo", "a.py.orig"),
    *("#a.py#", ".a.py.kate-swp", "4913", ".~lock.a.csv#", ".syncthing.a.py.tmp", ".nfs0001"),
    *(".#a.py", "._a.csv", "._a.js", "._a.json", "._a.png"),
)


def test_what_editors_file_managers_and_other_branches_leave_runs_nothing(clone: Clone) -> None:
    """Of other branches, ``data/`` keeps outputs of stages that this one has not."""
    code = ("stages/common", "stages/output", "stages/report/pages/report", ".dvc/plots")
    made = ("data/metrics", "reports/plots", "reports/pictures")
    folders = [clone.folder / name for name in (*code, *made)]
    left = [folder / name for folder in folders for name in LEFT_BY_OTHERS]
    for path in left:
        path.write_bytes(b"\x00\xff")
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
    """One of a tool concerns none. And what is not the pinned one computes nothing."""
    clone.replace("requirements.txt", "\npytest==", "\npytest==99.")
    clone.replace("stages/libraries.yaml", '\nnumba: "', '\nnumba: "99.')
    declared = {
        name
        for name, stage in stages().items()
        if "numba" in parameters(stage).get("stages/libraries.yaml", [])
    }
    assert {"fit@digits_sgd", "choose_svm"} < declared < set(NAMES) - {"fit@binary_forest"}
    # The report has the digest of all files of stages.
    assert set(json.loads(clone.dvc("status", "--json").stdout)) == declared | {"report"}
    failed = clone.dvc("repro", check=False)
    assert failed.returncode != 0
    assert re.search(r"^numba \S+ is installed, but results are of 99\.", failed.stderr, re.M)
    clone.undo_edits()
    assert clone.repro() == set()
