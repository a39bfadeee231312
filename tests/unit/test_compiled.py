"""What numba compiles is kept for the next process, and never taken for another code's."""

import os
import subprocess
import sys
from pathlib import Path

CODE = """
from stages.common.compiled import compiler

njit = compiler()
VALUE = 1

@njit()
def answer():
    return VALUE

print(answer(), answer.stats.cache_hits.total())
"""


def test_compiled_code_is_kept_by_its_content(tmp_path: Path) -> None:
    def run(code: str, folder: str = "here") -> list[str]:
        module = tmp_path / folder / "module.py"
        module.parent.mkdir(exist_ok=True)
        module.write_text(code)
        os.utime(module, (0, len(folder)))
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        environment["NUMBA_CACHE_DIR"] = str(tmp_path / "kept")
        return subprocess.check_output(
            [sys.executable, str(module)], env=environment, text=True
        ).split()

    assert run(CODE) == ["1", "0"]
    assert run(CODE) == ["1", "1"]
    # Also of another clone.
    assert run(CODE, "elsewhere") == ["1", "1"]
    assert run(CODE.replace("VALUE = 1", "VALUE = 2")) == ["2", "0"]
