"""Reading ``params.yaml``, which the stage ``check_params`` has held to its schema."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from stages.common.errors import UserError

# What this process was told: the value of each file and key.
values_read: dict[tuple[Path, str], Any] = {}


def read(path: Path, key: str) -> Any:
    """One value of a parameters file, as YAML 1.2 has it, which is what DVC reads.

    Args:
        path: The YAML file.
        key: The dotted key of a value or a section, such as ``binary.thresholds.precision``; empty
            for the whole file.

    Raises:
        UserError: The file is not YAML, or has no such key.
    """
    value = values_read[path.resolve(), key] = _value(path, key)
    return value


def is_as_read(path: Path) -> bool:
    """Whether values of ``path`` were read, and are all the same still."""
    values = {key: value for (of, key), value in values_read.items() if of == path.resolve()}
    return bool(values) and all(_value(path, key) == value for key, value in values.items())


def _value(path: Path, key: str) -> Any:
    try:
        value = YAML(typ="safe").load(path)
    except MarkedYAMLError as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    parts = key.split(".") if key else []
    for depth, part in enumerate(parts, start=1):
        if not isinstance(value, dict) or part not in value:
            raise UserError(f"{path}: {'.'.join(parts[:depth])} is missing")
        value = value[part]
    return value
