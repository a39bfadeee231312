"""The table of the notebook's figures, and when it stops the run."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages.common.errors import UserError
from stages.report.compare_notebook import Row, changed, main, verdict
from stages.report.summarise import main as write_summary
from stages.report.summarise import summarise
from tests.support import ROOT

yaml = YAML(typ="safe", pure=True)
Compare = Callable[..., list[str]]


def row(**values: Any) -> Row:
    return Row(cell="In 1", figure="x", file="m.json", **values)


@pytest.fixture
def compare(tmp_path: Path) -> Compare:
    """Run the stage on one figure and return its row."""

    def run(
        ours: float | None, params: dict[str, Any] | None = None, is_mnist: bool = True
    ) -> list[str]:
        (tmp_path / "data.json").write_text(json.dumps({"is_mnist": is_mnist}))
        (tmp_path / "m.json").write_text(json.dumps({"a": {} if ours is None else {"b": ours}}))
        figure = {
            "cell": "In 1",
            "figure": "accuracy",
            "file": "m.json",
            "keys": ["a.b"],
            "notebook": [0.5],
            "drift": {"reason": "the stream moved", "now": [0.25]},
        }
        notebook = {"params": {"binary": {"target": 5}}, "figures": [figure]}
        yaml.dump(notebook, tmp_path / "notebook.yaml")
        yaml.dump(params or {"binary": {"target": 5, "other": 1}}, tmp_path / "params.yaml")
        out = tmp_path / "table.csv"
        try:
            main(tmp_path / "params.yaml", tmp_path / "notebook.yaml", tmp_path, tmp_path, out)
        finally:
            (table,) = list(csv.reader(out.read_text().splitlines()))[1:]
        return table

    return run


def test_the_same_figure(compare: Compare) -> None:
    table = compare(0.5)
    assert table == ["In 1", "accuracy", "0.5", "0.5", "same"]


def test_a_figure_that_is_known_to_drift(compare: Compare) -> None:
    assert compare(0.25)[3:] == ["0.25", "drift: the stream moved"]


@pytest.mark.parametrize("ours", [0.4, 0.500001, None])
def test_another_figure_stops_the_run(compare: Compare, ours: float | None) -> None:
    with pytest.raises(UserError, match=r"differs from the notebook: In 1 accuracy$"):
        compare(ours)


def test_other_parameters_are_named_and_do_not_stop_the_run(compare: Compare) -> None:
    table = compare(0.4, params={"binary": {"target": 3}})
    assert table[-1] == "differs: not the notebook's binary.target"


def test_other_data_do_not_stop_the_run(compare: Compare) -> None:
    table = compare(0.4, is_mnist=False)
    assert table[-1] == "not the notebook's data"


def test_figures_agree_to_the_decimals_that_are_shared(tmp_path: Path) -> None:
    known = row(keys=["a"], notebook=[1.72501977], decimals=4)
    assert verdict(known, [1.725], tmp_path) == "same"
    assert verdict(known, [1.7252], tmp_path) == "differs"


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
    ],
)
def test_every_number_of_a_figure_agrees_by_less_than_one_in_its_last_decimal(
    tmp_path: Path, ours: list[Any], theirs: list[Any], decimals: int, same: bool
) -> None:
    known = row(keys=["a", "b"], notebook=theirs, decimals=decimals)
    assert verdict(known, ours, tmp_path) == ("same" if same else "differs")


def test_nine_decimals_agree_where_none_are_named(tmp_path: Path) -> None:
    for difference, expected in ((9e-10, "same"), (2e-9, "differs")):
        assert verdict(row(keys=["a"], notebook=[0.5]), [0.5 + difference], tmp_path) == expected


def test_the_table_has_figures_of_metrics_and_of_plots(tmp_path: Path) -> None:
    """Its lines, byte by byte; numbers by the ten."""
    metrics, plots, out = tmp_path / "metrics", tmp_path / "plots", tmp_path / "table.csv"
    for folder in (metrics, plots):
        folder.mkdir()
    (metrics / "data.json").write_text('{"is_mnist": true}')
    (metrics / "m.json").write_text('{"a": 0.123456789012, "é": true}')
    (plots / "p.csv").write_text("x,y\n" + "".join(f"{i},{i / 2}\n" for i in range(6)))
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
    yaml.dump({"params": {"k": 3}, "figures": figures}, tmp_path / "notebook.yaml")
    yaml.dump({"k": 3}, tmp_path / "params.yaml")
    with pytest.raises(UserError, match=r"In 4 more; In 5 gone$"):
        main(tmp_path / "params.yaml", tmp_path / "notebook.yaml", metrics, plots, out)
    assert out.read_bytes().decode("utf-8").splitlines(keepends=True) == [
        "cell,figure,notebook,this_run,verdict\n",
        "In 1,é,0.123456789,0.123456789,same\n",
        'In 2,counts,"0, 1, 2, 3, 4, 5, 0, 0.5, 1, 1.5 / 2, 2.5",'
        '"0, 1, 2, 3, 4, 5, 0, 0.5, 1, 1.5 / 2, 2.5",same\n',
        "In 3,floor,above 0.1,0.123456789,same\n",
        "In 4,more,above m.json none,0.123456789,differs\n",
        'In 5,gone,"1, True","0.123456789, none, True",differs\n',
    ]


def test_a_figure_above_a_number_or_another(tmp_path: Path) -> None:
    assert verdict(row(keys=["a"], above=0.97), [0.9714], tmp_path) == "same"
    assert verdict(row(keys=["a"], above=0.97), [0.97], tmp_path) == "differs"
    (tmp_path / "other.json").write_text('{"t": 0.9}')
    other = row(keys=["a"], above={"file": "other.json", "key": "t"})
    assert verdict(other, [0.91], tmp_path) == "same"
    assert verdict(other, [0.9], tmp_path) == "differs"
    assert verdict(other, [None], tmp_path) == "differs"
    # All of them.
    assert verdict(other, [0.91, 0.9], tmp_path) == "differs"


def test_a_summary_in_percent_and_grey_levels(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"a": {"b": 0.876543, "all": 1.0}, "c": 14.2608}')
    asked = {
        "percent": {
            "x": {"file": "m.json", "key": "a.b"},
            "y": {"file": "m.json", "key": "a.all"},
            "none": {"file": "m.json", "key": "d.e"},
        },
        "grey_levels": {"z": {"file": "m.json", "key": "c"}},
    }
    expected = {"x": 87.65, "y": 100, "z": 14.26}
    assert summarise(asked, tmp_path) == expected
    yaml.dump(asked, tmp_path / "summary.yaml")
    write_summary(tmp_path / "summary.yaml", tmp_path, tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == expected


def test_changed_parameters_by_dotted_key() -> None:
    theirs = {"a": {"b": 1, "c": [1, 2]}, "d": 2}
    assert changed(theirs, {"a": {"b": 1, "c": [1, 3], "new": 0}, "d": 2}) == ["a.c"]
    assert changed(theirs, {"a": {"b": 1, "c": [1, 2]}, "d": 2}) == []


def test_the_committed_parameters_are_the_notebooks() -> None:
    notebook = yaml.load(ROOT / "stages" / "report" / "notebook.yaml")
    assert changed(notebook["params"], yaml.load(ROOT / "params.yaml")) == []


def test_the_committed_table_has_every_row_and_no_difference() -> None:
    notebook = yaml.load(ROOT / "stages" / "report" / "notebook.yaml")
    with (ROOT / "reports" / "notebook.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    for row, figure in zip(table, (Row(**values) for values in notebook["figures"]), strict=True):
        assert [row["cell"], row["figure"]] == [figure.cell, figure.figure]
        drift = figure.drift and f"drift: {figure.drift['reason']}"
        assert row["verdict"] in ("same", drift)
