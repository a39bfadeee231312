"""Fixtures: 5,000 real digits."""

from pathlib import Path

import pytest

from stages._sources import Mnist, sample

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def digits() -> Mnist:
    """Images (5000, 28, 28) and labels (5000,)."""
    return sample(Path())
