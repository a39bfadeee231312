"""Make ``.venv`` what ``requirements.txt`` pins, where it is not.

Decided by content, and not by times. Any Python runs this that the project takes, with nothing but
its standard library.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

PINS, VENV = Path("requirements.txt"), Path(".venv")
# Of what is not whole, there is none.
STAMP = VENV / ".installed"


def wanted() -> str:
    """A digest of what decides: the Python, this folder, which a venv's commands name, the pins.

    What pyproject.toml asks for is among the pins. Of the project itself, a venv has the path.
    """
    decides = f"{sys.version_info[:2]}".encode(), os.fsencode(Path.cwd()), PINS.read_bytes()
    return hashlib.sha256(b"\n".join(decides)).hexdigest()


def build(lock: int) -> None:
    """Build ``.venv`` anew; the lock is kept until the last of its processes ends."""
    # This one may be the old venv's.
    python = f"{sys.base_prefix}/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    pip = [f"{VENV}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in (
        [python, "-m", "venv", "--clear", str(VENV)],
        [*pip, "--require-hashes", "--requirement", str(PINS)],
        [*pip, "--no-deps", "--no-build-isolation", "--editable", "."],
    ):
        subprocess.run(command, check=True, pass_fds=[lock])


def main() -> bool:
    """Build it, if it is to be built, which is returned."""
    # NFS locks only a file that may be written.
    with PINS.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if STAMP.is_file() and STAMP.read_text(encoding="ascii") == wanted():
            return False
        print("make: .venv is made of requirements.txt", flush=True)
        STAMP.unlink(missing_ok=True)
        try:
            build(file.fileno())
        except subprocess.CalledProcessError:
            sys.exit("requirements.txt could not be installed: make tries again")
        STAMP.write_text(wanted(), encoding="ascii")
    return True


if __name__ == "__main__" and main():
    # What editors and DVC's page read.
    dvc = [f"{VENV}/bin/dvc", "repro", "--quiet", "check_params", "bundle_vega"]
    sys.exit(subprocess.run(dvc, check=False).returncode)
