"""compare.md, as a Markdown parser reads it: what differs, and nothing else."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from PIL import Image

from tests.support.clone import Clone
from tools.compare import code

MARKDOWN = MarkdownIt("commonmark").enable("table")


@pytest.fixture
def workspace(clone: Clone) -> Iterator[Clone]:
    """The clone, as committed; what a test edits in it is undone, failed or not."""
    yield clone
    clone.undo()


def compare(clone: Clone, base: str = "main") -> str:
    """The report on the clone's workspace."""
    clone.run("python", "-m", "tools.compare", base)
    return (clone.folder / "compare.md").read_text()


def sections(report: str) -> dict[str, list[list[str]]]:
    """The text of the cells of each table's rows, below its section's title."""
    found: dict[str, list[list[str]]] = {}
    tokens = MARKDOWN.parse(report)
    for opened, token in pairwise(tokens):
        if opened.type == "heading_open" and opened.tag == "h2":
            rows = found.setdefault(token.content, [])
        elif opened.type == "tr_open":
            rows.append([])
        elif opened.type in {"th_open", "td_open"}:
            rows[-1].append("".join(child.content for child in token.children or []))
    return found


def pictures(clone: Clone, report: str) -> dict[str, list[Path]]:
    """The files of the pictures of each plot, by its title."""
    found: dict[str, list[Path]] = {}
    for opened, token in pairwise(MARKDOWN.parse(report)):
        if opened.type == "heading_open" and opened.tag == "h3" and token.children:
            files = found.setdefault(token.children[0].content, [])
        for child in token.children or []:
            if child.type == "image":
                files.append(clone.folder / str(child.attrs["src"]))
    return found


def leaves(value: Any, *path: str) -> dict[str, Any]:
    """The values in nested dictionaries, their keys joined by dots."""
    if not isinstance(value, dict):
        return {".".join(path): value}
    return {
        key: leaf for name, part in value.items() for key, leaf in leaves(part, *path, name).items()
    }


def metrics(clone: Clone) -> dict[tuple[str, str], Any]:
    """Every metric, by its file and key."""
    paths = sorted((clone.folder / "reports" / "metrics").rglob("*.json"))
    return {
        (str(path.relative_to(clone.folder)), key): value
        for path in paths
        for key, value in leaves(json.loads(path.read_text())).items()
    }


def test_what_differs_is_there_and_nothing_else(workspace: Clone) -> None:
    before, reports = metrics(workspace), workspace.reports()
    workspace.edit(binary__thresholds__precision=0.93, errors__pair=[1, 7])
    workspace.repro()
    after = metrics(workspace)
    report = compare(workspace)
    found = sections(report)
    header = ["file", "key", "main", "workspace", "change"]
    assert found["Parameters"] == [
        header,
        ["params.yaml", "binary.thresholds.precision", "0.9", "0.93", "+0.03"],
        ["params.yaml", "errors.pair", "[3, 5]", "[1, 7]", ""],
    ]

    assert found["Metrics"][0] == header
    rows = {(file, key): rest for file, key, *rest in found["Metrics"][1:]}
    assert len(rows) == len(found["Metrics"]) - 1
    assert list(rows) == sorted(key for key in before if before[key] != after[key])
    assert list(rows) == [("reports/metrics/summary.json", "sgd.recall_at_precision")]
    for key, (old, new, change) in rows.items():
        assert (old, new) == (str(before[key]), str(after[key]))
        assert float(change) == pytest.approx(after[key] - before[key], rel=1e-5)

    now = workspace.reports()
    shown = pictures(workspace, report)
    chart = "Precision and recall against the threshold"
    assert set(shown) - {chart} == {
        path
        for path, content in now.items()
        if path.endswith((".csv", ".png")) and content != reports[path]
    }
    assert {chart, "reports/plots/roc.csv", "reports/pictures/errors.png"} <= set(shown)
    assert not {"reports/plots/grid.csv", "reports/pictures/denoise.png"} & set(shown)
    for path in set(shown) - {chart}:
        if path.endswith(".png"):
            contents = [file.read_bytes() for file in shown[path]]
            assert contents == [reports[path], now[path]]

    files = {file: file.read_bytes() for paths in shown.values() for file in paths}
    assert set(files) == set((workspace.folder / "compare_plots").iterdir())
    for file in files:
        with Image.open(file) as image:
            assert image.format == "PNG"
            image.load()
    assert compare(workspace) == report
    assert {file: file.read_bytes() for file in files} == files
    assert workspace.run("git", "status", "--porcelain", "--", "compare.md", "compare_plots") == ""


def test_a_chart_shows_both_revisions_on_white(workspace: Clone) -> None:
    path = workspace.folder / "reports" / "plots" / "class_counts.csv"
    path.write_text(re.sub("[1-9]", "7", path.read_text()))
    report = compare(workspace)
    ((name, (chart,)),) = pictures(workspace, report).items()
    assert name == "reports/plots/class_counts.csv"
    spec = json.loads((workspace.folder / ".dvc" / "plots" / "class_counts.json").read_text())
    with Image.open(chart) as image:
        # A column a revision, each pixel of the chart two of the picture.
        assert image.width > 2 * 2 * spec["spec"]["width"]
        assert image.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


def test_a_new_image_stands_alone(workspace: Clone) -> None:
    drawn = workspace.folder / "reports" / "pictures"
    with (workspace.folder / "dvc.yaml").open("a") as file:
        file.write("  - reports/pictures/new.png\n")
    shutil.copy(drawn / "denoise.png", drawn / "new.png")
    report = compare(workspace)
    (drawn / "new.png").unlink()
    assert [len(files) for files in pictures(workspace, report).values()] == [1]
    header, (alternative_text,) = sections(report)["Plots"]
    assert header == ["workspace"]
    assert alternative_text.endswith("-new-1")


def test_where_nothing_differs_it_says_so(workspace: Clone) -> None:
    assert compare(workspace) == (
        "# This branch against `main`\n\nNo parameter, metric or plot differs.\n"
    )
    assert not (workspace.folder / "compare_plots").exists()


def test_a_revision_that_is_none_ends_in_one_line(workspace: Clone) -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        compare(workspace, "nowhere")
    assert failed.value.returncode == 1
    assert failed.value.stderr == "unknown Git revision 'nowhere'\n"
    with pytest.raises(subprocess.CalledProcessError) as failed:
        compare(workspace, "workspace")
    assert failed.value.stderr == "unknown Git revision 'refs/heads/workspace'\n"


@pytest.mark.parametrize("branch", ["workspace", """a$b,$$,it's,"a;b",`id`,$(HOME)"""])
def test_a_branch_may_have_any_name(workspace: Clone, branch: str) -> None:
    workspace.run("git", "branch", branch)
    workspace.edit(errors__pair=[1, 7])
    try:
        workspace.make("compare", f"BASE={branch}")
    finally:
        workspace.run("git", "branch", "--delete", "--force", branch)
    report = (workspace.folder / "compare.md").read_text()
    assert report.startswith(f"# This branch against {code(branch)}\n")
    assert sections(report)["Parameters"][1][1:4] == ["errors.pair", "[3, 5]", "[1, 7]"]


@pytest.mark.parametrize("base", ["$(shell touch run)", "'; touch run; '", "`touch run`"])
def test_a_revision_runs_nothing(workspace: Clone, base: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        workspace.make("compare", f"BASE={base}")
    assert failed.value.stderr.startswith(f"unknown Git revision '{base}'\n")
    assert not (workspace.folder / "run").exists()


TEXTS = [
    "<script>alert(1)</script>",
    "a|b",
    "a\\|<b>",
    "`a` ``b``",
    "`|<img src=x>",
    "[a](b) ![c](d) *e* _f_ &lt; \\",
    "a\n\n# b",
    " ",
]


@pytest.mark.parametrize("text", TEXTS)
def test_text_stays_text(text: str) -> None:
    (row,) = sections(f"## a\n\n| {code(text)} | b |\n| --- | --- |\n")["a"]
    assert row[1:] == ["b"]
    assert "".join(row[0].split()) == "".join(text.split())


def test_a_parameter_brings_no_html(workspace: Clone) -> None:
    workspace.edit(svc__gamma="<script>alert(1)</script> | `scale`")
    report = compare(workspace)
    row = ["params.yaml", "svc.gamma", "scale", "<script>alert(1)</script> | `scale`", ""]
    assert sections(report)["Parameters"][1:] == [row]
    assert "<script" not in MARKDOWN.render(report)
