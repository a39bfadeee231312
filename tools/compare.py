"""What differs between a revision and the workspace, as Markdown for a pull request.

``python -m tools.compare main`` writes ``compare.md``, and its pictures into ``compare_plots/``:
what ``dvc params diff --md`` and ``dvc metrics diff --md`` print, and what ``dvc plots diff`` shows
in a browser.
"""

import logging
import shutil
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import vl_convert
from dvc.compare import show_diff
from dvc.exceptions import DvcException
from dvc.render.match import match_defs_renderers
from dvc.repo import Repo

from stages.common.errors import UserError

REPORT, PICTURES = Path("compare.md"), Path("compare_plots")
# DVC's name of the files as they are, committed or not.
WORKSPACE = "workspace"


def check(errors: dict[str, Any], base: str) -> None:
    """Raise :class:`UserError` if DVC could not read a file; what the base has not is none."""
    for revision, of in errors.items():
        for file, error in of.items() if isinstance(of, dict) else [("", of)]:
            # Of dvc.yaml and what it takes with it, DVC's error has the name.
            reason = f"cannot read {file}" if file else str(error).partition("\n")[0]
            if revision == WORKSPACE:
                raise UserError(f"{reason}: mend it, or run dvc repro")
            if not isinstance(error, FileNotFoundError):
                raise UserError(f"{base}: {reason}")


def tables(repo: Repo, base: str) -> Iterator[str]:
    """Yield DVC's tables of the parameters and metrics, where any differ, each below its title."""
    for title, values in (("Parameters", repo.params), ("Metrics", repo.metrics)):
        found = values.diff(base, WORKSPACE)
        check(found.get("errors", {}), base)
        if found.get("diff"):
            with redirect_stdout(StringIO()) as printed:
                show_diff(found["diff"], title="Key", markdown=True, a_rev=base, b_rev=WORKSPACE)
            yield f"## {title}\n\n{printed.getvalue().strip()}"


def draw(renderer: Any) -> list[bytes]:
    """The pictures of a plot, the base's first, or one of both revisions; none if they are same."""
    is_picture = renderer.TYPE == "image"
    renderer.datapoints.sort(key=lambda point: point["rev"] == WORKSPACE)
    of: dict[str, list[Any]] = {}
    for point in renderer.datapoints:
        content = Path(point["src"]).read_bytes() if is_picture else point | {"rev": ""}
        of.setdefault(point["rev"], []).append(content)
    shown = list(of.values())
    if shown[1:] == shown[:1]:
        return []
    if is_picture:
        return [content for (content,) in shown]
    return [vl_convert.vegalite_to_png(renderer.get_filled_template(), scale=2)]


def plots(repo: Repo, base: str) -> Iterator[str]:
    """Yield each plot that differs, below its name; its pictures are written, a file each."""
    # DVC writes to stderr that something was not read, but not what.
    with redirect_stderr(StringIO()), TemporaryDirectory() as folder:
        found = repo.plots.diff(revs=[base, WORKSPACE])
        matched = match_defs_renderers(found, folder, repo.plots.templates_dir)
        for number, (renderer, of_files, of_plots) in enumerate(matched, 1):
            check(of_plots | of_files, base)
            links = []
            for i, picture in enumerate(draw(renderer), 1):
                path = PICTURES / f"{number}-{i}.png"
                path.write_bytes(picture)
                links.append(f"![{renderer.name}]({path.as_posix()})")
            if links:
                yield "\n".join([f"## {renderer.name}\n", *links])


def main(base: str) -> None:
    """Write ``compare.md``: the parameters, metrics and plots that differ.

    Args:
        base: What to compare the workspace with: a branch, a tag, a commit or an experiment. A
            result that was not committed there counts as none.

    Raises:
        UserError: There is no such revision, or a file of either cannot be read.
    """
    with Repo() as repo:
        blocks = list(tables(repo, base))
        shutil.rmtree(PICTURES, ignore_errors=True)
        PICTURES.mkdir()
        blocks += plots(repo, base)
    blocks = blocks or ["No parameter, metric or plot differs."]
    text = "\n\n".join([f"# This branch against {base}", *blocks]) + "\n"
    REPORT.write_text(text, encoding="utf-8", newline="\n")
    print(REPORT)


if __name__ == "__main__":
    # What DVC warns of is told by an error.
    logging.disable()
    try:
        main(sys.argv[1])
    except (UserError, DvcException) as error:
        sys.exit(str(error))
