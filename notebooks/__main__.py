"""Bring each notebook and its text together: ``make notebook``, before a commit.

Of the two, the one that was edited is taken. The ``.ipynb`` then has no outputs, and the same bytes
for the same text. Outside of the graph: no stage reads them.
"""

import hashlib
import json
import sys
from collections import Counter
from pathlib import Path

import jupytext
from jupytext.config import load_jupytext_config
from nbformat import NotebookNode
from nbformat.reader import NotJSONError

from stages.common.errors import UserError

FOLDER = Path(__file__).parent
# One of the two files may be missing.
NOTEBOOKS = sorted(
    {path.with_suffix(".ipynb") for glob in ("*.ipynb", "[!_]*.py") for path in FOLDER.glob(glob)}
)


def digest(notebook: NotebookNode) -> str:
    """The MD5 of the kinds and sources of a notebook's cells."""
    cells = [(cell.cell_type, cell.source) for cell in notebook.cells]
    return hashlib.md5(json.dumps(cells).encode()).hexdigest()


def stripped(text: str) -> str:
    """The ``.ipynb`` of a notebook's text in jupytext's percent format, with nothing run.

    Each cell's id is a digest of its source, and of how many like it are above, so that it changes
    only with them. The metadata have the digest of all, by which an edit is seen.
    """
    notebook = jupytext.reads(text, fmt="py:percent")
    above: Counter[str] = Counter()
    for cell in notebook.cells:
        unique = cell.source + "\0" * above[cell.source]
        cell.id = hashlib.md5(unique.encode()).hexdigest()[:8]
        above[cell.source] += 1
    notebook.metadata["synced"] = digest(notebook)
    return f"{jupytext.writes(notebook, fmt='ipynb')}\n"


def edited(path: Path) -> str:
    """The text of a notebook that was edited as an ``.ipynb``, as a text, or not at all.

    Raises:
        UserError: Both were edited, and differ; or the ``.ipynb`` is none, or has a picture in a
            cell.
    """
    text = path.with_suffix(".py")
    if not path.exists():
        return text.read_text(encoding="utf-8")
    try:
        notebook = jupytext.read(path)
    except NotJSONError as error:
        raise UserError(f"{path.name} is no notebook: deleted, it is made of its text") from error
    if any(cell.get("attachments") for cell in notebook.cells):
        raise UserError(f"{path.name} has a picture in a cell, which {text.name} cannot hold")
    if text.exists():
        content, synced = text.read_text(encoding="utf-8"), notebook.metadata.get("synced")
        ours, theirs = digest(notebook), digest(jupytext.reads(content, fmt="py:percent"))
        if ours in (theirs, synced):
            return content
        if theirs != synced:
            raise UserError(
                f"{path.name} and {text.name} were both edited: "
                "bring the edits into one of them, and delete the other"
            )
    return str(jupytext.writes(notebook, "py:percent", config=load_jupytext_config(str(path))))


def sync(path: Path) -> None:
    """Make a notebook and its text the same.

    Raises:
        UserError: An edit would be lost, or the ``.ipynb`` is none.
    """
    text = edited(path)
    path.with_suffix(".py").write_text(text, encoding="utf-8")
    path.write_text(stripped(text), encoding="utf-8")


if __name__ == "__main__":
    try:
        for path in NOTEBOOKS:
            sync(path)
    except UserError as error:
        sys.exit(str(error))
