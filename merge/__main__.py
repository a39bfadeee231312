"""Merge a branch, or go on where git has stopped, up to the results.

``make merge`` runs this, then ``make repro``, then ``git commit``. Of a result that both sides
changed, git keeps this side's (``.gitattributes``): with other inputs than ``dvc.lock`` records, it
is made again. Outside of the graph: no stage reads it.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import tyro

from stages.common.errors import UserError

RESULTS = ("dvc.lock", "reports")


def git(*command: str) -> subprocess.CompletedProcess[bytes]:
    """What git does and prints, whether it fails or not."""
    return subprocess.run(["git", *command], capture_output=True, check=False)


def commit_of(revision: str) -> bytes:
    """The hash of a commit; empty if there is none of this name."""
    return git("rev-parse", "--quiet", "--verify", f"{revision}^{{commit}}").stdout


def unsettled(*options: str) -> list[str]:
    """The files, of those that git tracks, that are in conflict or have an edit not added."""
    names = git("diff", "-z", "--name-only", *options).stdout
    # git names a file in conflict twice.
    return sorted({os.fsdecode(name) for name in names.split(b"\0") if name})


def main(branch: str = "", /) -> None:
    """Merge ``branch`` without a commit; the results are then what ``dvc repro`` makes of it.

    Args:
        branch: What to merge. Nothing, or what is being merged: go on after a conflict, be it of a
            merge, a rebase, a cherry-pick or a stash.

    Raises:
        UserError: A file but the results is in conflict, or has been edited and not added; a file
            of reports is unknown to git; or git merges nothing, and says why.
    """
    merging = commit_of("MERGE_HEAD")
    if branch and (not merging or merging != commit_of(branch)):
        if merging:
            raise UserError("another merge is under way: `make merge` ends it")
        if edited := unsettled():
            raise UserError(f"commit or stash first: {shlex.join(edited)}")
        if added := git(
            "ls-files", "--others", "--exclude-standard", "reports"
        ).stdout.splitlines():
            raise UserError(
                f"git does not track, in reports: {shlex.join(map(os.fsdecode, added))}"
            )
        done = git("merge", "--ff", "--no-commit", "--", branch)
        if done.returncode and not commit_of("MERGE_HEAD"):
            raise UserError(os.fsdecode(done.stderr).strip())
    elif not merging and not unsettled("--diff-filter=U"):
        raise UserError("name a branch: make merge BRANCH=main")
    if left := unsettled("--", *(f":!{result}" for result in RESULTS)):
        names = shlex.join(left)
        raise UserError(
            f"in conflict, or edited and not added: {names}. Resolve, `git add`, then `make merge`"
        )
    for name in unsettled("--diff-filter=U", "--", "reports"):
        # One side may have removed it, with the stage that made it.
        Path(name).unlink(missing_ok=True)


if __name__ == "__main__":
    try:
        tyro.cli(main)
    except UserError as error:
        sys.exit(str(error))
