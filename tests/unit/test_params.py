"""A wrong value in params.yaml ends in one line that names it."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages.check_params import Params, main
from stages.common.errors import UserError
from stages.common.params import read
from tests.support import ROOT
from tests.support.clone import Clone

yaml = YAML(typ="safe", pure=True)


def check(params: Path, folder: Path) -> None:
    """Run the stage, whose outputs are in ``folder``."""
    main(params, *(folder / name for name in ("checked", "values.json", "schema.json")))


def edited(folder: Path, key: str, value: Any) -> Path:
    """A copy of params.yaml with one value set."""
    shutil.copy(ROOT / "params.yaml", folder)
    Clone(folder).edit(**{key.replace(".", "__"): value})
    return folder / "params.yaml"


def mistakes(params: Path) -> list[str]:
    """What is told of a file, which each line names."""
    with pytest.raises(UserError) as error:
        check(params, params.parent)
    assert not (params.parent / "checked").exists()
    lines = str(error.value).splitlines()
    assert all(line.startswith(f"{params}: ") for line in lines)
    return [line.removeprefix(f"{params}: ") for line in lines]


def test_the_repositorys_params_are_valid(tmp_path: Path) -> None:
    check(ROOT / "params.yaml", tmp_path)
    assert (tmp_path / "checked").read_text() == "params.yaml is valid\n"
    values = json.loads((tmp_path / "values.json").read_text())
    assert values == yaml.load(ROOT / "params.yaml") == read(ROOT / "params.yaml", "")
    assert read(ROOT / "params.yaml", "binary.target") == values["binary"]["target"]
    # For editors, the schema is where the first line says.
    schema = json.loads((tmp_path / "schema.json").read_text())
    assert schema == Params.model_json_schema()
    assert list(schema["properties"]) == list(values)
    first, *_ = (ROOT / "params.yaml").read_text().splitlines()
    path = yaml.load(ROOT / "dvc.yaml")["vars"][0]["schema"]
    assert first == f"# yaml-language-server: $schema={path}"


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("binary.target", 256, "less than or equal to 255"),
        ("binary.target", True, "valid integer"),
        ("binary.thresholds.decision.sgd", float("nan"), "finite number"),
        ("grid.n_neighbors", [3, 3], "listed once"),
        ("grid.weights", ["uniform", "nearest"], "'uniform' or 'distance'"),
        ("augment.shifts", [[40, 0]], "less than or equal to 27"),
        ("augment.shifts", [[1, 0, 0]], "at most 2 items"),
        ("data.classes", [0, 1], "auto, or a list of names"),
        ("data.classes", ["cat", "cat"], "auto, or a list of names, each once"),
        ("errors.pair", [3, 3], "listed once"),
        ("svc.gamma", "fast", "scale, auto or a number above 0"),
        ("ovr_svc.gamma", 0, "scale, auto or a number above 0"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(
    tmp_path: Path, key: str, value: Any, allowed: str
) -> None:
    (line,) = mistakes(edited(tmp_path, key, value))
    assert re.search(f"^{key}.* .*{re.escape(allowed)}", line)


def test_a_right_value_is_taken(tmp_path: Path) -> None:
    for key, value in (("neighbors.k", 5), ("grid.n_folds", 3.0), ("svc.gamma", 1e-9)):
        check(edited(tmp_path, key, value), tmp_path)
    check(edited(tmp_path, "data.classes", ["cat", "dog"]), tmp_path)


def test_all_mistakes_are_told_unknown_keys_first(tmp_path: Path) -> None:
    """Such a key may be the missing one, mistyped."""
    params = yaml.load(ROOT / "params.yaml")
    params["forest"]["n_estimator"] = params["forest"].pop("n_estimators")
    params["grid"] |= {"n_neighbors": [3, 65], "n_folds": 1}
    params["multilabel"]["n_neighbors"] = 66
    params["binary"]["thresholds"]["precision"] = 90
    params["denoise"] = [1]
    path = tmp_path / "params.yaml"
    yaml.dump(params, path)
    first, *others = mistakes(path)
    assert first == "forest.n_estimator is not a known key"
    assert sorted(others) == [
        "binary.thresholds.precision is 90, but should be less than or equal to 1",
        "denoise is [1], but should be a valid dictionary or instance of Denoise",
        "forest.n_estimators is missing",
        "grid.n_folds is 1, but should be greater than or equal to 2",
        "grid.n_neighbors.1 is 65, but should be at most neighbors.k, 64",
        "multilabel.n_neighbors is 66, but should be at most neighbors.k, 64",
    ]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (b"[a, b]: 1\n", "('a', 'b') is not a known key"),
        *((more, "not YAML: ") for more in (b"grid: 1\n", b"a: \xe9\n", b"a: &a [*a]\n")),
    ],
)
def test_odd_keys_and_odd_bytes_are_told_in_one_line(
    tmp_path: Path, more: bytes, told: str
) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes((ROOT / "params.yaml").read_bytes() + more)
    (line,) = mistakes(path)
    assert line.startswith(told)


def test_a_whole_number_is_one_value_however_it_is_written(tmp_path: Path) -> None:
    """DVC compares 3 and 3.0 as equal, and would run nothing after such an edit."""
    values = []
    for name, text in (("a", "[3, 0, -7, 100000000000]"), ("b", "[3.0, -0.0, -7.0, 1e11]")):
        path = tmp_path / name
        path.write_text(f"used: {{values: {text}, other: [0.5, true, text]}}\n")
        values.append(read(path, "used"))
    assert repr(values[0]) == repr(values[1])
    assert values[0]["other"] == [0.5, True, "text"]
