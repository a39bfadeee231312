"""Self-contained HTML pages: scripts, style and pictures inside, so that nothing is fetched."""

import hashlib
from base64 import b64encode
from pathlib import Path
from typing import Any

from jinja2 import ChainableUndefined, Environment, FileSystemLoader
from markupsafe import Markup


def number(value: Any, decimals: int = 4) -> str:
    """``value`` with thousands apart, a fraction to ``decimals``; "none" where there is none."""
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:,.{decimals}f}"
    return "none"


def percent(value: Any, decimals: int = 1) -> str:
    """A share as percentage; "none" where there is none."""
    return (
        f"{value:.{decimals}%}".replace("%", "\N{NO-BREAK SPACE}%")
        if isinstance(value, int | float)
        else "none"
    )


def picture(path: Path) -> str:
    """A PNG file as data URI."""
    return f"data:image/png;base64,{b64encode(path.read_bytes()).decode()}"


def environment(folders: list[Path], autoescape: bool) -> Environment:
    """Jinja with the templates of ``folders`` and the filters of this module."""
    made = Environment(
        loader=FileSystemLoader(folders),
        autoescape=autoescape,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=ChainableUndefined,
    )
    made.filters |= {"number": number, "percent": percent}
    return made


def render(shared: Path, page: Path, vega: str, **values: Any) -> str:
    """An HTML page, in which a browser runs the scripts built into it and no others.

    Args:
        shared: The folder of what all pages share: their frame, their style, and ``charts.js``.
        page: The folder of this page. It has a Jinja template and a script of the folder's name,
            and scripts that this one, the last, may use; all may use ``charts.js``.
        vega: Vega's JavaScript.
        values: What the template shows. One that is missing is "none" in its place.

    Returns:
        HTML. Its content security policy allows just the scripts that it is made with, and no
        request: https://www.w3.org/TR/CSP3/.
    """
    of_page = sorted(page.glob("[!.]*.js"), key=lambda path: (path.stem == page.name, path.name))
    own = [shared / "charts.js", *of_page]
    scripts = [vega, "".join(path.read_text(encoding="utf-8") for path in own)]
    hashes = [b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    template = environment([shared, page], autoescape=True).get_template(f"{page.name}.html")
    return template.render(
        scripts=[Markup(script) for script in scripts],
        script_sources=Markup(" ".join(f"'sha256-{digest}'" for digest in hashes)),
        **values,
    )
