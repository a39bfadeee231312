"""Reading ``params.yaml``, which the stage ``check_params`` has held to its schema."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.common.errors import UserError

# Each file as it was when it was first asked for a value: all values are of one moment.
documents: dict[Path, Any] = {}
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
    file = path.resolve()
    if file not in documents:
        documents[file] = _parsed(path)
    value = values_read[file, key] = _value(path, documents[file], key)
    return value


def unchanged_since_read(path: Path) -> bool:
    """Whether values of ``path`` were read, and are all the same still."""
    values = {key: value for (of, key), value in values_read.items() if of == path.resolve()}
    now = _parsed(path) if values else None
    return bool(values) and all(_value(path, now, key) == value for key, value in values.items())


def _parsed(path: Path) -> Any:
    try:
        return _one_number(YAML(typ="safe").load(path))
    # RecursionError: a list may hold itself.
    except (YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from None


def _one_number(value: Any) -> Any:
    """``value`` with 3.0 as 3: DVC takes them for the same, and so must every stage."""
    if isinstance(value, dict):
        return {key: _one_number(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_one_number(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _value(path: Path, value: Any, key: str) -> Any:
    parts = key.split(".") if key else []
    for depth, part in enumerate(parts, start=1):
        if not isinstance(value, dict) or part not in value:
            raise UserError(f"{path}: {'.'.join(parts[:depth])} is missing")
        value = value[part]
    return value
