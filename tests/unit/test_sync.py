"""make notebook: an edit of either file is in both afterwards, whatever the times of the files."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jupytext
import pytest

from notebooks.__main__ import NOTEBOOKS, stripped, sync
from stages.common.errors import UserError

# The first cells.
TEXT = "\n# %%".join(
    NOTEBOOKS[0].with_suffix(".py").read_text(encoding="utf-8").split("\n# %%")[:6]
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A notebook, as ``make notebook`` leaves it; its text is beside it."""
    made = tmp_path / "a.ipynb"
    made.write_text(stripped(TEXT), encoding="utf-8")
    made.with_suffix(".py").write_text(TEXT, encoding="utf-8")
    return made


def edit_text(path: Path, new: str = "# %%\nnew = 1\n") -> None:
    text = path.with_suffix(".py")
    text.write_text(f"{text.read_text(encoding='utf-8')}\n{new}", encoding="utf-8")


def edit_cells(path: Path, edit: Callable[[list[Any]], Any]) -> None:
    notebook = jupytext.read(path)
    edit(notebook.cells)
    jupytext.write(notebook, path)


def add(cells: list[Any], text: str = "added = 1") -> None:
    cells.extend(jupytext.reads(text, fmt="py:percent").cells)


def change(cells: list[Any]) -> None:
    cells[1].source += "\nchanged = 1"


def turn(cells: list[Any]) -> None:
    cells[1].cell_type = "markdown"
    del cells[1]["outputs"], cells[1]["execution_count"]


def run_cells(path: Path) -> None:
    """What Jupyter saves where cells were run, and none was edited."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            output = {"output_type": "stream", "name": "stdout", "text": ["1"]}
            cell |= {"outputs": [output], "execution_count": 1}
    path.write_text(json.dumps(notebook), encoding="utf-8")


def cells(path: Path) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in jupytext.read(path).cells]


def is_synced(path: Path) -> bool:
    text = path.with_suffix(".py").read_text(encoding="utf-8")
    return path.read_text(encoding="utf-8") == stripped(text)


EDITS: dict[str, Callable[[list[Any]], Any]] = {
    "add": add,
    "delete": list.pop,
    "change": change,
    "move": lambda cells: cells.append(cells.pop(1)),
    "turn": turn,
}
# The seconds by which the text is the newer one.
TIMES = [-100, 100]


def age(path: Path, seconds: int) -> None:
    os.utime(path, (1e9, 1e9))
    os.utime(path.with_suffix(".py"), (1e9 + seconds, 1e9 + seconds))


@pytest.mark.parametrize("seconds", TIMES)
@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_notebook_is_taken(path: Path, edit: str, seconds: int) -> None:
    edit_cells(path, EDITS[edit])
    wanted = cells(path)
    assert wanted != cells(path.with_suffix(".py"))
    age(path, seconds)
    sync(path)
    assert cells(path) == cells(path.with_suffix(".py")) == wanted
    assert is_synced(path)


@pytest.mark.parametrize("seconds", TIMES)
@pytest.mark.parametrize("also", [lambda _: None, run_cells])
def test_an_edited_text_is_taken(path: Path, also: Callable[[Path], None], seconds: int) -> None:
    also(path)
    edit_text(path)
    wanted = path.with_suffix(".py").read_bytes()
    age(path, seconds)
    sync(path)
    assert path.with_suffix(".py").read_bytes() == wanted
    assert is_synced(path)


@pytest.mark.parametrize("seconds", TIMES)
@pytest.mark.parametrize("edit", EDITS)
def test_of_two_edits_none_is_lost(path: Path, edit: str, seconds: int) -> None:
    edit_cells(path, EDITS[edit])
    edit_text(path)
    both = path.read_bytes(), path.with_suffix(".py").read_bytes()
    age(path, seconds)
    with pytest.raises(UserError, match=r"^a\.ipynb and a\.py were both edited: .+$"):
        sync(path)
    assert (path.read_bytes(), path.with_suffix(".py").read_bytes()) == both


@pytest.mark.parametrize("kept", [".ipynb", ".py"])
def test_a_missing_file_is_made_of_the_other(path: Path, kept: str) -> None:
    """As the message on two edits asks for."""
    edit_cells(path, change)
    edit_text(path)
    wanted = cells(path.with_suffix(kept))
    path.with_suffix({".ipynb": ".py", ".py": ".ipynb"}[kept]).unlink()
    sync(path)
    assert cells(path) == cells(path.with_suffix(".py")) == wanted
    assert is_synced(path)


def test_the_same_edit_of_both_is_one(path: Path) -> None:
    edit_cells(path, add)
    edit_text(path, "# %%\nadded = 1\n")
    sync(path)
    assert is_synced(path)


def test_edits_in_turn_without_a_commit(path: Path) -> None:
    for edit in (add, None, change, None, list.pop):
        edit_cells(path, edit) if edit else edit_text(path)
        sync(path)
        assert is_synced(path)
    assert ("code", "added = 1") in cells(path)


def test_a_header_of_the_text_stays(path: Path) -> None:
    text = path.with_suffix(".py")
    text.write_text(TEXT.replace("display_name: Python 3", "display_name: Mine"), encoding="utf-8")
    wanted = text.read_bytes()
    assert b"Mine" in wanted
    sync(path)
    assert text.read_bytes() == wanted
    assert jupytext.read(path).metadata.kernelspec.display_name.startswith("Mine")


def test_without_a_record_of_the_last_time_it_is_not_guessed(path: Path) -> None:
    notebook = jupytext.read(path)
    del notebook.metadata["synced"]
    jupytext.write(notebook, path)
    edit_text(path)
    with pytest.raises(UserError, match="both edited"):
        sync(path)


@pytest.mark.parametrize("content", ["<<<<<<< HEAD\n{}\n", ""])
def test_a_file_that_is_no_notebook_is_told(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(UserError, match=r"a\.ipynb is no notebook"):
        sync(path)
    assert path.read_text() == content


def test_a_picture_in_a_cell_is_not_lost(path: Path) -> None:
    edit_cells(path, lambda cells: add(cells, "# %% [markdown]\n# ![x](attachment:x.png)"))
    picture = {"attachments": {"x.png": {"image/png": "iVBORw0KGgo="}}}
    edit_cells(path, lambda cells: cells[-1].update(picture))
    before = path.read_bytes(), path.with_suffix(".py").read_bytes()
    with pytest.raises(UserError, match=r"^a\.ipynb has a picture in a cell, which a\.py cannot"):
        sync(path)
    assert (path.read_bytes(), path.with_suffix(".py").read_bytes()) == before
