"""Make ``.venv`` what ``requirements.txt`` pins, where it is not.

Decided by content, and not by times. While the new one is built, the old one is ``.venv.old``. It
comes back where the building fails, or, by the next ``make``, where it was killed. Any Python runs
this that the project takes, with nothing but its standard library.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

PINS, VENV, OLD = Path("requirements.txt"), Path(".venv"), Path(".venv.old")
# Written last, so that what has it is whole.
STAMP = VENV / ".installed"


def wanted() -> str:
    """A digest of what decides: the Python, this folder, which a venv's commands name, the pins.

    What pyproject.toml asks for is among the pins. Of the project itself, a venv has the path.
    """
    decides = f"{sys.version_info[:2]}".encode(), os.fsencode(Path.cwd()), PINS.read_bytes()
    return hashlib.sha256(b"\n".join(decides)).hexdigest()


def stamp() -> str:
    """The digest of what ``.venv`` was made of; empty where it is not whole, or not ours."""
    return STAMP.read_text(encoding="ascii") if STAMP.is_file() else ""


def remove(folder: Path) -> None:
    """Remove a folder that may be missing."""
    if folder.exists():
        shutil.rmtree(folder)


def put_back() -> None:
    """Remove what has been built, and put the old one in its place, if there was one."""
    STAMP.unlink(missing_ok=True)
    remove(VENV)
    if OLD.exists():
        OLD.rename(VENV)


def build(lock: int) -> None:
    """Build ``.venv``; the lock is kept until the last of its processes ends."""
    major, minor, *_ = sys.version_info
    pip = [f"{VENV}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in (
        # This one may be the old venv's.
        [f"{sys.base_prefix}/bin/python{major}.{minor}", "-m", "venv", str(VENV)],
        [*pip, "--require-hashes", "--requirement", str(PINS)],
        [*pip, "--no-deps", "--no-build-isolation", "--editable", "."],
    ):
        subprocess.run(command, check=True, pass_fds=[lock])


def main() -> bool:
    """Build it, if it is to be built, which is returned; where that fails all is as it was."""
    # NFS locks only a file that may be written.
    with PINS.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if OLD.exists() and not stamp():
            put_back()
        remove(OLD)
        if stamp() == wanted():
            return False
        print("make: .venv is made of requirements.txt", flush=True)
        if VENV.exists():
            VENV.rename(OLD)
        try:
            build(file.fileno())
            STAMP.write_text(wanted(), encoding="ascii")
        except (subprocess.CalledProcessError, OSError, KeyboardInterrupt):
            put_back()
            sys.exit("requirements.txt could not be installed: .venv is as it was")
        remove(OLD)
    return True


if __name__ == "__main__" and main():
    # What editors and DVC's page read.
    dvc = [f"{VENV}/bin/dvc", "repro", "--quiet", "check_params", "bundle_vega"]
    sys.exit(subprocess.run(dvc, check=False).returncode)
