"""Whether ``dvc.lock`` is of these files: no stage would run.

``make check`` runs it. It needs no data, which a fresh clone has not.
"""

import sys

from dvc.exceptions import DvcException
from dvc.repo import Repo


def main() -> None:
    """End with a line, and 1, where a stage would run, or DVC cannot tell."""
    try:
        with Repo() as repo, repo.lock:
            graph = repo.index.graph
            changed = [
                stage.addressing
                for stage in graph
                # Its edges lead from a stage to those that it depends on.
                if stage.changed(allow_missing=True, upstream=list(graph.successors(stage)))
                # What git keeps is nowhere else.
                or not all(out.use_cache or out.exists for out in stage.outs)
            ]
    except DvcException as error:
        sys.exit(str(error))
    if changed:
        sys.exit(f"dvc.lock is not of these files; dvc repro would run {', '.join(changed)}")


if __name__ == "__main__":
    main()
