"""Stage bundle_vega: Vega in one file, and the page that ``dvc plots`` fills, with it inside.

DVC's own page loads Vega from the network: https://dvc.org/doc/command-reference/plots.
"""

from pathlib import Path

import vl_convert

from stages.report.render import render


def main(shared: Path, template: Path, vega: Path, page: Path) -> None:
    """Write Vega, Vega-Lite and Vega-Embed as one script, and DVC's ``plots.html_template``."""
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed")
    vega.write_text(script, encoding="utf-8")
    page.write_text(render(shared, template, script), encoding="utf-8")
