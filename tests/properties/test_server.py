"""Properties of brainclust.app.server."""

import io
import json
import re

import numpy as np
import pandas as pd
from examples import UNLIKELY_NAMES, stub_workbench
from hypothesis import given, strategies as st
from PIL import Image
from strategies import seeds, slice_images

from brainclust.app import server
from brainclust.core.files import save_json
from brainclust.runs import run as run_module


@given(image=slice_images())
def test_a_png_response_holds_its_slice(image):
    """Send a slice that decodes to itself."""
    response = server.png_response(image)
    assert response.media_type == "image/png"
    assert (np.array(Image.open(io.BytesIO(response.body))) == image).all()


@given(n=st.integers(1, 15), named=st.booleans(), seed=seeds(), classes=st.sampled_from((1, 4, 40)))
def test_map_content_holds_every_mapped_slice(n, named, seed, classes):
    """Send every mapped slice, with its colours, as strict JSON."""
    bench = stub_workbench(n, named, seed, classes)
    (bench.run / "tables").mkdir()
    pd.DataFrame(
        {
            "path": bench.collection.table.path,
            "label_error": True,
            "given": UNLIKELY_NAMES[6],
            "suggested": UNLIKELY_NAMES[6],
        }
    ).to_csv(bench.run / "tables" / "label_errors.csv", index=False)
    save_json(bench.run / "run.json", {"files": run_module.written_files(bench.run)})
    content = server.map_content(bench)
    on = bench.collection.table.x.notna().sum()
    assert json.dumps(content, allow_nan=False)
    assert content["slices"] == n
    assert all(len(content[name]) == on for name in ("rows", "x", "y", "words", "names"))
    for choice in content["choices"]:
        assert len(choice["names"]) == len(choice["colours"])
        assert all(0 <= value < len(choice["names"]) for value in choice["values"])
        assert len(choice["values"]) == on


@given(n=st.integers(1, 15), named=st.booleans(), seed=seeds(), classes=st.sampled_from((1, 4, 40)))
def test_map_colours_hold_every_slice(n, named, seed, classes):
    """Give every slice a colour of each choice."""
    bench = stub_workbench(n, named, seed, classes)
    (bench.run / "tables").mkdir()
    pd.DataFrame(
        {
            "path": bench.collection.table.path,
            "label_error": True,
            "given": UNLIKELY_NAMES[6],
            "suggested": UNLIKELY_NAMES[6],
        }
    ).to_csv(bench.run / "tables" / "label_errors.csv", index=False)
    save_json(bench.run / "run.json", {"files": run_module.written_files(bench.run)})
    for choice in server.map_colours(bench):
        assert len(choice["values"]) == n
        assert re.fullmatch(r"(#[0-9A-F]{6})*", "".join(choice["colours"]))
