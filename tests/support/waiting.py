"""Waiting for what another process does."""

import time
from collections.abc import Callable
from typing import Any


def wait_for(found: Callable[[], Any], seconds: float = 120, pause: float = 0.05) -> Any:
    """What ``found`` returns, as soon as it is something."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end
        time.sleep(pause)
    return value
