"""The name of the folder that the repository is in."""

import subprocess
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo

from stages.check_params import main
from stages.common.errors import UserError
from tests.support import ROOT


@pytest.mark.parametrize("name", ["a{y}", "a{", "a}", "a${y}", "{}"])
def test_a_brace_is_refused_in_a_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name / "digitline"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match=r"^DVC cannot work below a folder with a brace"):
        main(ROOT / "params.yaml", *map(Path, ("checked", "values", "schema")))


@pytest.mark.parametrize("name", ["a%s%(x)d", "'a\"", "a  b", "é日", "a\nb", "#[a]?*$HOME`"])
def test_any_other_name_will_do(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    main(ROOT / "params.yaml", *map(Path, ("checked", "values", "schema")))
    assert keep(folder)


def test_dvc_still_cannot(tmp_path: Path) -> None:
    """If this fails: refuse braces no longer."""
    folder = tmp_path / "a{y}"
    folder.mkdir()
    call = [sys.executable, "-m", "tests.unit.test_path", str(folder)]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "KeyError: 'y'" in done.stderr


def keep(folder: Path) -> bool:
    """Whether DVC runs a stage in a folder, and keeps what it writes."""
    Repo.init(str(folder), no_scm=True).close()
    (folder / "dvc.yaml").write_text("stages: {make: {cmd: echo 1 > file, outs: [file]}}")
    with Repo(str(folder)) as repo:
        repo.reproduce(str(folder / "dvc.yaml"))
        return len(list(Path(repo.cache.local.path).rglob("*"))) > 1


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
