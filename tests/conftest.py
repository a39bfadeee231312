"""What all tests have: options, their order, and 5,000 real digits."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.want import want

# By ``make test``, to the make of a test.
for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
    os.environ.pop(name, None)


# The first makes the DAG; what comes after it takes no DAG, and gives another worker its time.
FIRST = [
    "tests/pipeline/test_reruns.py",
    *(f"tests/unit/test_{name}.py" for name in ("predict", "strokes", "svc", "models", "fetch")),
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--thorough`` and ``--python``."""
    parser.addoption("--thorough", action="store_true", help="every stage; slow")
    parser.addoption("--python", help="another Python, to run every stage with")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what takes long; mark what looks for a browser, so that ``-m browser`` is just that."""
    at = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: at.get(item.nodeid.split("::")[0], len(FIRST)))
    slow = pytest.mark.skip(reason=want("time", ".venv/bin/pytest --thorough tests/pipeline"))
    for item in items:
        if item.get_closest_marker("thorough") and not config.getoption("--thorough"):
            item.add_marker(slow)
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


@pytest.fixture(scope="session")
def digits() -> Any:
    """Images (5000, 28, 28) and labels (5000,)."""
    # Here, as it imports scikit-learn, which takes a second.
    from stages.data.sources import sample

    images, labels, *_ = sample(Path())
    return images, labels
