"""Properties of brainclust.app.workbench."""

import re

from assertions import harmless
from examples import UNLIKELY_NAMES, finished_run, remove_labels
from hypothesis import given, strategies as st

from brainclust.app import annotation, workbench


@given(fraction=st.floats(allow_nan=False, min_value=0, max_value=10))
def test_a_meter_lies_between_zero_and_a_hundred(fraction):
    """Limit a meter to 0 to 100 per cent."""
    assert 0 <= int(re.search(r'aria-valuenow="(\d+)"', workbench.meter(fraction))[1]) <= 100


def test_gains_of_a_training_are_described(tmp_path):
    """Describe the accuracy before and after a training."""
    before = finished_run(tmp_path / "a", UNLIKELY_NAMES[6])
    after = finished_run(tmp_path / "b", UNLIKELY_NAMES[6])
    assert len(annotation.read_test_predictions(before)) == 6
    page = workbench.moved_html(before, after, 3)
    harmless(page)
    assert "50.0% before, 50.0% after" in page
    assert page.count("<tr>") == 3


def test_a_gain_without_labels_is_not_stated(tmp_path):
    """State that a gain without labels is unknown."""
    before = finished_run(tmp_path / "a", UNLIKELY_NAMES[6])
    after = finished_run(tmp_path / "b", UNLIKELY_NAMES[6])
    remove_labels(after)
    assert "nobody can say" in workbench.moved_html(before, after, 3)
