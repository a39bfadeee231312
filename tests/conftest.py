"""What all tests have: an option, and 5,000 real digits."""

import os
from pathlib import Path

import pytest

from stages.data.sources import Mnist, sample

# By ``make test``, to the make of a test.
for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
    os.environ.pop(name, None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--thorough``."""
    parser.addoption("--thorough", action="store_true", help="every stage, every Python; slow")


@pytest.fixture(scope="session")
def digits() -> Mnist:
    """Images (5000, 28, 28) and labels (5000,)."""
    return sample(Path())
