"""README.md and docs/ say what the repository does."""

import json
import re
import sys
from functools import reduce
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ruamel.yaml import YAML
from sklearn.naive_bayes import GaussianNB

from stages.data.sources import Mnist
from tests.support import ROOT
from tests.support.dag import NAMES, edges
from tests.support.documents import section


def test_the_results_are_the_summary_and_name_what_they_are_of() -> None:
    rows = re.findall(
        r"^\| `(.+)` \| .+ \| `(.+)` `(.+)` \| (.+) \|$", section("README.md", "Results"), re.M
    )
    summary = json.loads((ROOT / "reports" / "metrics" / "summary.json").read_text())
    assert {key: float(shown) for key, *_, shown in rows} == summary
    units = YAML(typ="safe").load(ROOT / "stages" / "report" / "summary.yaml").values()
    of = {key: (of["file"], of["key"]) for figures in units for key, of in figures.items()}
    assert {key: (file, path) for key, file, path, _ in rows} == of


def test_the_experiments_shown_are_of_this_summary_and_these_parameters() -> None:
    _, block, _ = section("README.md", "Results").split("```")
    asked, shown, *lines = block.strip().splitlines()
    assert max(map(len, lines)) <= 120
    assert shown.startswith("$ dvc exp show --only-changed ")
    (key, values), *_ = re.findall(r"--queue -S '([\w.]+)=(\S+)'", asked)
    header, workspace, main, *experiments = (line.split() for line in lines if "───" not in line)
    assert header[:2] == ["Experiment", "Created"]
    assert header[-1] == key
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    baseline = str(reduce(lambda value, part: value[part], key.split("."), params))
    assert workspace[-1] == main[-1] == baseline
    assert {row[-1] for row in experiments} == set(values.split(","))
    summary = json.loads((ROOT / "reports" / "metrics" / "summary.json").read_text())
    figures = header[2:-1]
    assert [float(value) for value in main[-1 - len(figures) : -1]] == [
        summary[figure] for figure in figures
    ]


def test_the_speed_table_is_what_the_benchmark_printed() -> None:
    rows = [
        line
        for line in (ROOT / "docs" / "speed.md").read_text().splitlines()
        if line.startswith("|")
    ]
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


def test_the_layout_names_what_there_is() -> None:
    layout = section("README.md", "Layout").split("```")[1]
    names = (re.split(" {2,}", line.strip())[0] for line in layout.splitlines())
    named = {name for several in names for name in re.findall(r"[\w./]+", several)}
    chapters = {f"{path.name}/" for path in (ROOT / "stages").iterdir() if path.is_dir()}
    assert chapters - {"__pycache__/"} <= named
    for name in named - chapters:
        assert (ROOT / name).exists() or (ROOT / "stages" / name).exists(), name


DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


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


def test_every_key_it_names_is_in_params() -> None:
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    edits = re.findall(r"^\| `([a-z_.]+)`", section("README.md", "What reruns when"), re.M)
    assert len(edits) > 5
    for key in edits:
        reduce(lambda value, part: value[part], key.split("."), params)


def test_committed_reports_are_of_the_full_mnist() -> None:
    table = (ROOT / "reports" / "notebook.csv").read_text()
    assert '"images, pixels of each","70000, 784","70000, 784",same' in table


def test_pre_commit_has_the_pinned_ruff() -> None:
    config = YAML(typ="safe").load(ROOT / ".pre-commit-config.yaml")
    pinned = re.search(r"^ruff==(\S+)", (ROOT / "requirements.txt").read_text(), re.M)
    assert pinned is not None
    assert config["repos"][0]["rev"] == f"v{pinned[1]}"
