"""The same bytes everywhere: the outputs of every stage, on what seem to be other machines.

With ``--python``, also of another Python that has the libraries of requirements.txt; for an
emulated ARM (tests/support/arm.sh), a quarter of an hour.
"""

import platform
import sys
from pathlib import Path
from typing import Any

import pytest
from matplotlib.font_manager import fontManager, json_dump

from tests.support import IS_X86
from tests.support.clone import Clone, md5
from tests.support.dag import run_stages
from tests.support.want import want

pytestmark = pytest.mark.skipif(
    platform.system() != "Linux", reason="for want of Linux, where cores can be taken away"
)

# Compared with the clone's own run, on this machine's cores and CPU, with its settings: an
# environment, and what the libraries must report then. CPUs are x86-64's; OpenBLAS takes the CPU
# for whatever it is told.
CPU_SETTINGS = (
    "OPENBLAS_CORETYPE",
    "NPY_DISABLE_CPU_FEATURES",
    "GLIBC_TUNABLES",
    "NUMBA_CPU_NAME",
    "NUMBA_CPU_FEATURES",
)
MACHINES: dict[str, tuple[str, dict[str, Any]]] = {
    # A user who has set what libraries read by themselves.
    "1 core, Haswell with AVX2, a hostile home and environment": (
        """
        DIGITLINE_CORES=1 OMP_NUM_THREADS=1 OPENBLAS_CORETYPE=Haswell
        NPY_DISABLE_CPU_FEATURES=X86_V4,AVX512_ICL,AVX512_SPR
        NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES=+avx2,+fma
        TZ=Asia/Kathmandu PYTHONHASHSEED=1 LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0
        HOME={home} XDG_CONFIG_HOME={home}/.config MATPLOTLIBRC={home}/.config/matplotlib
        MPLBACKEND=svg SOURCE_DATE_EPOCH=1 SCIPY_ARRAY_API=1 SKLEARN_WORKING_MEMORY=1
        SKLEARN_PAIRWISE_DIST_CHUNK_SIZE=7 JOBLIB_MULTIPROCESSING=0 NPY_PROMOTION_STATE=weak
        PILLOW_BLOCK_SIZE=4096 PYDANTIC_DISABLE_PLUGINS=__all__ TQDM_DISABLE=1 FORCE_COLOR=1
        """,
        {"joblib's threads": 1, "BLAS": ["Haswell"], "numpy's features": ["X86_V3"]},
    ),
    "4 threads, Nehalem with the baseline": (
        """
        DIGITLINE_CORES=4 OMP_NUM_THREADS=4 OPENBLAS_CORETYPE=Nehalem
        NPY_DISABLE_CPU_FEATURES=X86_V3,X86_V4,AVX512_ICL,AVX512_SPR
        NUMBA_CPU_NAME=nehalem NUMBA_CPU_FEATURES=
        GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX
        LC_ALL=C.UTF-8 TZ=Etc/GMT+12 PYTHONHASHSEED=2
        """,
        {"joblib's threads": 4, "BLAS": ["Nehalem"], "numpy's features": []},
    ),
}


def report_and_check(clone: Clone, folder: Path, python: str, **environment: str) -> Any:
    """Run every stage in ``folder``, to the clone's bytes; what is reported of the machine."""
    clone.copy_stages(folder)
    report = run_stages(folder, python=python, **environment)
    expected = clone.outs()
    assert len(expected) > 50
    assert any("/model.skops" in path for path in expected)
    assert {path for path in expected if md5(folder / path) != expected[path]} == set()
    return report


def hostile(home: Path) -> None:
    """Fill a home folder with matplotlib's settings, and a list of fonts where one is another."""
    settings = home / ".config" / "matplotlib" / "matplotlibrc"
    fonts = home / ".cache" / "matplotlib" / f"fontlist-v{fontManager.__version__}.json"
    for path in (settings, fonts):
        path.parent.mkdir(parents=True)
    settings.write_text("axes.linewidth: 5\nimage.origin: lower\n")
    json_dump(fontManager, fonts)
    fonts.write_text(fonts.read_text().replace("DejaVuSans.ttf", "DejaVuSerif.ttf"))


@pytest.mark.parametrize("machine", MACHINES)
def test_another_machine_makes_the_same_bytes(clone: Clone, tmp_path: Path, machine: str) -> None:
    settings, seen = MACHINES[machine]
    hostile(tmp_path / "home")
    words = settings.format(home=tmp_path / "home").split()
    environment = dict(word.split("=", 1) for word in words)
    if not IS_X86:
        environment = {name: environment[name] for name in environment.keys() - CPU_SETTINGS}
        seen = {"joblib's threads": seen["joblib's threads"]}
    report = report_and_check(clone, tmp_path / "a clone, elsewhere", sys.executable, **environment)
    assert seen.items() <= report.items()
    assert report["threads of a library"] == 1


def test_another_python_makes_the_same_bytes(
    clone: Clone, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not (python := request.config.getoption("--python")):
        pytest.skip(want("another Python", "pytest --python PYTHON tests/pipeline/test_bytes.py"))
    report_and_check(clone, tmp_path / "clone", python)
