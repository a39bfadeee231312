"""What differs between a revision and the workspace, as Markdown for a pull request.

``python -m compare main`` writes ``compare.md``, and its pictures into ``compare_plots/``. Outside
of the graph: no stage reads them.
"""

import re
import shutil
import sys
from base64 import b64decode
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import tyro
import vl_convert
from dvc.render.match import match_defs_renderers
from dvc.repo import Repo
from dvc.scm import RevError, resolve_rev
from dvc.utils import errored_revisions

from stages.common.errors import UserError

REPORT, PICTURES = Path("compare.md"), Path("compare_plots")
# DVC's name of the files as they are, committed or not.
WORKSPACE = "workspace"


def code(value: Any) -> str:
    """``value`` as a code span, which nothing in it can end, in a table too; a dash for none.

    CML parses a report and writes it anew: outside of code, the escape of a pipe would be lost.
    """
    if value is None:
        return "–"
    text = " ".join(str(value).split()) or " "
    # Right after a backslash, the escape of a pipe would itself be escaped.
    text = text.replace("\\|", "\\ |").replace("|", "\\|")
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def table(header: list[str], rows: Iterable[list[str]]) -> str:
    """A Markdown table; its cells are Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def values(differences: dict[str, dict[str, dict[str, Any]]], base: str) -> Iterator[str]:
    """Yield one table, if anything differs, of what DVC's ``diff`` of values returns."""
    rows = [
        [
            *map(code, (path, key, value["old"], value["new"])),
            # Of two truth values, DVC's difference is a number too.
            f"{value['diff']:+.6g}" if "diff" in value and type(value["new"]) is not bool else "",
        ]
        for path, keys in sorted(differences.items())
        for key, value in sorted(keys.items())
    ]
    if rows:
        yield table(["file", "key", code(base), code(WORKSPACE), "change"], rows)


def picture(name: str, content: bytes) -> str:
    """The Markdown of a picture, which is written into ``compare_plots/``."""
    PICTURES.mkdir(exist_ok=True)
    path = PICTURES / name
    path.write_bytes(content)
    return f"![{path.stem}]({path.as_posix()})"


def plots(renderers: Iterable[Any]) -> Iterator[str]:
    """Yield the title and the pictures of each plot whose data or image differs.

    A chart is one picture with both revisions in it; of an image, both stand side by side.
    """
    for number, renderer in enumerate(sorted(renderers, key=lambda renderer: renderer.name), 1):
        after = [point for point in renderer.datapoints if point["rev"] == WORKSPACE]
        before = [point for point in renderer.datapoints if point["rev"] != WORKSPACE]
        if [point | {"rev": ""} for point in after] == [point | {"rev": ""} for point in before]:
            continue
        yield f"### {code(renderer.name)}"
        name, points = Path(renderer.name), before + after
        # Without the number, two names could become one.
        file = f"{number}-{re.sub('[^A-Za-z0-9]+', '-', name.stem)}"
        if renderer.TYPE == "vega":
            renderer.datapoints = points
            chart = vl_convert.vegalite_to_png(renderer.get_filled_template(), scale=2)
            yield picture(f"{file}.png", chart)
        else:
            images = [b64decode(point["src"].partition(",")[2]) for point in points]
            cells = [picture(f"{file}-{i}{name.suffix}", each) for i, each in enumerate(images, 1)]
            yield table([code(point["rev"]) for point in points], [cells])


def main(base: str, /) -> None:
    """Write ``compare.md``: the parameters, metrics and plots that differ.

    Args:
        base: What to compare the workspace with: a branch, a tag or a commit. A result that was
            not committed there counts as none.

    Raises:
        UserError: There is no such revision, or a result is missing in the workspace.
    """
    with Repo() as repo:
        try:
            commit = resolve_rev(repo.scm, base)
        except RevError as error:
            raise UserError(str(error)) from None
        # A branch may have the name that DVC gives to the files as they are.
        revision = commit if base == WORKSPACE else base
        params = repo.params.diff(revision, WORKSPACE)
        metrics = repo.metrics.diff(revision, WORKSPACE)
        sources = repo.plots.diff(revs=[revision, WORKSPACE])
        found = match_defs_renderers(sources, templates_dir=repo.plots.templates_dir)
    unread = {*params.get("errors", ()), *metrics.get("errors", ()), *errored_revisions(sources)}
    if WORKSPACE in unread:
        raise UserError("some metrics or plots are missing or damaged: run dvc repro")
    shutil.rmtree(PICTURES, ignore_errors=True)
    sections = {
        "Parameters": list(values(params.get("diff", {}), base)),
        "Metrics": list(values(metrics.get("diff", {}), base)),
        "Plots": list(plots(each.renderer for each in found)),
    }
    blocks = [f"# This branch against {code(base)}"]
    for title, section in sections.items():
        if section:
            blocks += [f"## {title}", *section]
    if len(blocks) == 1:
        blocks.append("No parameter, metric or plot differs.")
    REPORT.write_text("\n\n".join(blocks) + "\n")


if __name__ == "__main__":
    try:
        tyro.cli(main)
    except UserError as error:
        sys.exit(str(error))
