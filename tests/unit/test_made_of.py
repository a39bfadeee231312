"""The digest of all code: of every file that counts, and of nothing else."""

import subprocess

from stages.report.made_of import digest_of_values, files
from tests.support import ROOT


def test_it_is_of_every_file_that_git_has() -> None:
    folders = ("stages", ".dvc/plots")
    command = ["git", "ls-files", "-co", "--exclude-standard", *folders]
    listed = subprocess.check_output(command, cwd=ROOT, text=True).splitlines()
    found = {path for folder in folders for path in files(ROOT / folder)}
    assert found == {ROOT / name for name in listed if (ROOT / name).exists()}
    assert len(found) > 50


def test_values_have_one_digest_in_any_order() -> None:
    assert digest_of_values({"a": 1, "b": [2, 3]}) == digest_of_values({"b": [2, 3], "a": 1})
    assert len({digest_of_values({"b": of}) for of in (1, [2, 3], [3, 2])}) == 3
