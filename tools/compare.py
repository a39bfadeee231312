"""What differs between a revision and the workspace, as Markdown for a pull request.

``python -m tools.compare main`` writes ``compare.md``, and its pictures into ``compare_plots/``.
Outside of the graph: no stage reads them.
"""

import json
import logging
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import tyro
import vl_convert
from dvc.exceptions import DvcException
from dvc.render.convert import to_json
from dvc.render.match import match_defs_renderers
from dvc.repo import Repo

from stages.common.errors import UserError

REPORT, PICTURES = Path("compare.md"), Path("compare_plots")
# DVC's name of the files as they are, committed or not.
WORKSPACE = "workspace"


def check(errors: dict[str, Any], base: str) -> None:
    """Check that DVC could read all files of one kind, of both revisions.

    Raises:
        UserError: It could not. What the base has not counts as none.
    """
    for revision, of in errors.items():
        for file, error in of.items() if isinstance(of, dict) else [("", of)]:
            # Of dvc.yaml and what it takes with it, DVC's error has the name.
            reason = f"cannot read {file}" if file else str(error).partition("\n")[0]
            if revision == WORKSPACE:
                raise UserError(f"{reason}: mend it, or run dvc repro")
            if not isinstance(error, FileNotFoundError):
                raise UserError(f"{base}: {reason}")


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


def chart(name: str, spec: dict[str, Any]) -> Iterator[str]:
    """Yield the picture of a chart with the data of both revisions, if they differ."""
    points = spec["data"]["values"]
    # The base first.
    points.sort(key=lambda point: point["rev"] == WORKSPACE)
    of = {
        at: [p | {"rev": ""} for p in points if p["rev"] == at] for at in {p["rev"] for p in points}
    }
    if len(of) < 2 or len({json.dumps(values) for values in of.values()}) > 1:
        yield picture(f"{name}.png", vl_convert.vegalite_to_png(spec, scale=2))


def images(name: str, files: dict[str, Path]) -> Iterator[str]:
    """Yield a table of an image in each revision, side by side, if they differ."""
    contents = {revision: path.read_bytes() for revision, path in files.items()}
    if len(contents) < 2 or len(set(contents.values())) > 1:
        suffix = next(iter(files.values())).suffix
        numbered = enumerate(contents.values(), 1)
        cells = [picture(f"{name}-{i}{suffix}", content) for i, content in numbered]
        yield table([code(revision) for revision in contents], [cells])


def plots(renderers: Iterable[Any]) -> Iterator[str]:
    """Yield the title and the pictures of each plot that differs, of DVC's renderers."""
    for number, renderer in enumerate(sorted(renderers, key=lambda each: each.name), 1):
        # Without the number, two names could become one.
        name = f"{number}-{re.sub('[^A-Za-z0-9]+', '-', Path(renderer.name).stem)}"
        entries = to_json(renderer)
        if renderer.TYPE == "vega":
            drawn = [part for entry in entries for part in chart(name, entry["content"])]
        else:
            # DVC has the workspace first.
            files = {e["revisions"][0]: Path(e["url"]) for e in reversed(entries)}
            drawn = list(images(name, files))
        if drawn:
            yield from (f"### {code(renderer.name)}", *drawn)


def main(base: str, /) -> None:
    """Write ``compare.md``: the parameters, metrics and plots that differ.

    Args:
        base: What to compare the workspace with: a branch, a tag, a commit or an experiment. A
            result that was not committed there counts as none.

    Raises:
        UserError: There is no such revision, or a file of either cannot be read.
    """
    if not base:
        raise UserError("name a revision: make compare BASE=main")
    # A branch may have the name that DVC gives to the files as they are.
    revision = f"refs/heads/{base}" if base == WORKSPACE else base
    with tempfile.TemporaryDirectory() as folder, Repo() as repo:
        params = repo.params.diff(revision, WORKSPACE)
        check(params.get("errors", {}), base)
        metrics = repo.metrics.diff(revision, WORKSPACE)
        check(metrics.get("errors", {}), base)
        # DVC writes there that something was not read, but not what.
        with redirect_stderr(StringIO()):
            found = repo.plots.diff(revs=[revision, WORKSPACE])
        drawn = match_defs_renderers(found, folder, repo.plots.templates_dir)
        for _, of_sources, of_definitions in drawn:
            check({**of_definitions, **of_sources}, base)
        shutil.rmtree(PICTURES, ignore_errors=True)
        sections = {
            "Parameters": list(values(params.get("diff", {}), base)),
            "Metrics": list(values(metrics.get("diff", {}), base)),
            "Plots": list(plots(renderer for renderer, *_ in drawn)),
        }
    blocks = [f"# This branch against {code(base)}"]
    for title, section in sections.items():
        if section:
            blocks += [f"## {title}", *section]
    if len(blocks) == 1:
        blocks.append("No parameter, metric or plot differs.")
    REPORT.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    print(REPORT)


if __name__ == "__main__":
    # What DVC warns of is told by an error.
    logging.disable()
    try:
        tyro.cli(main)
    except (UserError, DvcException) as error:
        sys.exit(str(error))
