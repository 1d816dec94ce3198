"""Properties of brainclust.runs.execute."""

import nbformat
import pandas as pd
import pytest
from examples import UNLIKELY_NAMES
from hypothesis import given, strategies as st

from brainclust.runs import execute


@given(text=st.text(alphabet="ab\r\n\x1b[A%", max_size=30))
def test_last_lines_are_stable(text):
    """Return output without carriage returns, as a second pass does."""
    once = execute.last_lines(text)
    assert "\r" not in once
    assert execute.last_lines(once) == once or "\x1b[A" in once


@given(text=st.text(alphabet="ab\r\n\x1b[A%", max_size=30))
def test_plain_output_keeps_its_lines(text):
    """Keep plain lines but for trailing spaces."""
    once = execute.last_lines(text)
    if not set(text) & set("\r\x1b"):
        assert once == "\n".join(line.rstrip() for line in text.split("\n"))


def test_streams_are_joined():
    """Join the text of a cell as a terminal shows it."""
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
    assert notebook.cells[0].outputs[0].text == f"{harmful}!\n{harmful}"
    assert len(notebook.cells[0].outputs) == 2


@pytest.mark.parametrize("codes", [[], ["1 + 1"], ["report.data()", "<b>"]])
@pytest.mark.parametrize("raw", [False, True])
def test_a_report_folds_the_code_of_every_cell(codes, raw):
    """Hide code behind one word each, and raw cells entirely."""
    cells = [nbformat.v4.new_code_cell(code) for code in codes]
    cells += [nbformat.v4.new_raw_cell("only nbdev reads this")] * raw
    page = execute.report_page(nbformat.v4.new_notebook(cells=cells))
    assert page.count("<summary>code</summary>") == len(codes)
    assert "only nbdev reads this" not in page
