"""The table of the notebook's figures, and when it stops the run."""

import csv
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages.report.compare_notebook import Results, Row, changed, compare, verdict
from stages.report.summary import summarise
from tests.support import ROOT

yaml = YAML(typ="safe", pure=True)


def row(**values: Any) -> Row:
    return Row(cell="In 1", figure="x", file="m.json", **values)


def results(**metrics: Any) -> Results:
    return Results(metrics, {"curve": [["x", "y"], ["1", "0.5"], ["2", "0.25"]]})


def compared(
    ours: float | None, params: dict[str, Any] | None = None, is_mnist: bool = True
) -> tuple[str, ...]:
    """The row of one figure."""
    figure = {
        "cell": "In 1",
        "figure": "accuracy",
        "file": "folder/m.json",
        "keys": ["a.b"],
        "notebook": [0.5],
        "drift": {"reason": "the stream moved", "now": [0.25]},
    }
    notebook = {"params": {"binary": {"target": 5}}, "figures": [figure]}
    measured = results(
        data={"is_mnist": is_mnist}, folder={"m": {"a": {} if ours is None else {"b": ours}}}
    )
    (found,) = compare(notebook, params or {"binary": {"target": 5, "other": 1}}, measured)
    return found


def test_a_figure_is_the_same_or_has_a_reason() -> None:
    assert compared(0.5) == ("In 1", "accuracy", "0.5", "0.5", "same")
    assert compared(0.25)[3:] == ("0.25", "drift: the stream moved")
    for ours in (0.4, 0.500001, None):
        assert compared(ours)[-1] == "differs"
    other = compared(0.4, params={"binary": {"target": 3}})
    assert other[-1] == "differs: not the notebook's binary.target"
    assert compared(0.5, is_mnist=False)[-1] == "not the notebook's data"


@pytest.mark.parametrize(
    ("ours", "theirs", "decimals", "same"),
    [
        ([0.5099, 1], [0.5, 1], 2, True),
        ([0.5101, 1], [0.5, 1], 2, False),
        ([0.4899, 1], [0.5, 1], 2, False),
        ([0.5, 1.5], [0.5, 1], 2, False),
        ([0.5, None], [0.5, 1], 2, False),
        ([0.5], [0.5, 1], 2, False),
        ([0.5, 1, 1], [0.5, 1], 2, False),
        ([5], [4], 0, False),
        ([1.725], [1.72501977], 4, True),
        ([1.7252], [1.72501977], 4, False),
    ],
)
def test_every_number_of_a_figure_agrees_by_less_than_one_in_its_last_decimal(
    ours: list[Any], theirs: list[Any], decimals: int, same: bool
) -> None:
    known = row(keys=["a", "b"], notebook=theirs, decimals=decimals)
    assert verdict(known, ours, results()) == ("same" if same else "differs")


def test_nine_decimals_agree_where_none_are_named() -> None:
    for difference, expected in ((9e-10, "same"), (2e-9, "differs")):
        assert verdict(row(keys=["a"], notebook=[0.5]), [0.5 + difference], results()) == expected


def test_the_table_has_figures_of_metrics_and_of_plots() -> None:
    """Numbers by the ten."""
    numbers = [*range(6), *(i / 2 for i in range(6))]
    of_m: dict[str, Any] = {"file": "m.json", "keys": ["a"]}
    figures = [
        {"cell": "In 1", "figure": "é", **of_m, "notebook": [0.12345678901]},
        {
            "cell": "In 2",
            "figure": "counts",
            "file": "p.csv",
            "keys": ["x", "y"],
            "notebook": numbers,
        },
        {"cell": "In 3", "figure": "floor", **of_m, "above": 0.1},
        {"cell": "In 4", "figure": "more", **of_m, "above": {"file": "m.json", "key": "none"}},
        {
            "cell": "In 5",
            "figure": "gone",
            **of_m,
            "keys": ["a", "b.c", "é"],
            "notebook": [1, True],
        },
    ]
    lines = [[str(i), str(i / 2)] for i in range(6)]
    measured = Results(
        {"data": {"is_mnist": True}, "m": {"a": 0.123456789012, "é": True}},
        {"p": [["x", "y"], *lines]},
    )
    assert list(compare({"params": {"k": 3}, "figures": figures}, {"k": 3}, measured)) == [
        ("In 1", "é", "0.123456789", "0.123456789", "same"),
        (
            *("In 2", "counts"),
            *2 * ("0, 1, 2, 3, 4, 5, 0, 0.5, 1, 1.5 / 2, 2.5",),
            "same",
        ),
        ("In 3", "floor", "above 0.1", "0.123456789", "same"),
        ("In 4", "more", "above m.json none", "0.123456789", "differs"),
        ("In 5", "gone", "1, True", "0.123456789, none, True", "differs"),
    ]


def test_a_figure_above_a_number_or_another() -> None:
    assert verdict(row(keys=["a"], above=0.97), [0.9714], results()) == "same"
    assert verdict(row(keys=["a"], above=0.97), [0.97], results()) == "differs"
    other = row(keys=["a"], above={"file": "other.json", "key": "t"})
    measured = results(other={"t": 0.9})
    assert verdict(other, [0.91], measured) == "same"
    assert verdict(other, [0.9], measured) == "differs"
    assert verdict(other, [None], measured) == "differs"
    assert verdict(other, [0.91], results()) == "differs"
    # All of them.
    assert verdict(other, [0.91, 0.9], measured) == "differs"


def test_figures_of_a_plot_are_all_numbers_of_its_columns() -> None:
    assert results().find("curve.csv", ["y", "x"]) == [0.5, 0.25, 1, 2]


def test_a_summary_is_by_model_of_what_there_is() -> None:
    asked = {"sgd": {"f1": "m.a.b", "none": "m.a.c"}, "knn": {"error": "m.d"}}
    measured = {"m": {"a": {"b": 0.876543}, "d": 0}}
    assert summarise(asked, measured) == {"sgd": {"f1": 0.876543}, "knn": {"error": 0}}


def test_changed_parameters_by_dotted_key() -> None:
    theirs = {"a": {"b": 1, "c": [1, 2]}, "d": 2}
    assert changed(theirs, {"a": {"b": 1, "c": [1, 3], "new": 0}, "d": 2}) == ["a.c"]
    assert changed(theirs, {"a": {"b": 1, "c": [1, 2]}, "d": 2}) == []


def test_the_committed_table_is_of_the_notebooks_parameters_and_has_no_difference() -> None:
    notebook = yaml.load(ROOT / "stages" / "report" / "notebook.yaml")
    assert changed(notebook["params"], yaml.load(ROOT / "params.yaml")) == []
    with (ROOT / "reports" / "notebook.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    for row, figure in zip(table, (Row(**values) for values in notebook["figures"]), strict=True):
        assert [row["cell"], row["figure"]] == [figure.cell, figure.figure]
        drift = figure.drift and f"drift: {figure.drift['reason']}"
        assert row["verdict"] in ("same", drift)
