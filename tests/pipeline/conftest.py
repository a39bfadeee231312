"""The whole DAG on 5,000 real digits, run once; a browser."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, sync_playwright

from tests.support import ROOT
from tests.support.clone import Clone
from tests.support.want import want_program

# Its sitecustomize.py has each stage leave what it has used.
TRACE = ROOT / "tests" / "support" / "trace"


@pytest.fixture(scope="session")
def thorough(request: pytest.FixtureRequest) -> bool:
    """Whether to take the time for every stage, and not for a few."""
    return bool(request.config.getoption("--thorough"))


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a browser, the one that ``DIGITLINE_BROWSER`` names; skips where there is none.

    Set to nothing, there is none. One that is named and missing is an error.
    """
    named = os.environ.get("DIGITLINE_BROWSER")
    names = ("chromium", "chromium-browser", "google-chrome") if named is None else (named,)
    found = next(filter(None, map(shutil.which, names)), None)
    if named:
        assert found, f"DIGITLINE_BROWSER: there is no {named}"
    return found or pytest.skip(want_program("a browser", "chromium"))


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """The only one; by module, as Playwright keeps asyncio busy while it runs."""
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=chromium)


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Clone:
    """The DAG run once, with fewer passes, trees and candidates than the project's.

    By one of pytest-xdist's workers, each of which has a copy of its own.
    """
    folder = tmp_path_factory.getbasetemp()
    shared = (folder if worker_id == "master" else folder.parent) / "shared"
    with FileLock(f"{shared}.lock"):
        if not shared.exists():
            run_dag(tmp_path_factory.mktemp("run")).rename(shared)
    own = tmp_path_factory.mktemp("own")
    shutil.copytree(shared, own, dirs_exist_ok=True)
    return Clone(own / "digitline")


def run_dag(folder: Path) -> Path:
    """Run it in a folder of this one, which is returned; beside it is a trace of what it used."""
    (folder / "trace").mkdir()
    tracing = {"PYTHONPATH": str(TRACE), "DIGITLINE_TRACE": str(folder / "trace")}
    made = Clone.of(ROOT, folder / "digitline", **tracing)
    made.edit(
        data__source="sample",
        split__n_train=4000,
        sgd__max_iter=20,
        sgd_scaled__max_iter=20,
        forest__n_estimators=10,
        strokes__gamma=[3],
        strokes__n_virtual_copies=[0],
        strokes__weight=[0, 4],
        strokes__n_nearest=3,
        strokes__max_displacement=1,
    )
    ran = made.repro()
    assert {"fetch", "fit@digits_svc", "report"} <= ran
    made.commit("The sample")
    return folder
