"""What fetch reads of a user's folders is what DVC hashes, whatever the names and links in them."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from dvc.fs import LocalFileSystem
from dvc.ignore import DvcIgnoreFilter
from dvc_data.hashfile.build import build
from dvc_data.hashfile.db import HashFileDB
from dvc_data.hashfile.tree import Tree
from PIL import Image

from stages.common.errors import UserError
from stages.data import fetch, photos, sources
from tests.support import ROOT

SOURCES: dict[str, sources.Fetch] = {
    **sources.SOURCES,
    "pictures": partial(photos.read_photos, polarity="auto"),
}
Plant = Callable[[Path], Any]
PICTURES, TRAIN, TEST = "data/pictures", "data/pictures/train", "data/pictures/test"
FOLDERS = (PICTURES, TRAIN, f"{TRAIN}/cat", TEST, f"{TEST}/cat", "data/idx")
# By .dvcignore, by DVC itself, and of no meaning.
NAMES = (
    *("4913", "x~", "~", "a.orig", "a.rej", "a.swp", ".a.swp", "a.kate-swp", "#a#", "__pycache__"),
    *(".#a", "._a", ".DS_Store", "Thumbs.db", "desktop.ini", ".~lock.a", ".nfs1", ".hidden"),
    *(".git", ".hg", ".dvc", ".dvcignore", ".gitignore", "a.dvc", "dvc.yaml", ".syncthing.a"),
    *(".ipynb_checkpoints", ".fuse_hidden1", "ä", "a b", "a*", "[a]", "!a", "\\a", "__MACOSX"),
)


def save_picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.linear_gradient("L").save(path, format="PNG")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with this one's .dvcignore, two classes of pictures and four IDX files."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(ROOT / ".dvcignore", folder)
    for name in (f"{TRAIN}/cat", f"{TRAIN}/dog", f"{TEST}/cat"):
        save_picture(folder / name / "a.png")
    (folder / "data" / "idx").mkdir()
    for name in sources.IDX_FILES:
        header, n_bytes = (
            (b"\x03\0\0\0\1\0\0\0\x1c\0\0\0\x1c", 784) if "idx3" in name else (b"\1\0\0\0\1", 1)
        )
        (folder / "data" / "idx" / name).write_bytes(b"\0\0\x08" + header + bytes(n_bytes))
    return folder


def content(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


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
        found[path] = content(path)
        return reads(path, *arguments)

    monkeypatch.setattr(photos, "read_photo", partial(recorded, photos.read_photo))
    monkeypatch.setattr(sources, "read_idx", partial(recorded, sources.read_idx))
    with suppress(UserError):
        fetch.fetch(source, project / (PICTURES if source == "pictures" else "data/idx"), SOURCES)
        return found
    return {}


def a_class(name: str, project: Path) -> None:
    save_picture(project / TRAIN / name / "a.png")


def a_class_in_both(name: str, project: Path) -> None:
    for part in (TRAIN, TEST):
        save_picture(project / part / name / "a.png")


def a_picture(name: str, project: Path) -> None:
    save_picture(project / TRAIN / "cat" / name)


def a_folder(name: str, inside: str, project: Path) -> None:
    (project / inside / name).mkdir(exist_ok=True)


def a_file(name: str, inside: str, project: Path) -> None:
    """Which hides all, where DVC takes it for its own."""
    (project / inside / name).write_text("*\n")


def a_link(name: str, project: Path) -> None:
    """What was there lies elsewhere."""
    moved = project.parent / "elsewhere"
    (project / name).rename(moved)
    (project / name).symlink_to(moved)


def a_link_inside(name: str, project: Path) -> None:
    (project / TRAIN / "bird").symlink_to(project / name)


PLANTS: dict[str, Plant] = {
    **{f"class {name}": partial(a_class, name) for name in NAMES},
    **{f"class {name} in both": partial(a_class_in_both, name) for name in NAMES},
    **{f"picture {name}.png": partial(a_picture, f"{name}.png") for name in NAMES},
    **{f"picture {name}": partial(a_picture, name) for name in NAMES},
    **{
        f"{make.__name__} {name} in {inside}": partial(make, name, inside)
        for make in (a_folder, a_file)
        for name in (".git", ".hg", ".dvc", ".dvcignore")
        for inside in FOLDERS
    },
    ".dvcignore in data": partial(a_file, ".dvcignore", "data"),
    **{f"link {name}": partial(a_link, name) for name in (*FOLDERS, "data")},
    "link picture": partial(a_link, f"{TRAIN}/cat/a.png"),
    **{f"link {name}": partial(a_link, f"data/idx/{name}") for name in sources.IDX_FILES},
    "link to a class": partial(a_link_inside, f"{TRAIN}/cat"),
}


@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS.keys())
def test_what_fetch_reads_dvc_hashes(
    project: Path, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(project)
    for source, name in (("pictures", PICTURES), ("folder", "data/idx")):
        found = read(project, source, monkeypatch)
        assert found.items() <= hashed(project, name).items()


@pytest.mark.parametrize("name", ["cat", "4913", "x~", "a.orig", "__pycache__"])
def test_a_class_has_any_name(project: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    a_class(name, project)
    found = read(project, "pictures", monkeypatch)
    assert project / TRAIN / name / "a.png" in found
    assert len(read(project, "folder", monkeypatch)) == 4


@pytest.mark.parametrize(
    ("plant", "line"),
    [
        (partial(a_link, TRAIN), "train is a link"),
        (partial(a_link, f"{TRAIN}/cat"), "train/cat is a link"),
        (partial(a_folder, ".dvc", PICTURES), "pictures holds a .dvc"),
        (partial(a_folder, ".dvc", f"{TRAIN}/cat"), "train/cat holds a .dvc"),
    ],
)
def test_what_dvc_does_not_see_is_named(project: Path, plant: Plant, line: str) -> None:
    plant(project)
    with pytest.raises(UserError, match=line):
        fetch.fetch("pictures", project / PICTURES, SOURCES)


def test_a_name_that_dvc_cannot_read_is_shown_by_the_command_in_the_documents(
    project: Path,
) -> None:
    found = re.search(r"`(find .+?)`", (ROOT / "docs" / "data.md").read_text())
    assert found is not None
    for name in ("ä.png", os.fsdecode(b"\xff.png")):
        save_picture(project / TRAIN / "cat" / name)
    shown = subprocess.run(found[1], shell=True, cwd=project, capture_output=True, check=True)
    assert shown.stdout == f"{TRAIN}/cat/".encode() + b"\xff.png\n"
