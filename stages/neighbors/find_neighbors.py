"""Stage find_neighbors: the nearest images of each image, exactly, once.

Every grid, fold and label reads these neighbours; it is searched again only for images
that have too many neighbours in their own fold (Exercises 1 and 2, In 60).
"""

from pathlib import Path

from stages.common.arrays import load, save_group
from stages.common.params import read
from stages.neighbors.search import nearest
from stages.parallel.workers import workers


def main(params: Path, queries: Path, images: Path, out: Path) -> None:
    """Write ``indices`` and ``squared_distances`` of the neighbours of ``queries`` in ``images``.

    An image that is among both is its own nearest neighbour, or of its copies the first.
    """
    k, candidates = read(params, "neighbors.k"), load(images)
    # As one array, each pair of images is looked at once.
    own = candidates if queries == images else load(queries)
    with workers():
        indices, squared = nearest(own, candidates, k, f"neighbours in {images.parent.name}")
    save_group(out, indices=indices, squared_distances=squared)
