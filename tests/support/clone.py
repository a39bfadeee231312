"""The repository copied to a folder of its own, to run DVC in as a user does."""

import atexit
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ruamel.yaml import YAML

from tests.support import AUTHOR, ROOT

yaml = YAML()


def md5(path: Path) -> str:
    """The MD5 of a file, as DVC writes it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def ran(printed: str) -> set[str]:
    """The stages that ``dvc repro`` says it runs."""
    return set(re.findall(r"Running stage '(.+)'", printed))


def install(folder: Path, **commands: str) -> None:
    """Give a folder a ``.venv`` whose commands are others; make takes it if it is assumed old."""
    (folder / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
    for name, command in commands.items():
        script = folder / ".venv" / "bin" / name
        script.write_text(f'#!/bin/sh\nexec "{command}" "$@"\n')
        script.chmod(0o755)


@cache
def dvc_server() -> subprocess.Popen[str]:
    """A process that runs commands of DVC: see dvc_server.py."""
    script = str(ROOT / "tests" / "support" / "dvc_server.py")
    process = subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(process.communicate)
    return process


class Clone:
    """The repository in a folder, with its own DVC cache, and variables of its environment."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder, self.variables = folder.resolve(), variables

    @classmethod
    def of(cls, source: Path, folder: Path, **variables: str) -> "Clone":
        """A copy of what git tracks, or would; nothing has run."""
        made = cls(folder, **variables)
        (folder / "reports").mkdir(parents=True)
        listed = made.run("git", "-C", str(source), "ls-files", "-co", "--exclude-standard")
        for name in listed.splitlines():
            if (source / name).is_file() and not name.startswith("reports/") and name != "dvc.lock":
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source / name, folder / name)
        made.run("git", "init", "--quiet", "--initial-branch=main")
        return made

    @property
    def environment(self) -> dict[str, str]:
        # The commands of the environment that runs the tests come first, as in .venv/bin.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, **AUTHOR, "PATH": path, **self.variables}

    def run(self, *command: str) -> str:
        """What a command prints in the clone."""
        return subprocess.check_output(
            command, cwd=self.folder, env=self.environment, stderr=subprocess.PIPE, text=True
        )

    def dvc(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        process = dvc_server()
        assert process.stdin is not None
        assert process.stdout is not None
        with TemporaryDirectory() as folder:
            files = [Path(folder, name) for name in ("stdout", "stderr")]
            asked = [command, str(self.folder), self.environment, *map(str, files)]
            print(json.dumps(asked), file=process.stdin, flush=True)
            status = int(process.stdout.readline())
            done = subprocess.CompletedProcess(
                ("dvc", *command), status, *(file.read_text() for file in files)
            )
        if check:
            done.check_returncode()
        return done

    def edit(self, **values: Any) -> None:
        """Set parameters, a dot in a key written as two underscores."""
        path = self.folder / "params.yaml"
        params = yaml.load(path)
        for key, value in values.items():
            *parents, last = key.split("__")
            section = params
            for parent in parents:
                section = section[parent]
            section[last] = value
        yaml.dump(params, path)

    def replace(self, file: str, before: str, after: str) -> None:
        """Replace a text of a file, where it comes first."""
        text = (self.folder / file).read_text()
        assert before in text
        (self.folder / file).write_text(text.replace(before, after, 1))

    def outs(self) -> dict[str, str]:
        """The MD5 of every file that dvc.lock records as output, also within a folder."""
        lock = YAML(typ="safe").load(self.folder / "dvc.lock")
        found: dict[str, str] = {}
        for out in (out for stage in lock["stages"].values() for out in stage["outs"]):
            if out["md5"].endswith(".dir"):
                listed = json.loads(self.cached(out["md5"]).read_text())
                found |= {f"{out['path']}/{file['relpath']}": file["md5"] for file in listed}
            else:
                found[out["path"]] = out["md5"]
        return found

    def cached(self, md5: str) -> Path:
        """Where DVC's cache has the content with this MD5."""
        return self.folder / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]

    def files(self) -> set[str]:
        """Every file of data and reports."""
        folders = (self.folder / "data", self.folder / "reports")
        found = (path for folder in folders for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)) for path in found}

    def repro(self) -> set[str]:
        """The stages that ran."""
        return ran(self.dvc("repro").stdout)

    def make(self, *arguments: str) -> str:
        """What ``make`` prints, in the environment of the tests."""
        install(self.folder, python=sys.executable, dvc=f"{Path(sys.executable).parent}/dvc")
        return self.run("make", "--no-print-directory", "--assume-old=.venv", *arguments)

    def commit(self, message: str) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)

    def undo(self) -> None:
        """Everything as committed, and the data that DVC has of it."""
        self.run("git", "checkout", "--quiet", "--", ".")
        self.dvc("checkout")

    def undo_edits(self) -> None:
        """Everything as committed but what DVC has written."""
        self.run("git", "checkout", "--quiet", "--", ".", ":!dvc.lock", ":!reports")

    def copy_stages(self, folder: Path) -> None:
        """Copy what the stages need to ``folder``, to run them there without DVC."""
        for name in ("stages", "params.yaml", "data/idx", "data/pictures", ".dvc/plots"):
            copy = shutil.copytree if (self.folder / name).is_dir() else shutil.copy
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            copy(self.folder / name, folder / name)
        (folder / "reports").mkdir()

    def reports(self) -> dict[str, bytes]:
        """The content of every report, by its path."""
        paths = (path for path in self.files() if path.startswith("reports/"))
        return {path: (self.folder / path).read_bytes() for path in paths}

    def metrics(self, name: str) -> Any:
        return json.loads((self.folder / "data" / "metrics" / name).read_text())
