"""Stage denoise: from noisy to clean pixels by nearest neighbours (In 67-71)."""

from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.stats import mode

from stages.common.arrays import load_set, save_group
from stages.common.params import read
from stages.neighbors.search import nearest
from stages.output.tables import Metrics, write_metrics
from stages.parallel.workers import workers

BATCH_SIZE = 500


def add_noise(
    images: NDArray[np.uint8], high: int, random: np.random.RandomState
) -> NDArray[np.uint16]:
    """The images with an integer from 0 to below ``high`` added to each pixel, (n, 28, 28)."""
    noise = random.randint(0, high, size=images.shape, dtype=np.uint16)
    return images + noise


def denoise(
    noisy: NDArray[np.uint16],
    noisy_train: NDArray[np.uint16],
    clean_train: NDArray[np.uint8],
    n_neighbors: int,
) -> NDArray[np.uint8]:
    """The most frequent clean value of each pixel among the nearest noisy training images.

    The notebook's multioutput ``KNeighborsClassifier`` does the same: of equally frequent values,
    it takes the least.

    Args:
        noisy: (n, 28, 28).
        noisy_train: (m, 28, 28).
        clean_train: (m, 28, 28).
        n_neighbors: How many vote.

    Returns:
        (n, 28, 28).
    """
    with workers():
        indices, _ = nearest(noisy, noisy_train, n_neighbors, "neighbours of noisy digits")
    parts = np.array_split(indices, range(BATCH_SIZE, len(indices), BATCH_SIZE))
    votes = (delayed(mode)(clean_train[neighbors], axis=1) for neighbors in parts)
    counted = Parallel(n_jobs=-1, prefer="threads")(votes)
    return np.concatenate([vote.mode for vote in counted])


def denoise_metrics(
    clean: NDArray[np.uint8], noisy: NDArray[np.uint16], cleaned: NDArray[np.uint8]
) -> Metrics:
    """The mean absolute error over all pixels of all images, in grey levels of 0 to 255."""
    truth = clean.astype(np.int32)
    return {
        "mean_absolute_error": {
            "before": np.abs(noisy - truth).mean(),
            "after": np.abs(cleaned - truth).mean(),
        }
    }


def main(params: Path, train: Path, test: Path, metrics: Path, out: Path) -> None:
    """Clean the whole test set; write the errors, and the first images to be shown."""
    section = read(params, "denoise")
    images, clean = load_set(train)[0], load_set(test)[0]
    random = np.random.RandomState(section["seed"])
    noisy_images = add_noise(images, section["high"], random)
    noisy = add_noise(clean, section["high"], random)
    cleaned = denoise(noisy, noisy_images, images, section["n_neighbors"])
    write_metrics(metrics, denoise_metrics(clean, noisy, cleaned))
    n = section["n_digits"]
    save_group(out, noisy=noisy[:n], cleaned=cleaned[:n], clean=clean[:n])
