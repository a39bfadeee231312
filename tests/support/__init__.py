"""What the tests share."""

import platform
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Elsewhere, compilers of libsvm fuse multiplications with additions.
IS_X86 = platform.machine() in {"x86_64", "AMD64"}
# In the environment of git, who commits, where nobody is configured.
AUTHOR = {"GIT_AUTHOR_NAME": "Test", "GIT_AUTHOR_EMAIL": "test@example.org"}
AUTHOR |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in AUTHOR.items()}
