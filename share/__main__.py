"""Share what is computed through the default remote of DVC: ``pull`` before a run, ``push`` after.

Of a stage's remembered runs, DVC's own push leaves out the outputs that only git keeps, so that no
other clone finds such a run; its pull takes whatever the remote sends for what it asked for, and
waits for it for ever.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import tyro
from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo
from dvc.repo.reproduce import get_active_graph, plan_repro
from dvc.stage import Stage
from dvc.stage.cache import _can_hash, _get_stage_hash
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree
from dvc_objects.fs import generic
from dvc_objects.fs.local import localfs
from dvc_objects.fs.utils import as_atomic
from fsspec.callbacks import Callback

from tools.verify import is_damaged, parse_run

# A run that DVC remembers takes a few kB; a foreign file may have any size.
RUN_BYTES = 2**20


class RemoteError(Exception):
    """What a remote, which may be anything, has raised."""


class Watch(Callback):
    """Ends the process when a remote has moved nothing for some seconds.

    A thread that waits for a remote cannot be stopped from within.
    """

    def __init__(self, seconds: float, status: int) -> None:
        super().__init__()
        self.seconds, self.status = seconds, status
        self.last = float("inf")
        threading.Thread(target=self._end, daemon=True).start()

    def _end(self) -> None:
        while time.monotonic() - self.last < self.seconds:
            time.sleep(0.1)
        print(f"nothing has moved for {self.seconds:g} s, given up", flush=True)
        os._exit(self.status)

    @contextmanager
    def on(self) -> Iterator[None]:
        """Watch what is done in the block.

        Raises:
            RemoteError: The block raised anything.
        """
        self.call()
        try:
            yield
        except Exception as error:
            raise RemoteError(str(error).partition("\n")[0] or type(error).__name__) from error
        finally:
            self.last = float("inf")

    def call(self, *_: Any, **__: Any) -> None:
        """Note that something has moved."""
        self.last = time.monotonic()

    def branched(self, *_: Any, **__: Any) -> "Watch":
        """The same watch, for a part of the work."""
        return self


class Remote:
    """The default remote of a repository, and what came of asking it."""

    def __init__(self, repo: Repo, watch: Watch) -> None:
        with watch.on():
            self.remote = repo.cloud.get_remote()
        self.cache, self.runs = repo.cache.local, Path(repo.stage_cache.cache_dir)
        self.watch = watch
        self.moved: set[str] = set()
        self.missing: set[str] = set()
        self.damaged: set[str] = set()
        self.failed: dict[str, BaseException] = {}

    def run_folder(self, key: str = "") -> str:
        """Where the remote has the remembered runs of a stage with these inputs, or all of them."""
        return str(self.remote.fs.join(self.remote.path, "runs", *([key[:2], key] if key else [])))

    def list_runs(self, key: str = "") -> list[str]:
        """The paths of :meth:`run_folder`; none where the remote cannot list, as HTTP."""
        with self.watch.on(), suppress(NotImplementedError, FileNotFoundError):
            return list(self.remote.fs.find(self.run_folder(key)))
        return []

    def pull_files(self, names: Iterable[str]) -> bool:
        """Fetch objects into the cache, no damaged one; whether all are there."""
        wanted = set(names)
        absent = sorted(wanted - set(self.cache.oids_exist(list(wanted))))
        errors: dict[str, BaseException] = {}
        # DVC's own error, of a single file of which nothing has come; it has told the reason.
        with self.watch.on(), suppress(FileNotFoundError):
            self.cache.add(
                [self.remote.odb.oid_to_path(name) for name in absent],
                self.remote.fs,
                absent,
                verify=True,
                check_exists=False,
                callback=self.watch,
                batch_size=self.remote.fs.jobs,
                on_error=errors.__setitem__,
            )
        came = {name for name in absent if self.cache.exists(name)}
        missing = {name for name, error in errors.items() if isinstance(error, FileNotFoundError)}
        self.moved |= came
        self.missing |= missing
        self.failed |= {name: errors[name] for name in errors.keys() - missing}
        self.damaged |= set(absent) - came - errors.keys()
        if not came and (broken := sorted(errors.keys() - missing)):
            with self.watch.on():
                raise errors[broken[0]]
        return len(came) == len(absent)

    def pull_objects(self, names: list[str]) -> bool:
        """The same, of files and folders with all that they hold."""
        return self.pull_files(names) and self.pull_files(self.within(names))

    def within(self, names: Iterable[str]) -> list[str]:
        """The files in those of the objects that are folders, and that the cache has."""
        folders = (
            name
            for name in names
            if name.endswith(".dir")
            and self.cache.exists(name)
            and not is_damaged(Path(self.cache.oid_to_path(name)))
        )
        trees = (Tree.load(self.cache, HashInfo("md5", name)) for name in folders)
        return [file.value for tree in trees for _, _, file in tree]

    def pull_run(self, stage: Stage) -> bool:
        """Fetch a remembered run of a stage with its present inputs; whether there is one."""
        stage.save_deps()
        key = _get_stage_hash(stage)
        for path in self.list_runs(key):
            name = self.remote.fs.name(path)
            with self.watch.on(), self.remote.fs.open(path, "rb") as file:
                content = file.read(RUN_BYTES)
            run = parse_run(content, key, name)
            if run is None:
                self.damaged.add(name)
            elif self.pull_objects([out["md5"] for out in run["outs"]]):
                local = str(self.runs / key[:2] / key / name)
                with as_atomic(localfs, local, create_parents=True) as part:
                    Path(part).write_bytes(content)
                return True
        return False

    def push_files(self, names: Iterable[str]) -> None:
        """Copy objects that the cache has, and the remote has not, but no damaged one."""
        wanted = set(names)
        with self.watch.on():
            lacking = wanted - set(self.remote.odb.oids_exist(list(wanted)))
        here = set(self.cache.oids_exist(list(lacking)))
        self.missing |= lacking - here
        broken = {name for name in here if is_damaged(Path(self.cache.oid_to_path(name)))}
        self.damaged |= broken
        absent = sorted(here - broken)
        with self.watch.on():
            self.remote.odb.add(
                [self.cache.oid_to_path(name) for name in absent],
                self.cache.fs,
                absent,
                check_exists=False,
                callback=self.watch,
                batch_size=self.remote.fs.jobs,
                on_error=self.failed.__setitem__,
            )
        self.moved |= set(absent) - self.failed.keys()
        with self.watch.on():
            for error in self.failed.values():
                raise error

    def push_runs(self, runs: Iterable[Path]) -> None:
        """Copy remembered runs that the remote has not."""
        there = {self.remote.fs.name(path) for path in self.list_runs()}
        absent = [run for run in runs if run.name not in there]
        fs = self.remote.fs
        with self.watch.on():
            generic.copy(
                localfs,
                [str(run) for run in absent],
                fs,
                [fs.join(self.run_folder(run.parent.name), run.name) for run in absent],
                callback=self.watch,
            )

    def report(self) -> str:
        """What came of it, in a line."""
        size = sum(Path(self.cache.oid_to_path(name)).stat().st_size for name in self.moved)
        told = [f"{len(self.moved)} files, {size / 1e6:.0f} MB"]
        for what, names in (
            ("damaged, not copied", self.damaged),
            ("missing", self.missing),
            ("failed", self.failed),
        ):
            told += [f"{len(names)} {what} ({min(names)})"] if names else []
        return ", ".join(told)


def pull(repo: Repo, remote: Remote) -> None:
    """Fetch the outputs of each stage, as recorded or as remembered; lay them where they belong."""
    for stage in plan_repro(get_active_graph(repo.index.graph)):
        # Of a stage whose inputs are not there, or cannot be read, the run has to tell.
        with suppress(DvcException, OSError):
            if not stage.changed():
                continue
            if not stage.changed(allow_missing=True):
                outs = (out for out in stage.outs if out.use_cache)
                if remote.pull_objects([out.hash_info.value for out in outs]):
                    stage.checkout()
            # Loaded anew: one that has saved its inputs takes its recorded outputs for theirs.
            elif _can_hash(stage) and remote.pull_run(repo.stage.load_one(name=stage.name)):
                stage.remove_outs()
                repo.stage_cache.restore(stage)


def push(repo: Repo, remote: Remote) -> None:
    """Copy all recorded outputs, and all of the runs that DVC remembers, to the remote."""
    found = (
        (path, parse_run(path.read_bytes(), path.parent.name, path.name))
        for path in sorted(remote.runs.glob("??/*/*"))
    )
    runs = {path: run for path, run in found if run is not None}
    outs = (out for stage in repo.index.stages for out in stage.outs if out.use_cache)
    names = [out.hash_info.value for out in outs if out.hash_info]
    names += [out["md5"] for run in runs.values() for out in run["outs"]]
    # The files before the folders and runs that name them.
    remote.push_files(remote.within(names))
    remote.push_files(names)
    remote.push_runs(runs)


def main(what: Literal["pull", "push"], /, patience: float = 30) -> int:
    """Pull from the default remote, or push to it; without one, do nothing.

    Args:
        what: A pull that fails leaves the work to the run; a push that fails, fails.
        patience: Seconds in which something must move.

    Returns:
        The exit status.
    """
    failed = int(what == "push")
    try:
        with Repo() as repo:
            name = repo.config["core"].get("remote")
            if name is None:
                return 0
            print(f"{what} {name}: ", end="", flush=True)
            remote = Remote(repo, Watch(patience, failed))
            with lock_repo(repo):
                (pull if what == "pull" else push)(repo, remote)
            print(remote.report())
            return failed if remote.damaged else 0
    except (DvcException, RemoteError) as error:
        print(error)
        return failed


if __name__ == "__main__":
    logging.disable()
    try:
        sys.exit(tyro.cli(main))
    except KeyboardInterrupt:
        sys.exit(130)
