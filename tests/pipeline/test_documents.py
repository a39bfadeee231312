"""README.md and docs/ say what the repository does."""

import json
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ruamel.yaml import YAML
from sklearn.naive_bayes import GaussianNB

from stages.data.sources import Mnist
from stages.report.results import value
from tests.support import ROOT
from tests.support.dag import NAMES, edges, stages
from tests.support.documents import section

SUMMARY = json.loads((ROOT / "reports" / "metrics" / "summary.json").read_text())


def test_the_experiments_shown_are_of_this_summary_and_these_parameters() -> None:
    *_, block, _ = section("README.md", "Use it").split("```")
    asked, _, *lines = block.strip().splitlines()
    assert max(map(len, lines)) <= 120
    ((key, values),) = re.findall(r"--queue -S '([\w.]+)=(\S+)'", asked)
    header, workspace, main, *experiments = (line.split() for line in lines if "───" not in line)
    assert {row[-1] for row in experiments} == set(values.split(","))
    figures = header[2:-1]
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    expected = [*(value(SUMMARY, figure) for figure in figures), value(params, header[-1])]
    assert header[-1] == key
    for row in (workspace, main):
        # DVC shows five digits.
        found = [float(cell) for cell in row[-len(expected) :]]
        assert found == pytest.approx(expected, abs=5e-6)


def test_the_sample_shown_is_beside_this_summary() -> None:
    lines = (ROOT / "README.md").read_text().split("$ dvc metrics diff main\n")[1].split("...")[0]
    for path, figure, main, sample, change in (line.split() for line in lines.splitlines()[1:]):
        assert (ROOT / path).is_file()
        assert float(main) == pytest.approx(value(SUMMARY, figure), abs=5e-6)
        assert float(sample) - float(main) == pytest.approx(float(change), abs=1.5e-5)


def test_the_summary_has_every_figure_that_it_is_asked_for() -> None:
    asked = YAML(typ="safe").load(ROOT / "stages" / "report" / "summary.yaml")
    assert {model: {*of} for model, of in SUMMARY.items()} == {
        model: {*of} for model, of in asked.items()
    }


def test_the_speed_table_is_what_the_benchmark_printed() -> None:
    lines = (ROOT / "docs" / "speed.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) > 10
    assert set(rows) <= set((ROOT / "benchmarks" / "full.md").read_text().splitlines())


def test_the_times_of_edits_are_what_the_benchmark_printed() -> None:
    printed = (ROOT / "benchmarks" / "warm.md").read_text()
    seconds = dict(re.findall(r"^\| (.+) \| (\d+\.\d+) s \| .+ \|$", printed, re.M))
    rows = re.findall(
        r"^\| (.+?) \| .+? \| (\d+ (?:s|min)) \|$", section("README.md", "What reruns when"), re.M
    )
    assert len(rows) > 10
    for edit, shown in rows:
        time = float(seconds[edit])
        assert shown == (f"{time:.0f} s" if time < 100 else f"{time / 60:.0f} min"), edit


def test_the_drawn_graph_is_the_dag() -> None:
    """Node for node and edge for edge, whatever the numbers that DVC gives the nodes."""
    drawn = (ROOT / "docs" / "graph.md").read_text()
    names = dict(re.findall(r'(node\d+)\["(.+)"\]', drawn))
    arrows = {(names[a], names[b]) for a, b in re.findall(r"(node\d+)-->(node\d+)", drawn)}
    groups = {name: name.split("@")[0] for name in NAMES}
    assert arrows == {(groups[dep], groups[stage]) for stage, dep in edges()}
    assert set(names.values()) == set(groups.values())


TRACKED = subprocess.run(
    ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
).stdout.splitlines()
OUTS = [str(out.def_path) for stage in stages().values() for out in stage.outs]
# Files, folders, outputs, all with what is above them.
PATHS = {str(at) for path in (*TRACKED, *OUTS) for at in (Path(path), *Path(path).parents)}
TESTS = {Path(path).stem for path in PATHS}


def is_named_right(word: str) -> bool:
    """Whether there is what a word of code names, if that is a test, a module or a path."""
    path = word.strip("/")
    if re.fullmatch(r"test_\w+", path):
        return path in TESTS
    is_path = path.endswith(".py") or ("/" in path and path.split("/")[0] in PATHS)
    # What users and DVC bring.
    if not is_path or path.startswith(("data/idx", "data/pictures", ".dvc/tmp")):
        return True
    # Capitals stand for any name; a document may leave out folders above.
    pattern = path if path in PATHS else re.sub(r"\b[A-Z]{3,}\b", "*", path)
    return any(fnmatch(at, pattern) or fnmatch(at, f"*/{pattern}") for at in PATHS)


@pytest.mark.parametrize(
    "name", [path for path in TRACKED if path.endswith(".md") and path != "CHANGELOG.md"]
)
def test_what_a_document_names_exists(name: str) -> None:
    path, text = ROOT / name, (ROOT / name).read_text()
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert [link for link in links if not (path.parent / link).exists()] == []
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    words = re.findall(r"(?<!\S)[\w./*-]+(?!\S)", " ".join(re.findall(r"`([^`\n]+)`", prose)))
    assert [word for word in words if not is_named_right(word)] == []


def test_every_promise_is_held_by_a_test() -> None:
    rows = re.findall(r"^\| .+ \|$", (ROOT / "docs" / "trust.md").read_text(), re.M)
    promises = [row for row in rows if row.count("|") == 5][1:]
    assert len(promises) > 10
    assert [row for row in promises if not re.search(r"`test_\w+` \|$", row)] == []


def test_the_example_of_a_test_passes_for_the_model_it_is_of(
    digits: Mnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CONTRIBUTING.md's, on a module such as its reader writes."""
    module = ModuleType("stages.models.bayes")
    vars(module)["build"] = lambda _, var_smoothing: GaussianNB(var_smoothing=var_smoothing)
    monkeypatch.setitem(sys.modules, "stages.models.bayes", module)
    monkeypatch.setattr("stages.models.bayes", module, raising=False)
    code = (ROOT / "CONTRIBUTING.md").read_text().split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)
    names["test_bayes_is_scikit_learns"](digits)
