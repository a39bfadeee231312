"""What the tests share."""

import platform
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Elsewhere, compilers of libsvm fuse multiplications with additions.
IS_X86 = platform.machine() in {"x86_64", "AMD64"}
