"""README.md and docs/, a section at a time."""

from tests.support import ROOT


def section(file: str, title: str) -> str:
    """The text below a heading of the second level, up to the next one."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return text.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
