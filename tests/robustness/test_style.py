"""Invalid and damaged input for brainclust.core.style."""

import numpy as np
import pandas as pd
from assertions import refused
from examples import UNLIKELY_NAMES
from hypothesis import assume, given, strategies as st
from strategies import slice_images

from brainclust.core import style


@given(image=slice_images())
def test_arrays_that_are_not_slices_are_refused(image):
    """Refuse arrays of other dimensions."""
    assume(image.shape[1] not in (1, 3))  # two of those are slices with their channels last
    for wrong in (image[0], image[None, None], np.stack([image] * 2), np.float32(1)):
        assert "slice" in refused(style.as_picture, wrong)


@given(values=st.lists(st.sampled_from([0.0, 0.5, 1e300, np.nan, np.inf, -np.inf]), max_size=9))
def test_a_missing_column_is_named(values):
    """Name the missing column."""
    table = pd.DataFrame({"epoch": np.arange(len(values)), "loss": np.array(values, float)})
    assert UNLIKELY_NAMES[4] in refused(style.check_table, table, [UNLIKELY_NAMES[4]])


def test_other_formats_are_refused(tmp_path):
    """Refuse other formats and write no file."""
    figure, axes = style.new_figure(2, 2, 1, 2)
    for suffix in (".png", ".pdf", ".svg"):
        figure = style.house_style(lambda figure=figure: figure)()
        assert style.save_figure(figure, tmp_path / f"骨 <b>{suffix}").stat().st_size > 100
    for name in ("figure", "figure.jpeg", "figure.PNG "):
        refused(style.save_figure, figure, tmp_path / name)
    assert len(list(tmp_path.iterdir())) == 3
