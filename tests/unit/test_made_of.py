"""The digest of all code: of every file that counts, and of nothing else."""

import subprocess
from pathlib import Path

from stages.report.made_of import digest_of_code, digest_of_values, files
from tests.support import ROOT


def test_it_is_of_every_file_that_git_has() -> None:
    folders = ("stages", ".dvc/plots")
    command = ["git", "ls-files", "-co", "--exclude-standard", *folders]
    listed = subprocess.check_output(command, cwd=ROOT, text=True).splitlines()
    found = {path for folder in folders for path in files(ROOT / folder)}
    assert found == {ROOT / name for name in listed if (ROOT / name).exists()}
    assert len(found) > 50


def test_it_is_of_names_and_contents_and_of_nothing_that_is_left_behind(tmp_path: Path) -> None:
    folder = tmp_path / "stages" / "data"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "a.py").write_text("1")
    before = digest_of_code([tmp_path / "stages"])
    left_behind = (".a.py.swp", "a.py~", "4913", "#a.py#", ".#a.py", "a.py.orig")
    for name in (*left_behind, "__pycache__/a.cpython-311.pyc"):
        (folder / name).write_text("2")
    assert digest_of_code([tmp_path / "stages"]) == before
    (folder / "a.py").write_text("2")
    other = digest_of_code([tmp_path / "stages"])
    (folder / "a.py").rename(folder / "b.py")
    assert len({before, other, digest_of_code([tmp_path / "stages"])}) == 3


def test_values_have_one_digest_in_any_order() -> None:
    assert digest_of_values({"a": 1, "b": [2, 3]}) == digest_of_values({"b": [2, 3], "a": 1})
    assert len({digest_of_values({"b": of}) for of in (1, [2, 3], [3, 2])}) == 3
