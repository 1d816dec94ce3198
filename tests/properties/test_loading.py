"""Properties of brainclust.data.loading."""

import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from PIL import Image
from strategies import TENTH_OF_EXAMPLES

import brainclust
from brainclust.core.config import make_config
from brainclust.data import loading
from brainclust.data.cleaning import prepare_scans
from brainclust.data.download import COLLECTIONS
from brainclust.runs.run import run_config


@given(data=st.sampled_from([*COLLECTIONS, "phantom", "scans", None]),
       classes=st.sampled_from([None, ("a", "b")]))
def test_a_collection_brings_its_classes_unless_others_are_given(data, classes):
    """Build the config of a run from the same classes as the table of `load_scans`."""
    brought = loading.data_settings(data).get("classes")
    expected = classes or brought or brainclust.CLASSES
    assert run_config(data=data, classes=classes).classes == expected


@TENTH_OF_EXAMPLES
@given(fraction=st.sampled_from([0., .3, 1.]), seed=st.integers(0, 5))
def test_a_table_is_that_of_a_run(phantom_tree, tmp_path_factory, fraction, seed):
    """Prepare the slices as a run does, and change nothing about them."""
    cache = tmp_path_factory.getbasetemp() / "cache-loading"
    scans = loading.load_scans(phantom_tree, fraction, seed=seed, cache=cache)
    expected = prepare_scans(phantom_tree, label_fraction=fraction, seed=seed, cache_folder=cache)
    pd.testing.assert_frame_equal(scans, expected.table, check_flags=False)
    config = make_config("best", label_fraction=fraction, seed=seed)
    run = loading.prepare_data(config, phantom_tree, cache)
    pd.testing.assert_frame_equal(scans, run.table, check_flags=False)
    assert scans.attrs["notes"] == expected.sentences == run.sentences
    assert scans[scans.split == "test"].attrs["folder"] == str(phantom_tree)


def test_settings_of_reading_and_dividing_reach_the_table(tmp_path):
    """Hold slices out, name sources and read a channel, as the settings of a run ask for."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "scans" / name).mkdir(parents=True)
        for number in range(12):
            colours = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(colours).save(tmp_path / "scans" / name / f"{number}.png")
    (tmp_path / "held.csv").write_text("path,split\na/0.png,test\nb/1.png,none\n")
    (tmp_path / "sources.csv").write_text("path,source\na,Pune\nb,Graz\n")
    scans = brainclust.load_scans(
        tmp_path / "scans", classes=["a", "b"], seed=1, channel=1, cache=tmp_path / "cache",
        held_out=tmp_path / "held.csv", sources=str(tmp_path / "sources.csv"), left_out=True)
    names = scans.path.str.removeprefix(f"{tmp_path / 'scans'}/")
    assert set(scans.source) == {"Pune", "Graz"} and set(scans.channel) == {"1"}
    assert scans.split[names == "a/0.png"].item() == "test"
    assert scans[["split", "reason"]][names == "b/1.png"].values.tolist() == [["none", "held out"]]
    assert scans.attrs["reading"] == loading.reading_settings(make_config(channel=1))
    assert scans.attrs["classes"] == ["a", "b"]


def test_rows_that_are_left_out_are_never_in_a_split(phantom_tree, tmp_path):
    """List a duplicate and an unreadable file with their reasons, and keep the types of columns."""
    folder = shutil.copytree(phantom_tree, tmp_path / "scans")
    picture = next(path for path in sorted(folder.rglob("*.png")) if "rain" in path.parts[-3])
    shutil.copy(picture, picture.with_name("zz-again.png"))
    picture.with_name("broken.png").write_bytes(b"")
    used = loading.load_scans(folder, cache=tmp_path / "cache")
    every = loading.load_scans(folder, cache=tmp_path / "cache", left_out=True)
    rest = every[every.reason != ""]
    assert sorted(rest.reason) == ["duplicate file", "empty file: it holds no bytes"]
    assert set(rest.split) == {"none"} and "" not in set(rest.path)
    assert rest.duplicate_of[rest.reason == "duplicate file"].item() in set(used.path)
    assert dict(every.dtypes[list(used)]) == dict(used.dtypes)
    pd.testing.assert_frame_equal(every[every.reason == ""][list(used)], used, check_flags=False)


def test_what_is_no_setting_of_the_data_is_refused(phantom_tree, tmp_path):
    """Name the setting that is near, or all."""
    with pytest.raises(TypeError, match="'label_fractions'; did you mean label_fraction"):
        loading.load_scans(phantom_tree, label_fractions=.5)
    with pytest.raises(TypeError, match="'device'; there are classes, labels_per_class"):
        loading.load_scans(phantom_tree, device="cpu")
    with pytest.raises(ValueError, match="test_fraction"):
        loading.load_scans(phantom_tree, test_fraction=0)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        loading.find_folder("absent", tmp_path) and loading.load_scans("absent")
