"""scikit-learn's SVC, or Intel's faster one where it is installed.

``DIGITLINE_ACCELERATOR`` (``auto``, ``on`` or ``off``; ``auto`` if unset) chooses. It is an
environment variable and not a parameter because both solve the same problem, to the same tolerance
(1e-3). On MNIST all 10,000 test predictions are the same; of the ten scores reported for the
first digit, those of ``svc`` differ by 1e-5 at most, those of ``ovr_svc`` by 4e-4.
"""

import os
from importlib import import_module
from importlib.util import find_spec

from sklearn.svm import SVC

from stages._errors import UserError


def svc_class() -> type[SVC]:
    """:class:`sklearn.svm.SVC` or scikit-learn-intelex's subclass of it.

    Raises:
        UserError: The variable is none of the three, or ``on`` where it is not installed.
    """
    choice = os.environ.get("DIGITLINE_ACCELERATOR", "auto")
    installed = find_spec("sklearnex") is not None
    if choice not in {"auto", "on", "off"}:
        raise UserError(f"DIGITLINE_ACCELERATOR is {choice!r}, but should be auto, on or off")
    if choice == "on" and not installed:
        raise UserError("DIGITLINE_ACCELERATOR is on, but scikit-learn-intelex is not installed")
    if choice == "off" or not installed:
        return SVC
    return import_module("sklearnex.svm").SVC
