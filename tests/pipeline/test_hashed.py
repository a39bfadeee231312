"""What fetch reads of a user's folders is what DVC hashes, whatever the names and links in them."""

import shutil
from collections.abc import Callable
from contextlib import suppress
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

from stages.data.photos import list_photos
from stages.data.sources import IDX_FILES, SourceError, read_folder
from tests.support import ROOT
from tests.support.clone import md5
from tests.support.idx import write_idx

Plant: TypeAlias = Callable[[Path, str], Any]
IDX, PICTURES, TRAIN, TEST = (
    f"data/{name}" for name in ("idx", "pictures", "pictures/train", "pictures/test")
)
FOLDERS = (PICTURES, TRAIN, f"{TRAIN}/cat", TEST, f"{TEST}/cat", IDX)
OWN = (".git", ".dvc", ".dvcignore")
# By .dvcignore, and by DVC itself; or of no meaning.
NAMES = (
    *("4913", "x~", "a.orig", "a.swp", ".a.swp", "#a#", "__pycache__", "._a", ".DS_Store"),
    *("Thumbs.db", "desktop.ini", ".~lock.a", ".nfs1", ".hidden", ".git", ".hg", ".gitignore"),
    *("a.dvc", "dvc.yaml", ".ipynb_checkpoints", "a*", "[a]", "!a", "\\a", "__MACOSX"),
)


def a_picture(project: Path, path: str) -> None:
    (project / path).parent.mkdir(parents=True, exist_ok=True)
    Image.linear_gradient("L").save(project / path, format="PNG")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with this one's .dvcignore, two classes of pictures and four IDX files."""
    folder = tmp_path / "project"
    (folder / IDX).mkdir(parents=True)
    shutil.copy(ROOT / ".dvcignore", folder)
    for name in (f"{TRAIN}/cat", f"{TRAIN}/dog", f"{TEST}/cat"):
        a_picture(folder, f"{name}/a.png")
    write_idx(folder / IDX, [np.zeros(shape, "u1") for shape in [(1, 28, 28)] * 2 + [(1,)] * 2])
    return folder


def hashed(project: Path) -> dict[Path, str]:
    """The files that DVC hashes for a stage that depends on both folders, and their MD5s."""
    fs, found = LocalFileSystem(), dict[Path, str]()
    objects = HashFileDB(fs, str(project.parent / "objects"))
    ignore = DvcIgnoreFilter(fs, str(project))
    # As DVC does first, to find all dvc.yaml: what it comes by then, it remembers.
    assert list(ignore.walk(fs, str(project)))
    for path in (project / PICTURES, project / IDX):
        _, _, tree = build(objects, str(path), fs, "md5", dry_run=True, ignore=ignore)
        assert isinstance(tree, Tree)
        found |= {path.joinpath(*key): hash_info.value for key, _, hash_info in tree}
    return found


def read(project: Path) -> dict[Path, str]:
    """The files that fetch reads, and their MD5s; none of a folder that it refuses."""
    paths = []
    with suppress(SourceError):
        _, train, test = list_photos(project / PICTURES)
        paths += [path for path, _ in [*train, *test]]
    with suppress(SourceError):
        read_folder(project / IDX)
        paths += [project / IDX / name for name in IDX_FILES]
    return {path: md5(path) for path in paths}


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


@pytest.mark.parametrize(
    ("plant", "path"),
    [
        *((make, f"{at}/{name}") for name in OWN for at in FOLDERS for make in (a_folder, a_file)),
        (a_file, "data/.dvcignore"),
        *((a_link, path) for path in (*FOLDERS, f"{TRAIN}/cat/a.png", f"{IDX}/{IDX_FILES[0]}")),
    ],
)
def test_what_fetch_reads_dvc_hashes(project: Path, plant: Plant, path: str) -> None:
    plant(project, path)
    assert read(project).items() <= hashed(project).items()


def test_classes_and_pictures_have_any_name(project: Path) -> None:
    for name in NAMES:
        for path in (f"{name}/a.png", f"cat/{name}.png", f"cat/{name}"):
            a_picture(project, f"{TRAIN}/{path}")
    found = read(project)
    assert found.items() <= hashed(project).items()
    read_names = [f"{name}/a.png" for name in ("4913", "x~", "a.orig", "a*")] + ["cat/4913"]
    expected = {project / TRAIN / name for name in read_names}
    assert {*expected, project / IDX / IDX_FILES[3]} <= found.keys()
