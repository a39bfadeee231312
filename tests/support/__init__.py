"""What the tests share."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
# In the environment of git, who commits, where nobody is configured.
AUTHOR = {"GIT_AUTHOR_NAME": "Test", "GIT_AUTHOR_EMAIL": "test@example.org"}
AUTHOR |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in AUTHOR.items()}
