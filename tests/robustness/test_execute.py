"""Invalid and damaged input for brainclust.runs.execute."""

import html

import pandas as pd
from examples import UNLIKELY_NAMES

from brainclust.runs import execute


def test_an_executed_notebook_is_escaped():
    """Escape every name in the HTML of an executed notebook."""
    from nbconvert import HTMLExporter
    from nbformat.v4 import new_code_cell, new_notebook, new_output

    harmful = UNLIKELY_NAMES[6]
    shown = pd.DataFrame({harmful: [harmful]})
    outputs = [
        new_output("stream", name="stdout", text=f"{harmful}\r{harmful}!\n"),
        new_output("stream", name="stdout", text=harmful),
        new_output(
            "execute_result", data={"text/html": shown._repr_html_(), "text/plain": str(shown)}
        ),
    ]
    notebook = execute.tidy_outputs(
        new_notebook(cells=[new_code_cell(f"classes = [{harmful!r}]", outputs=outputs)])
    )
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert harmful not in page
    assert page.count(html.escape(harmful)) >= 4
