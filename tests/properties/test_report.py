"""Properties of the report: brainclust.runs.report and its parts."""

import json

import pytest
from hypothesis import given, strategies as st

from brainclust.core.config import PRESETS, make_config
from brainclust.runs import report_data
from brainclust.runs.report import Report, provenance_table

CHANGES = st.fixed_dictionaries({}, optional={
    "seed": st.integers(0, 9), "image_size": st.sampled_from([32, 64, 96]),
    "label_fraction": st.sampled_from([0., .2, .5])})


@given(preset=st.sampled_from(list(PRESETS)), changes=CHANGES)
def test_only_settings_that_differ_from_the_preset_are_shown(preset, changes):
    """List exactly what was changed."""
    usual = vars(make_config(preset))
    expected = {name: value for name, value in changes.items() if usual[name] != value}
    assert report_data.changed_settings(make_config(preset, **changes)) == expected


def test_phantoms_are_written_once(tmp_path):
    """Return the same folder for the same settings, and a folder of the user as it is."""
    config = make_config(phantom_patients=2, phantom_slices=1, phantom_size=64, image_size=32)
    first = report_data.data_folder(config, tmp_path)
    assert report_data.data_folder(config, tmp_path) == first and len(list(first.iterdir())) > 1
    scans = make_config(data=str(tmp_path / "scans"))
    assert report_data.data_folder(scans, tmp_path) == tmp_path / "scans"


def test_a_section_that_is_called_too_early_names_what_is_missing(tmp_path):
    """Tell a person who runs cells out of order what to do."""
    opened = Report(out=str(tmp_path / "run"), device="cpu")
    with pytest.raises(AttributeError, match=r"no 'named' yet: run the sections above first"):
        opened.leaks()
    assert "unchanged" not in repr(opened) and "device='cpu'" in repr(opened)


def test_provenance_lists_what_repeats_a_run(report):
    """Read the record of a whole run."""
    record = json.loads((report / "run.json").read_text())
    table = provenance_table(record).set_index("item").value
    assert table["seed"] == str(record["seed"]) and record["data"]["hash"] in table["data hash"]
    assert table["torch"] == record["versions"]["torch"]
