"""notebooks/chapter_3.ipynb, as git has it, and as its reader runs it."""

import ast
import sys
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from stages.report.results import tree, value
from tests.support import ROOT
from tests.support.clone import Clone

CHAPTER_3 = nbformat.read(ROOT / "notebooks" / "chapter_3.ipynb", 4)
# What the notebook has computed after all of its cells, and where the reports have the same.
FIGURES = {
    "sgd_accuracy": "binary.sgd.accuracy",
    "sgd_worth": "binary.sgd",
    "{'roc_auc': auc['SGD']}": "binary.sgd",
    "{'score': first_score}": "binary.sgd.first_digit",
    "sgd_point": "binary.sgd.operating_point",
    "{'roc_auc': auc['forest'], **forest_worth}": "binary.forest",
    **{
        f"{{'test_accuracy': test_accuracy['{model}']}}": f"digits.{model}"
        for model in ("svc", "ovr_svc", "sgd")
    },
    "digits_accuracy['sgd']": "digits.sgd.accuracy",
    "digits_accuracy['sgd_scaled']": "digits.sgd_scaled.accuracy",
    "multilabel['first_digit']": "multilabel.first_digit",
    "multilabel['f1']": "multilabel.f1",
    "dict(zip(map('n_neighbors_{}'.format, ks), grid['mean'][grid['weights'] == 'uniform']))": (
        "grid.uniform"
    ),
    "{'test_accuracy': knn_accuracy}": "digits.knn",
    "{'test_accuracy': augmented_accuracy}": "digits.knn_augmented",
}


@pytest.fixture(autouse=True)
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels of this Python, without anything of the user's home."""
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    specs = Path(sys.prefix, "share", "jupyter", "kernels")
    assert Path(KernelSpecManager().get_kernel_spec("python3").resource_dir).parent == specs


def run(cells: list[NotebookNode], folder: Path, last: str = "") -> list[NotebookNode]:
    """The outputs of all cells, and of a ``last`` one, run in ``folder``."""
    notebook = new_notebook(cells=deepcopy([*cells, new_code_cell(last)]))
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, kernel_name="python3", resources=resources, timeout=60).execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_it_has_no_outputs() -> None:
    code = [cell for cell in CHAPTER_3.cells if cell.cell_type == "code"]
    assert [cell for cell in code if cell.outputs or cell.execution_count is not None] == []


def test_it_computes_what_the_reports_have(clone: Clone) -> None:
    folder, measured = clone.folder / "notebooks", tree(clone.folder / "data" / "metrics")
    *outputs, printed = run(CHAPTER_3.cells, folder, f"[{', '.join(FIGURES)}]")
    computed = ast.literal_eval(printed.data["text/plain"])
    for ours, (expression, key) in zip(computed, FIGURES.items(), strict=True):
        reported = {name: x for name, x in value(measured, key).items() if name in ours}
        assert reported, expression
        assert {name: ours[name] for name in reported} == pytest.approx(reported, abs=1e-9)
    # No warning, no progress.
    assert [output for output in outputs if output.output_type in {"stream", "error"}] == []
    assert len([output for output in outputs if "image/png" in output.data]) > 10


def test_without_data_its_first_cell_says_what_to_do(tmp_path: Path) -> None:
    """Here in the root: it runs in any folder of the project."""
    made = Clone.of(ROOT, tmp_path / "clone")
    with pytest.raises(CellExecutionError, match=r"run `dvc repro` \(or `dvc pull`\) first"):
        run(CHAPTER_3.cells[:2], made.folder)
