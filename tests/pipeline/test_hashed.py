"""What fetch reads of a user's folders is what DVC hashes, whatever the names and links in them."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from dvc.fs import LocalFileSystem
from dvc.ignore import DvcIgnoreFilter
from dvc_data.hashfile.build import build
from dvc_data.hashfile.db import HashFileDB
from dvc_data.hashfile.tree import Tree
from PIL import Image

from stages.common.errors import UserError
from stages.data import fetch, photos, sources
from stages.data.sources import IDX_FILES
from tests.support import ROOT
from tests.support.clone import md5
from tests.support.idx import write_idx

SOURCES: dict[str, sources.Fetch] = {
    **sources.SOURCES,
    "pictures": partial(photos.read_photos, polarity="auto"),
}
Plant: TypeAlias = Callable[[Path, str], Any]
PICTURES, TRAIN, TEST = "data/pictures", "data/pictures/train", "data/pictures/test"
FOLDERS = (PICTURES, TRAIN, f"{TRAIN}/cat", TEST, f"{TEST}/cat", "data/idx")
# By .dvcignore, by DVC itself, and of no meaning.
NAMES = (
    *("4913", "x~", "~", "a.orig", "a.rej", "a.swp", ".a.swp", "a.kate-swp", "#a#", "__pycache__"),
    *(".#a", "._a", ".DS_Store", "Thumbs.db", "desktop.ini", ".~lock.a", ".nfs1", ".hidden"),
    *(".git", ".hg", ".dvc", ".dvcignore", ".gitignore", "a.dvc", "dvc.yaml", ".syncthing.a"),
    *(".ipynb_checkpoints", ".fuse_hidden1", "ä", "a b", "a*", "[a]", "!a", "\\a", "__MACOSX"),
)


def a_picture(project: Path, path: str) -> None:
    (project / path).parent.mkdir(parents=True, exist_ok=True)
    Image.linear_gradient("L").save(project / path, format="PNG")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with this one's .dvcignore, two classes of pictures and four IDX files."""
    folder = tmp_path / "project"
    (folder / "data" / "idx").mkdir(parents=True)
    shutil.copy(ROOT / ".dvcignore", folder)
    for name in (f"{TRAIN}/cat", f"{TRAIN}/dog", f"{TEST}/cat"):
        a_picture(folder, f"{name}/a.png")
    write_idx(
        folder / "data" / "idx", [np.zeros(shape, "u1") for shape in [(1, 28, 28)] * 2 + [(1,)] * 2]
    )
    return folder


def hashed(project: Path, name: str) -> dict[Path, str]:
    """The files of a folder that DVC hashes for a stage that depends on it, and their MD5s."""
    fs, path = LocalFileSystem(), project / name
    objects = HashFileDB(fs, str(project.parent / "objects"))
    ignore = DvcIgnoreFilter(fs, str(project))
    # As DVC does first, to find all dvc.yaml: what it comes by then, it remembers.
    assert list(ignore.walk(fs, str(project)))
    _, _, tree = build(objects, str(path), fs, "md5", dry_run=True, ignore=ignore)
    assert isinstance(tree, Tree)
    return {path.joinpath(*key): hash_info.value for key, _, hash_info in tree}


def read(project: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> dict[Path, str]:
    """The files that fetch reads, and their MD5s; none if it refuses."""
    found = {}

    def recorded(reads: Callable[..., Any], path: Path, *arguments: Any) -> Any:
        found[path] = md5(path)
        return reads(path, *arguments)

    monkeypatch.setattr(photos, "read_photo", partial(recorded, photos.read_photo))
    monkeypatch.setattr(sources, "read_idx", partial(recorded, sources.read_idx))
    with suppress(UserError):
        fetch.fetch(source, project / (PICTURES if source == "pictures" else "data/idx"), SOURCES)
        return found
    return {}


def a_folder(project: Path, path: str) -> None:
    (project / path).mkdir(exist_ok=True)


def a_file(project: Path, path: str) -> None:
    """Which hides all, where DVC takes it for its own."""
    (project / path).write_text("*\n")


def a_link(project: Path, path: str) -> None:
    """What was there lies elsewhere."""
    moved = project.parent / "elsewhere"
    (project / path).rename(moved)
    (project / path).symlink_to(moved)


def a_link_to_a_class(project: Path, path: str) -> None:
    (project / path).symlink_to(project / TRAIN / "cat")


LINKS = [*FOLDERS, "data", f"{TRAIN}/cat/a.png", *(f"data/idx/{name}" for name in IDX_FILES)]
DVCS_OWN = product((".git", ".hg", ".dvc", ".dvcignore"), FOLDERS)
PLANTS: list[tuple[Plant, list[str]]] = [
    *((a_picture, [f"{TRAIN}/{name}/a.png", f"{TEST}/{name}/a.png"]) for name in NAMES),
    *((a_picture, [f"{TRAIN}/cat/{name}.png"]) for name in NAMES),
    *((a_picture, [f"{TRAIN}/cat/{name}"]) for name in NAMES),
    *((make, [f"{at}/{name}"]) for name, at in DVCS_OWN for make in (a_folder, a_file)),
    (a_file, ["data/.dvcignore"]),
    *((a_link, [path]) for path in LINKS),
    (a_link_to_a_class, [f"{TRAIN}/bird"]),
]


@pytest.mark.parametrize(("plant", "paths"), PLANTS)
def test_what_fetch_reads_dvc_hashes(
    project: Path, plant: Plant, paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in paths:
        plant(project, path)
    for source, name in (("pictures", PICTURES), ("folder", "data/idx")):
        found = read(project, source, monkeypatch)
        assert found.items() <= hashed(project, name).items()


@pytest.mark.parametrize("name", ["cat", "4913", "x~", "a.orig", "__pycache__"])
def test_a_class_has_any_name(project: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    a_picture(project, f"{TRAIN}/{name}/a.png")
    found = read(project, "pictures", monkeypatch)
    assert project / TRAIN / name / "a.png" in found
    assert len(read(project, "folder", monkeypatch)) == 4


@pytest.mark.parametrize(
    ("plant", "path", "line"),
    [
        (a_link, TRAIN, "train is a link"),
        (a_link, f"{TRAIN}/cat", "train/cat is a link"),
        (a_folder, f"{PICTURES}/.dvc", "pictures holds a .dvc"),
        (a_folder, f"{TRAIN}/cat/.dvc", "train/cat holds a .dvc"),
    ],
)
def test_what_dvc_does_not_see_is_named(project: Path, plant: Plant, path: str, line: str) -> None:
    plant(project, path)
    with pytest.raises(UserError, match=line):
        fetch.fetch("pictures", project / PICTURES, SOURCES)


def test_a_name_that_dvc_cannot_read_is_shown_by_the_command_in_the_documents(
    project: Path,
) -> None:
    found = re.search(r"`(find .+?)`", (ROOT / "docs" / "data.md").read_text())
    assert found is not None
    for name in ("ä.png", os.fsdecode(b"\xff.png")):
        a_picture(project, f"{TRAIN}/cat/{name}")
    shown = subprocess.run(found[1], shell=True, cwd=project, capture_output=True, check=True)
    assert shown.stdout == f"{TRAIN}/cat/".encode() + b"\xff.png\n"
