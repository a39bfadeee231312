"""What differs between a revision and the workspace, as Markdown for a pull request.

``python -m tools.compare main`` writes ``compare.md``, and its pictures into ``compare_plots/``:
what ``dvc params diff --md`` and ``dvc metrics diff --md`` print, and what ``dvc plots diff`` shows
in a browser.
"""

import logging
import re
import shutil
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import vl_convert
from dvc.compare import show_diff
from dvc.exceptions import DvcException
from dvc.render.convert import to_json
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


def table(found: dict[str, Any], base: str) -> Iterator[str]:
    """Yield DVC's table, if anything differs, of what its ``diff`` of values returns."""
    check(found.get("errors", {}), base)
    if found.get("diff"):
        with redirect_stdout(StringIO()) as printed:
            show_diff(found["diff"], title="Key", markdown=True, a_rev=base, b_rev=WORKSPACE)
        yield printed.getvalue().strip()


def plot(renderer: Any, name: str) -> Iterator[str]:
    """Yield the title of a plot and its pictures, a file each, if it differs."""
    entries, suffix = to_json(renderer), ".png"
    of: dict[str, Any] = {}
    if renderer.TYPE == "vega":
        spec = entries[0]["content"]
        # The base first.
        spec["data"]["values"].sort(key=lambda point: point["rev"] == WORKSPACE)
        for point in spec["data"]["values"]:
            of.setdefault(point["rev"], []).append(point | {"rev": ""})
        pictures = [vl_convert.vegalite_to_png(spec, scale=2)]
    else:
        # DVC has the workspace first.
        of = {each["revisions"][0]: Path(each["url"]).read_bytes() for each in reversed(entries)}
        pictures, suffix = list(of.values()), Path(entries[0]["url"]).suffix
    if len(of) > 1 and of[WORKSPACE] == next(iter(of.values())):
        return
    PICTURES.mkdir(exist_ok=True)
    paths = [PICTURES / f"{name}-{i}{suffix}" for i in range(1, len(pictures) + 1)]
    for path, content in zip(paths, pictures, strict=True):
        path.write_bytes(content)
    links = [f"![{path.stem}]({path.as_posix()})" for path in paths]
    yield f"### {renderer.name}"
    # Of two pictures, the base's first.
    yield "\n".join(links)


def main(base: str) -> None:
    """Write ``compare.md``: the parameters, metrics and plots that differ.

    Args:
        base: What to compare the workspace with: a branch, a tag, a commit or an experiment. A
            result that was not committed there counts as none.

    Raises:
        UserError: There is no such revision, or a file of either cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder, Repo() as repo:
        sections = {
            "Parameters": list(table(repo.params.diff(base, WORKSPACE), base)),
            "Metrics": list(table(repo.metrics.diff(base, WORKSPACE), base)),
            "Plots": [],
        }
        # DVC writes there that something was not read, but not what.
        with redirect_stderr(StringIO()):
            found = repo.plots.diff(revs=[base, WORKSPACE])
        plots = match_defs_renderers(found, folder, repo.plots.templates_dir)
        shutil.rmtree(PICTURES, ignore_errors=True)
        for number, (renderer, *errors) in enumerate(sorted(plots, key=lambda p: p[0].name), 1):
            check(errors[1] | errors[0], base)
            # Without the number, two names could become one.
            name = f"{number}-{re.sub('[^A-Za-z0-9]+', '-', Path(renderer.name).stem)}"
            sections["Plots"] += plot(renderer, name)
    blocks = [f"# This branch against {base}"]
    for title, section in sections.items():
        blocks += [f"## {title}", *section] * bool(section)
    if len(blocks) == 1:
        blocks.append("No parameter, metric or plot differs.")
    REPORT.write_text("\n\n".join(blocks) + "\n", encoding="utf-8", newline="\n")
    print(REPORT)


if __name__ == "__main__":
    # What DVC warns of is told by an error.
    logging.disable()
    parser = ArgumentParser("python -m tools.compare", description=main.__doc__)
    parser.add_argument("base")
    try:
        main(parser.parse_args().base)
    except (UserError, DvcException) as error:
        sys.exit(str(error))
