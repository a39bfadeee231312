"""What was skipped is told: the last lines of a run of pytest, a line each reason."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT
from tests.support.want import want

SUITE = f"""
import pytest

@pytest.mark.skipif(True, reason={want("a thing", "fetch a thing")!r})
@pytest.mark.parametrize("n", range(3))
def test_a_thing(n): ...

@pytest.mark.thorough
def test_all(): ...

def test_one(): ...
"""


def test_what_was_skipped_is_told_last(tmp_path: Path) -> None:
    """By the process that has the terminal, of what another has run."""
    (tmp_path / "test_suite.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-n", "1", str(tmp_path)]
    done = subprocess.run(
        [*command, f"--config-file={ROOT / 'pyproject.toml'}", f"--rootdir={tmp_path}"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    *_, summary, things, all_of_it = done.stdout.splitlines()
    assert "1 passed, 4 skipped" in summary
    assert things == "3 skipped for want of a thing: fetch a thing"
    assert all_of_it == "1 skipped for want of time: .venv/bin/pytest --thorough tests/pipeline"
