"""The README says what the repository does."""

import json
import re
from functools import reduce
from typing import Any

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from stages.compare_notebook import find
from tests.clone import ROOT

README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    found: str = README.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    return found


def test_the_results_are_those_of_the_reports() -> None:
    rows = re.findall(
        r"^\| (.+) \| \[(.+\.json)\]\(.+\) `(.+)` \| (.+) \|$", section("Results"), re.M
    )
    assert len(rows) > 10
    for what, file, key, shown in rows:
        (value,) = find(ROOT / "reports" / "metrics", file, (key,))
        assert isinstance(value, int | float), what
        decimals = len(shown.partition(".")[2])
        assert f"{value:.{decimals}f}" == shown, what


def test_the_speed_table_is_what_the_benchmark_printed() -> None:
    rows = [line for line in section("How fast").splitlines() if line.startswith("|")]
    assert len(rows) > 10
    assert set(rows) <= set((ROOT / "benchmarks" / "full.md").read_text().splitlines())


# DVC's own use of pygtrie.
@pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")
def test_the_drawn_graph_is_the_dag() -> None:
    """Node for node and edge for edge, whatever the numbers that DVC gives the nodes."""
    drawn = section("The graph")
    names = dict(re.findall(r'(node\d+)\["(.+)"\]', drawn))
    edges = {(names[a], names[b]) for a, b in re.findall(r"(node\d+)-->(node\d+)", drawn)}
    with Repo(str(ROOT)) as repo:
        graph = repo.index.graph
        group = {stage: stage.addressing.split("@")[0] for stage in graph}
        expected = {(group[dep], group[stage]) for stage, dep in graph.edges}
    assert edges == expected
    assert set(names.values()) == set(group.values())


def test_every_key_it_names_is_in_params() -> None:
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    edits = re.findall(r"^\| `([a-z_.]+)`", section("What reruns when"), re.M)
    assert len(edits) > 5
    for key in edits:
        reduce(lambda value, part: value[part], key.split("."), params)


def test_committed_reports_are_of_the_full_mnist() -> None:
    data: Any = json.loads((ROOT / "reports" / "metrics" / "data.json").read_text())
    assert data == {"images": 70000, "pixels": 784, "is_mnist": True}


def test_pre_commit_has_the_pinned_ruff() -> None:
    config = YAML(typ="safe").load(ROOT / ".pre-commit-config.yaml")
    pinned = re.search(r"^ruff==(\S+)", (ROOT / "requirements.txt").read_text(), re.M)
    assert pinned is not None
    assert config["repos"][0]["rev"] == f"v{pinned[1]}"
