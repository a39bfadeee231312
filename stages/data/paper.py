"""What differs from the paper, alike in the pictures that one trains with and in those asked of."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Of 255 levels: a picture whose pixels differ by less is blank.
FAINT = 16
# Multiples of what the border mostly differs by, and the share of the most that is no noise.
NOISES, INK = 5, 0.3


def on_paper(image: Image.Image) -> Image.Image:
    """A picture with paper behind what is transparent: white, or black if white shows nothing."""
    if not image.has_transparency_data:
        return image
    clear = image.convert("RGBA")
    for paper in ("white", "black"):
        image = Image.alpha_composite(Image.new("RGBA", clear.size, paper), clear)
        if np.ptp(np.asarray(image.convert("L"))) >= FAINT:
            break
    return image


def border(grey: NDArray) -> NDArray:
    """The outermost pixels of a picture (height, width), in one dimension."""
    return np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])


def without_paper(grey: NDArray) -> NDArray[np.float32]:
    """By how much each pixel of a small picture (height, width) is lighter than its border.

    What differs as little as the border does is noise, and becomes 0.
    """
    paper = np.float32(np.median(border(grey)))
    lighter = np.asarray(grey, dtype=np.float32) - paper
    noise = NOISES * np.median(abs(border(grey) - paper))
    lighter[abs(lighter) <= min(noise, INK * abs(lighter).max())] = 0
    return lighter
