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


def wanted() -> list[str]:
    """Digests of what a venv is made of: all of it, and all but the pins.

    That is the Python, and this folder, which a venv's commands name. What pyproject.toml asks for
    is among the pins. Of the project itself, a venv has the path.
    """
    place = [f"{sys.version_info[:2]}".encode(), os.fsencode(Path.cwd())]
    parts = ([*place, PINS.read_bytes()], place)
    return [hashlib.sha256(b"\n".join(part)).hexdigest() for part in parts]


def build(lock: int, anew: bool) -> None:
    """Build ``.venv``, or bring it up to date; the lock is kept until the last process ends."""
    major, minor, *_ = sys.version_info
    pip = [f"{VENV}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    commands = [
        [*pip, "--require-hashes", "--requirement", str(PINS)],
        [*pip, "--no-deps", "--no-build-isolation", "--editable", "."],
    ]
    if anew:
        # This one may be the old venv's.
        python = f"{sys.base_prefix}/bin/python{major}.{minor}"
        commands.insert(0, [python, "-m", "venv", "--clear", str(VENV)])
    for command in commands:
        subprocess.run(command, check=True, pass_fds=[lock])


def main() -> bool:
    """Build it, if it is to be built, which is returned."""
    # NFS locks only a file that may be written.
    with PINS.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = STAMP.read_text(encoding="ascii").split() if STAMP.is_file() else []
        if found[:1] == wanted()[:1]:
            return False
        print("make: .venv is made of requirements.txt", flush=True)
        STAMP.unlink(missing_ok=True)
        in_place = found[1:] == wanted()[1:]
        try:
            build(file.fileno(), anew=not in_place)
        except subprocess.CalledProcessError:
            if in_place:
                # Pip changes nothing before it has all, and undoes what fails.
                STAMP.write_text("\n".join(found), encoding="ascii")
            sys.exit("requirements.txt could not be installed")
        STAMP.write_text("\n".join(wanted()), encoding="ascii")
    return True


if __name__ == "__main__" and main():
    # What editors and DVC's page read.
    dvc = [f"{VENV}/bin/dvc", "repro", "--quiet", "check_params", "bundle_vega"]
    sys.exit(subprocess.run(dvc, check=False).returncode)
