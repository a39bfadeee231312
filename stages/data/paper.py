"""What differs from the paper, alike in the pictures that one trains with and in those asked of."""

import numpy as np
from numpy.typing import NDArray

# Multiples of what the border mostly differs by, and the share of the most that is no noise.
NOISES, INK = 5, 0.3


def without_paper(grey: NDArray) -> NDArray[np.float32]:
    """By how much each pixel of a small picture (height, width) is lighter than its border.

    What differs as little as the border does is noise, and becomes 0.
    """
    border = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    paper = np.float32(np.median(border))
    lighter = np.asarray(grey, dtype=np.float32) - paper
    noise = NOISES * np.median(abs(border - paper))
    lighter[abs(lighter) <= min(noise, INK * abs(lighter).max())] = 0
    return lighter
