"""Properties of brainclust.runs.sections."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from brainclust.core.config import PRESETS, make_config
from brainclust.runs import sections
from brainclust.runs.evaluation import SCORES
from brainclust.runs.run import Run
from brainclust.runs.workflow import method_sentences


@given(value=st.floats(-1, 1), below=st.floats(0, 1), above=st.floats(0, 1))
def test_a_gain_is_shown_only_by_an_interval_above_0(value, below, above):
    """Call a gain shown if the interval lies above 0, and a loss if it lies below."""
    words = sections.gain_words([value, value - below, value + above])
    assert ("shows a gain" in words) == (value - below > 0)
    assert ("shows a loss" in words) == (value + above < 0)


def record(preset: str, data: str, results: dict, clean_name: str) -> dict:
    """Make the record of a run."""
    return {"config": vars(make_config(preset, data=data)) | {"study": None}, "results": results,
            "data": {"slices": 30, "labelled": 4, "counts": {"train": {"a": 20}, "test": {"a": 10}},
                     "removed": {}, "clean_name": clean_name}}


@given(preset=st.sampled_from(list(PRESETS)), data=st.sampled_from(["phantom", "scans"]),
       gain=st.sampled_from([None, [.1, .05, .2], [.1, -.1, .2], [-.2, -.3, -.1]]),
       auc=st.sampled_from([.5, .95, 1.]), external=st.booleans(), covered=st.booleans(),
       clean_name=st.sampled_from(["clean", "free of duplicates"]))
def test_an_abstract_tells_what_does_not_follow(
        preset, data, gain, auc, external, covered, clean_name):
    """Warn of what was not shown, and of nothing else."""
    results = {"confounder_auc": auc, "confounder_class": "b", "confounder_seen": "surroundings"}
    results |= {"gain_over_supervised_baseline": gain} if gain else {}
    results |= {"external_there_auc": .7} if external else {}
    results |= {"coverage": .95} if covered else {}
    of_run = record(preset, data, results, clean_name)
    told = " ".join(sections.cautions(of_run))
    assert ("Phantoms are not" in told) == (data == "phantom")
    assert ("does not follow" in told) == (gain is not None and gain[1] <= 0 <= gain[2])
    assert ("another source were not tested" in told) == (not external)
    assert ("may have learnt the source" in told) == (auc >= .95)
    assert ("not calibrated" in told) == (not covered)
    methods = pd.DataFrame([{"method": "head", **dict(zip(SCORES, np.linspace(.1, .9, 9)))}])
    text = sections.abstract_text(of_run, methods, method_sentences(make_config(preset)))
    assert told in text and "20 train and 10 test" in text and "nan" not in text
    assert ("AUC of tumour against none is 0.700" in text) == external


@pytest.mark.parametrize("rows", [0, 3, 40])
def test_a_section_stores_all_and_displays_what_there_is(tmp_path, rows):
    """Store every row, and display neither an empty table nor an empty column."""
    section = sections.Section(Run(make_config(out=str(tmp_path / "run"))))
    table = pd.DataFrame({"a": np.arange(rows) / 3, "empty": np.nan, "blank": ""})
    section.table("some", table, "Some", "Table 1.1")
    stored = pd.read_csv(section.run.folder / "tables" / "some.csv")
    assert len(stored) == rows
    assert len(section.shown) == (rows > 0)
    if rows:
        shown = sections._readable(section.shown[0][1])
        assert list(shown) == ["a"] and len(shown) == min(rows, sections.ROWS)
