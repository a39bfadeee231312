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


def both(path: Path) -> list[bytes]:
    return [each.read_bytes() for each in (path, path.with_suffix(".py"))]


def cells(path: Path) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in jupytext.read(path).cells]


def edit_text(path: Path, new: str = "# %%\nnew = 1\n") -> None:
    text = path.with_suffix(".py")
    text.write_text(f"{text.read_text(encoding='utf-8')}\n{new}", encoding="utf-8")


def edit_cells(path: Path, edit: Callable[[list[Any]], Any]) -> None:
    notebook = jupytext.read(path)
    edit(notebook.cells)
    jupytext.write(notebook, path)


def add(cells: list[Any], text: str = "added = 1") -> None:
    cells.extend(jupytext.reads(text, fmt="py:percent").cells)


def turn(cells: list[Any]) -> None:
    """Make text of a cell of code."""
    cells[1].cell_type = "markdown"
    del cells[1]["outputs"], cells[1]["execution_count"]


EDITS: dict[str, Callable[[list[Any]], Any]] = {
    "change": lambda cells: cells[1].update(source=f"{cells[1].source}\nchanged = 1"),
    "move": lambda cells: cells.append(cells.pop(1)),
    "turn": turn,
}


def run_cells(path: Path) -> None:
    """What Jupyter saves where cells were run, and none was edited."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            output = {"output_type": "stream", "name": "stdout", "text": ["1"]}
            cell |= {"outputs": [output], "execution_count": 1}
    path.write_text(json.dumps(notebook), encoding="utf-8")


def synced(path: Path, wanted: Path | None = None) -> None:
    """Both files are, to the cells that one of them has, whichever is the newer one."""
    expected, before = cells(wanted or path), both(path)
    for seconds in (-100, 100):
        for file, content in zip((path, path.with_suffix(".py")), before, strict=True):
            file.write_bytes(content)
        os.utime(path, (1e9, 1e9))
        os.utime(path.with_suffix(".py"), (1e9 + seconds, 1e9 + seconds))
        sync(path)
        assert cells(path) == cells(path.with_suffix(".py")) == expected
        text = path.with_suffix(".py").read_text(encoding="utf-8")
        assert path.read_text(encoding="utf-8") == stripped(text)


def refused(path: Path, told: str) -> None:
    """None of the two is lost."""
    before = both(path)
    with pytest.raises(UserError, match=told):
        sync(path)
    assert both(path) == before


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_of_one_is_in_both_and_of_two_none_is_lost(path: Path, edit: str) -> None:
    edit_cells(path, EDITS[edit])
    assert cells(path) != cells(path.with_suffix(".py"))
    synced(path)
    edit_text(path)
    run_cells(path)
    wanted = path.with_suffix(".py").read_bytes()
    synced(path, path.with_suffix(".py"))
    assert path.with_suffix(".py").read_bytes() == wanted
    edit_cells(path, add)
    edit_text(path)
    refused(path, r"^a\.ipynb and a\.py were both edited: .+$")


@pytest.mark.parametrize("kept", [".ipynb", ".py"])
def test_a_missing_file_is_made_of_the_other(path: Path, kept: str) -> None:
    """As the message on two edits asks for."""
    edit_cells(path, add)
    edit_text(path)
    wanted = cells(path.with_suffix(kept))
    path.with_suffix({".ipynb": ".py", ".py": ".ipynb"}[kept]).unlink()
    sync(path)
    assert cells(path) == cells(path.with_suffix(".py")) == wanted


def test_the_same_edit_of_both_is_one(path: Path) -> None:
    edit_cells(path, add)
    edit_text(path, "# %%\nadded = 1\n")
    synced(path)


def test_a_header_of_the_text_stays(path: Path) -> None:
    text = path.with_suffix(".py")
    text.write_text(TEXT.replace("display_name: Python 3", "display_name: Mine"), encoding="utf-8")
    synced(path)
    assert b"Mine" in text.read_bytes()
    assert jupytext.read(path).metadata.kernelspec.display_name.startswith("Mine")


def test_without_a_record_of_the_last_time_it_is_not_guessed(path: Path) -> None:
    notebook = jupytext.read(path)
    del notebook.metadata["synced"]
    jupytext.write(notebook, path)
    edit_text(path)
    refused(path, "both edited")


def test_a_file_that_is_no_notebook_is_told(path: Path) -> None:
    path.write_text("<<<<<<< HEAD\n{}\n")
    refused(path, r"a\.ipynb is no notebook")


def test_a_picture_in_a_cell_is_not_lost(path: Path) -> None:
    edit_cells(path, lambda cells: add(cells, "# %% [markdown]\n# ![x](attachment:x.png)"))
    picture = {"attachments": {"x.png": {"image/png": "iVBORw0KGgo="}}}
    edit_cells(path, lambda cells: cells[-1].update(picture))
    refused(path, r"^a\.ipynb has a picture in a cell, which a\.py cannot")
