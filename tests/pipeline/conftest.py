"""The whole DAG on 5,000 real digits, run once for each worker of pytest-xdist."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clone import Clone


@pytest.fixture(scope="session")
def thorough(request: pytest.FixtureRequest) -> bool:
    """Whether to take the time for every stage, and not for a few."""
    return bool(request.config.getoption("--thorough"))


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The DAG run once, with fewer passes and trees than the notebook's."""
    made = Clone(tmp_path_factory.mktemp("digitline"), tmp_path_factory.mktemp("trace"))
    made.edit(
        data__source="sample",
        split__n_train=4000,
        sgd__max_iter=20,
        sgd_scaled__max_iter=20,
        forest__n_estimators=10,
        strokes__gamma=[3],
        strokes__n_copies=[0],
        strokes__weight=[0, 4],
    )
    ran = made.repro()
    assert {"fetch", "fit@digits_svc", "compare_notebook"} <= ran
    made.commit("The sample")
    return made


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory; skips where only root may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if (
        os.name != "posix"
        or not shutil.which("mount")
        or subprocess.run(mount, check=False).returncode
    ):
        pytest.skip("mounting a small disk takes root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
