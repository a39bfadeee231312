"""The table of the notebook's figures, and when it stops the run."""

import csv
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages.report.compare_notebook import Row, changed, compare
from tests.support import ROOT

yaml = YAML(typ="safe", pure=True)


def compared(
    ours: Any, params: dict[str, Any] | None = None, is_mnist: bool = True, **figure: Any
) -> tuple[str, ...]:
    """The row of one figure, after its name, where ``a.b`` is ``ours``."""
    figure = {"cell": "In 1", "figure": "é", "file": "folder/m.json", "keys": ["a.b"]} | figure
    notebook = {"params": {"binary": {"target": 5}}, "figures": [figure]}
    results = {
        "data": {"is_mnist": is_mnist},
        "folder": {"m": {"a": {"b": ours}, "c": {"d": True}}},
        "plots": {"p": [["x", "y"], ["1", "3"], ["2.5", "4"]]},
    }
    (found,) = compare(notebook, params or {"binary": {"target": 5, "other": 1}}, results)
    assert found[:2] == ("In 1", "é")
    return found[2:]


def test_a_figure_is_the_same_or_has_a_reason() -> None:
    drift = {"reason": "the stream moved", "now": [0.25]}
    figure: dict[str, Any] = {"notebook": [0.5], "drift": drift}
    assert compared(0.5, **figure) == ("0.5", "0.5", "same")
    assert compared(0.25, **figure) == ("0.5", "0.25", "drift: the stream moved")
    assert compared(None, **figure) == ("0.5", "none", "differs")
    other = compared(0.4, params={"binary": {"target": 3}}, **figure)
    assert other[-1] == "differs: not the notebook's binary.target"
    assert compared(0.5, is_mnist=False, **figure)[-1] == "not the notebook's data"


@pytest.mark.parametrize(
    ("ours", "notebook", "same"),
    [
        (0.5099, {"notebook": [0.5], "decimals": 2}, True),
        (0.5101, {"notebook": [0.5], "decimals": 2}, False),
        (0.4899, {"notebook": [0.5], "decimals": 2}, False),
        # Nine, where none are named.
        (0.5 + 9e-10, {"notebook": [0.5]}, True),
        (0.5 + 2e-9, {"notebook": [0.5]}, False),
        # Every number of a figure.
        (0.5, {"keys": ["a.b", "c.d"], "notebook": [0.5, True]}, True),
        (0.5, {"keys": ["a.b", "c.d"], "notebook": [0.5, False]}, False),
        (0.5, {"notebook": [0.5, True]}, False),
        (0.5, {"file": "plots/p.csv", "keys": ["x"], "notebook": [1, 2.5]}, True),
        (0.5, {"above": 0.4}, True),
        (0.5, {"above": 0.5}, False),
        (0.5, {"above": {"file": "folder/m.json", "key": "a.b"}, "keys": ["c.d"]}, True),
        (0.5, {"above": {"file": "folder/m.json", "key": "a.b"}, "keys": ["c.d", "a.b"]}, False),
    ],
)
def test_every_number_agrees_by_less_than_one_in_its_last_decimal_or_is_above(
    ours: Any, notebook: dict[str, Any], same: bool
) -> None:
    assert compared(ours, **notebook)[-1] == ("same" if same else "differs")


def test_the_committed_table_is_of_the_notebooks_parameters_and_has_no_difference() -> None:
    files = ("stages/report/notebook.yaml", "params.yaml")
    notebook, params = (yaml.load(ROOT / file) for file in files)
    assert changed(notebook["params"], params) == []
    params["grid"]["n_neighbors"], params["binary"]["target"] = [3], 4
    assert changed(notebook["params"], params) == ["binary.target", "grid.n_neighbors"]
    with (ROOT / "reports" / "notebook.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    for row, figure in zip(table, (Row(**values) for values in notebook["figures"]), strict=True):
        assert [row["cell"], row["figure"]] == [figure.cell, figure.figure]
        drift = figure.drift and f"drift: {figure.drift['reason']}"
        assert row["verdict"] in ("same", drift)
