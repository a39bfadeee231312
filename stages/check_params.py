"""Stage check_params: the whole of ``params.yaml``, before any other stage starts.

DVC removes a stage's outputs before it runs. Every stage comes after this one, so that a
mistyped parameter stops the run while everything that was there is still there.
"""

from pathlib import Path

from pydantic import model_validator

from stages._params.augment import Augment
from stages._params.base import Section, read
from stages._params.binary import Binary
from stages._params.cross_validate import CrossValidate
from stages._params.data import Data
from stages._params.denoise import Denoise
from stages._params.errors import Errors
from stages._params.forest import Forest
from stages._params.gallery import Gallery
from stages._params.grid import Grid
from stages._params.multilabel import Multilabel
from stages._params.neighbors import Neighbors
from stages._params.never import Never
from stages._params.sgd import Sgd
from stages._params.sgd_scaled import SgdScaled
from stages._params.split import Split
from stages._params.svc import Svc


class Params(Section):
    """The whole of ``params.yaml``."""

    data: Data
    split: Split
    gallery: Gallery
    augment: Augment
    cross_validate: CrossValidate
    binary: Binary
    never: Never
    sgd: Sgd
    sgd_scaled: SgdScaled
    forest: Forest
    svc: Svc
    ovr_svc: Svc
    errors: Errors
    neighbors: Neighbors
    grid: Grid
    multilabel: Multilabel
    denoise: Denoise

    @model_validator(mode="after")
    def _enough_neighbors(self) -> "Params":
        wanted = {
            "grid.n_neighbors": max(self.grid.n_neighbors),
            "multilabel.n_neighbors": self.multilabel.n_neighbors,
        }
        for key, n_neighbors in wanted.items():
            if n_neighbors > self.neighbors.k:
                raise ValueError(
                    f"{key} {n_neighbors} should be at most neighbors.k {self.neighbors.k}"
                )
        return self


def main(params: Path, out: Path) -> None:
    """Check ``params`` and write ``out``, whose content never changes."""
    read(params, "", Params)
    out.write_text("params.yaml is valid\n")
