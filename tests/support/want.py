"""Why a test is skipped: it takes more than git, Python and a few minutes."""


def want(what: str, command: str) -> str:
    """The reason of a skip: what is missing, and the one command that brings it."""
    return f"for want of {what}: {command}"


def want_program(name: str, package: str | None = None) -> str:
    """The reason where a program is not installed, whose package may be called otherwise."""
    return want(name, f"apt-get install {package or name}")
