"""Bring each notebook and its text together: ``make notebook``, before a commit.

Whichever of the two was saved last is taken. The ``.ipynb`` then has no outputs, and the same bytes
for the same text. Outside of the graph: no stage reads them.
"""

import hashlib
from pathlib import Path

import jupytext
from jupytext.cli import jupytext as run_jupytext

NOTEBOOKS = sorted(Path(__file__).parent.glob("*.ipynb"))


def stripped(text: str) -> str:
    """The ``.ipynb`` of a notebook's text in jupytext's percent format, with nothing run.

    Each cell's id is a digest of its source, so that it changes only with it.
    """
    notebook = jupytext.reads(text, fmt="py:percent")
    for cell in notebook.cells:
        cell.id = hashlib.md5(cell.source.encode()).hexdigest()[:8]
    return f"{jupytext.writes(notebook, fmt='ipynb')}\n"


if __name__ == "__main__":
    for path in NOTEBOOKS:
        run_jupytext(["--sync", "--quiet", str(path)])
        text = path.with_suffix(".py").read_text(encoding="utf-8")
        path.write_text(stripped(text), encoding="utf-8")
