"""Properties of brainclust.data.found_sources."""
import cv2
import numpy as np
import pandas as pd
import pytest
from assertions import one_sentence
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, seeds

from brainclust.data import found_sources
from brainclust.data.confounders import SURROUNDINGS, describe_surroundings
from brainclust.data.scan_table import name_sources
from brainclust.synthetic.phantoms import make_phantoms


def framed(image: np.ndarray) -> np.ndarray:
    """Render a slice as another scanner would: smaller, on grey, and blurred."""
    side = image.shape[0]
    field = np.full_like(image, 12)
    edge = side // 10
    field[edge:side - edge, edge:side - edge] = cv2.resize(image, (side - 2 * edge,) * 2)
    return (cv2.GaussianBlur(field, (0, 0), 1) * .8 + 12).astype(np.uint8)


def measured(images: list[np.ndarray]) -> pd.DataFrame:
    """Measure slices as files in PNG format."""
    rows = [describe_surroundings(image, len(cv2.imencode(".png", image)[1])) for image in images]
    return found_sources.source_features(np.array(rows))


@pytest.mark.parametrize("seed", [3, 4])
def test_two_scanners_are_found_and_one_is_one(seed):
    """Tell the slices of two rendered scanners, whichever class it has; find none in one."""
    made = make_phantoms(20, 2, 96, seed)
    patients = made.table.patient.to_numpy()
    assert not found_sources.find_sources(measured(made.images), patients).any()
    for second in (pd.factorize(patients)[0] % 3 == 0,
                   made.table.class_name.to_numpy() == "notumor"):
        images = [framed(image) if other else image for image, other in zip(made.images, second)]
        found = found_sources.find_sources(measured(images), patients)
        assert (found == second).mean() > .99  # the larger one is number 0


@FIFTH_OF_EXAMPLES
@given(seed=seeds(), dimensions=st.integers(1, 4), kind=st.sampled_from(["normal", "uniform"]))
def test_a_cloud_without_a_gap_is_one_source(seed, dimensions, kind):
    """Find one source in noise, however it is scaled."""
    rng = np.random.default_rng(seed)
    noise = getattr(rng, kind)(size=(120, dimensions)) * 10. ** rng.integers(-3, 4, dimensions)
    assert not found_sources.find_sources(noise).any()


@FIFTH_OF_EXAMPLES
@given(seed=seeds(), sizes=st.lists(st.integers(30, 60), min_size=2, max_size=4))
def test_clouds_with_gaps_are_told(seed, sizes):
    """Number distant clouds by their size, in any order of the slices and any scale."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    features = np.stack([truth * 20 + rng.normal(size=len(truth)), rng.normal(size=len(truth))], 1)
    order = rng.permutation(len(truth))
    found = found_sources.find_sources(features[order])
    assert pd.crosstab(truth[order], found).astype(bool).sum().tolist() == [1] * len(sizes)
    counts = np.bincount(found)
    assert (np.diff(counts) <= 0).all()
    scaled = found_sources.find_sources(features[order] * [1e-3, 50] + [7, -2])
    assert (scaled == found).all()


def test_few_patients_and_outliers_are_not_sources():
    """Count groups, not slices: a source of two patients, or of five slices, is none."""
    rng = np.random.default_rng(0)
    values = np.r_[rng.normal(size=100), rng.normal(size=40) + 30]
    assert found_sources.find_sources(values[:, None]).any()
    patients = np.r_[np.arange(100), np.repeat([100, 101], 20)]
    assert not found_sources.find_sources(values[:, None], patients).any()
    assert not found_sources.find_sources(values[:105, None]).any()
    assert len(found_sources.find_sources(np.zeros((0, 3)))) == 0
    assert not found_sources.find_sources(np.ones((50, 2))).any()


def test_a_separation_by_hand():
    """Divide a distance of 10 by a spread of 1, and give 0 for a side of one slice."""
    values = np.array([0., 2, 10, 12])
    side = np.array([False, False, True, True])
    assert found_sources.separation(values, side) == pytest.approx(10)
    assert found_sources.separation(values, ~side) == pytest.approx(10)
    assert found_sources.separation(values, values > 10) == 0
    gap, stable, _ = found_sources.try_cut(np.r_[np.zeros(40), np.ones(40)], np.arange(80))
    assert (gap > 1000, stable) == (True, 1.)


def test_unknown_measurements_take_no_side():
    """Fill in what could not be measured by the median of the others."""
    rows = np.full((4, len(SURROUNDINGS)), 2.)
    rows[:, SURROUNDINGS.index("outside_std")] = [-1, 3, 5, 4]
    rows[:, SURROUNDINGS.index("bytes_per_pixel")] = -1
    table = found_sources.source_features(rows)
    assert table["outside std"].tolist() == [4, 3, 5, 4]
    assert table["bytes per pixel"].tolist() == [0] * 4


def test_wrong_features_are_one_sentence():
    """Refuse what is not finite, not a table, or of another length."""
    for features, groups in (([[np.nan]], None), ([1., 2], None), ([[1.], [2]], [0])):
        with pytest.raises(ValueError) as caught:
            found_sources.find_sources(np.array(features), groups)
        one_sentence(caught.value)


def test_found_sources_are_read_back(tmp_path):
    """Write the sources of slices and of volumes, and name them by the table."""
    scans = pd.DataFrame({"path": [f"{tmp_path}/{name}.png" for name in "abcd"],
                          "volume": ["", *[f"{tmp_path}/v.nii.gz"] * 3]})
    csv = found_sources.write_sources(scans, tmp_path, np.array([0, 1, 0, 1]), tmp_path / "s.csv")
    named = name_sources(scans, tmp_path, csv)
    assert named["source"].tolist() == ["source 1", *["source 2"] * 3]
