"""The repository copied to a folder of its own, to run DVC in as a user does."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
yaml = YAML()


class Clone:
    """A copy of what git tracks, or would, with its own DVC cache, and a trace of its stages."""

    def __init__(self, folder: Path, trace: Path) -> None:
        self.folder, self.trace = folder.resolve(), trace
        listed = self._run("git", "ls-files", "-co", "--exclude-standard", folder=ROOT).stdout
        for name in listed.splitlines():
            if (ROOT / name).is_file() and not name.startswith("reports/") and name != "dvc.lock":
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        (folder / "reports").mkdir(exist_ok=True)
        self._run("git", "init", "--quiet", "--initial-branch=main")

    @property
    def environment(self) -> dict[str, str]:
        # The commands of the environment that runs the tests come first, as in .venv/bin.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        tracer = str(ROOT / "tests" / "trace")
        return {
            **os.environ,
            "PATH": path,
            "PYTHONPATH": tracer,
            "DIGITLINE_TRACE": str(self.trace),
        }

    def _run(
        self, *command: str, folder: Path | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=folder or self.folder,
            env=self.environment,
            check=check,
            capture_output=True,
            text=True,
        )

    def dvc(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self._run("dvc", *command, check=check)

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

    def repro(self) -> set[str]:
        """The stages that ran."""
        return set(re.findall(r"Running stage '(.+)'", self.dvc("repro").stdout))

    def commit(self, message: str) -> None:
        self._run("git", "add", "--all")
        author = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
        self._run("git", *author, "commit", "--quiet", "--message", message)

    def undo(self) -> None:
        """Everything as committed, and the data that DVC has of it."""
        self._run("git", "checkout", "--quiet", "--", ".")
        self.dvc("checkout")

    def metrics(self, name: str) -> Any:
        return json.loads((self.folder / "reports" / "metrics" / name).read_text())
