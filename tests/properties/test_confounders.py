"""Properties of the check of confounders: sources, folds, AUCs, limits and sentences."""

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from PIL import Image
from sklearn.metrics import roc_auc_score

from brainclust.core.style import text_faults
from brainclust.data import confounders, labels, scan_table
from brainclust.runs import comparison_figures
from brainclust.synthetic.phantoms import make_phantoms

SIZES = (40, 100, 200, 400)


def drawn(n: int, seed: int, agreement: float) -> pd.DataFrame:
    """Draw slices of two classes and two sources; so many come from the source of their class."""
    rng = np.random.default_rng(seed)
    own = rng.permutation(np.arange(n) % 2)
    place = np.where(rng.random(n) < agreement, own, 1 - own)
    return pd.DataFrame({"class_name": np.array(["no", "yes"])[own],
                         "source": np.array(["Graz", "Pune"])[place]})


def sentence_of(table: pd.DataFrame, groups=None, cache="") -> str:
    """Return the sentence about a table whose slices are groups of their own."""
    groups = np.arange(len(table)) if groups is None else groups
    return confounders.confounder_sentence(
        confounders.check_confounders(table, groups, cache))


@pytest.mark.parametrize("n", SIZES)
def test_independent_sources_are_never_named_and_equal_ones_always(n):
    """Count false and missed alarms over 20 seeds: none of either."""
    assert not any(sentence_of(drawn(n, seed, .5)) for seed in range(20))
    assert not any(sentence_of(drawn(n, seed, .7)) for seed in range(20))
    assert all("test it on scans of another source" in sentence_of(drawn(n, seed, 1))
               for seed in range(20))


@pytest.mark.parametrize("n", SIZES[1:])
def test_nearly_equal_sources_are_named(n):
    """Name a class of which 19 of 20 slices come from a source of its own."""
    assert np.mean([bool(sentence_of(drawn(n, seed, .97))) for seed in range(20)]) >= .9


def styled(image: np.ndarray, second: bool, seed: int) -> np.ndarray:
    """Return a slice as one of two hospitals saves it: with noise and a wider field, or not."""
    if not second: return image
    noise = np.random.default_rng(seed).normal(16, 4, image.shape).clip(0, 255)
    small = cv2.resize(image, None, fx=.75, fy=.75, interpolation=cv2.INTER_AREA)
    edge = image.shape[0] // 8
    noise[edge:edge + len(small), edge:edge + len(small)] = np.maximum(
        noise[edge:edge + len(small), edge:edge + len(small)], small)
    return noise.astype(np.uint8)


@pytest.fixture(scope="module")
def rendered():
    """Render phantoms with and without a tumour, one slice for each of 60 patients."""
    phantoms = make_phantoms(60, 1, 64, seed=1)
    kept = phantoms.table["class_name"].isin(["notumor", "meningioma"]).to_numpy()
    return phantoms.table[kept].reset_index(drop=True), phantoms.images[kept]


def hospitals(rendered, folder, second: np.ndarray) -> pd.DataFrame:
    """Write phantoms in the style of one of two hospitals, and read them."""
    table, images = rendered
    for i, (row, image) in enumerate(zip(table.itertuples(), images)):
        path = folder / row.class_name / row.name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(styled(image, second[i], i)).save(path)
    return scan_table.read_scan_table(folder, cache_folder=folder.parent / "cache")[0]


@pytest.mark.parametrize("turned", [False, True])
def test_phantoms_whose_class_is_the_style_are_named(rendered, tmp_path, turned):
    """Name the class by its surroundings, whichever class has the second style."""
    tumour = (rendered[0]["class_name"] == "meningioma").to_numpy()
    read = hospitals(rendered, tmp_path / "data", tumour ^ turned)
    found = confounders.check_confounders(read, read["path"], tmp_path)
    assert found.seen == "surroundings" and found.table["auc"].min() > .98
    assert "the plane, the head's shape" in confounders.confounder_sentence(found)


@pytest.mark.parametrize("seeds", [4, pytest.param(20, marks=pytest.mark.nightly)])
def test_phantoms_of_independent_styles_are_not_named(rendered, tmp_path, seeds):
    """Stay silent over all seeds and two sizes when chance chooses the style."""
    described = [[confounders.describe_surroundings(styled(image, second, i))
                  for i, image in enumerate(rendered[1])] for second in (False, True)]
    of_class = (rendered[0]["class_name"] == "meningioma").to_numpy().astype(int)
    alarms = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        second = rng.random(len(of_class)) < .5
        features = np.where(second[:, None], described[1], described[0])
        for n in (40, 120):
            rows = rng.permutation(len(of_class))[:n]
            folds = confounders.deal_folds(of_class[rows], rows, seed=seed)
            scores = confounders.forest_scores(features[rows], of_class[rows], folds)[:, 1]
            auc, low, _ = confounders.fold_auc_interval(
                scores, of_class[rows] == 1, np.arange(n), folds)
            alarms.append(auc >= confounders.LIMITS["surroundings"])
            assert auc < .85
    assert len(alarms) == 2 * seeds and not any(alarms)


@given(st.integers(0, 10**6), st.integers(20, 80))
def test_the_auc_is_that_of_the_ranking(seed, n):
    """Agree with scikit-learn, turn with the scores, and hold the value in the interval."""
    rng = np.random.default_rng(seed)
    positive = np.arange(n) % 2 == 1
    scores = rng.integers(0, 9, n) + positive
    auc, low, high = confounders.fold_auc_interval(scores, positive, np.arange(n))
    assert np.isclose(auc, roc_auc_score(positive, scores)) and low <= auc <= high
    assert np.isclose(confounders.fold_auc_interval(-scores, positive, np.arange(n))[0], 1 - auc)


@given(st.integers(0, 10**6), st.integers(1, 4))
def test_a_group_lies_in_one_fold(seed, size):
    """Never divide a group, and spread each class evenly."""
    rng = np.random.default_rng(seed)
    of_class = np.repeat(rng.integers(0, 3, 50), size)
    groups = np.repeat(np.arange(50), size)
    folds = confounders.deal_folds(of_class, groups, seed=seed)
    assert pd.Series(folds).groupby(groups).nunique().max() == 1
    counts = pd.crosstab(of_class, folds).reindex(columns=range(5), fill_value=0) / size
    assert (counts.max(axis=1) - counts.min(axis=1) <= 1).all()


@given(st.integers(0, 10**6))
def test_scores_are_probabilities_and_blind_to_the_own_fold(seed):
    """Sum to 1, and give one score to all slices of a source in a fold."""
    rng = np.random.default_rng(seed)
    sources = np.concatenate([np.arange(3), rng.integers(0, 3, 47)])
    of_class = np.concatenate([np.arange(2), rng.integers(0, 2, 48)])
    folds = rng.integers(0, 5, 50)
    against, posterior = confounders.source_scores(sources, of_class, folds)
    assert np.allclose(posterior.sum(axis=1), 1) and ((against > 0) & (against < 1)).all()
    assert np.allclose(against.sum(axis=1), 1)
    rows = pd.DataFrame(against).groupby([folds, sources]).nunique()
    assert (rows == 1).all().all()


def test_surroundings_are_measured_once(rendered, tmp_path, monkeypatch):
    """Read no file again whose content is known."""
    read = hospitals(rendered, tmp_path / "data", np.zeros(len(rendered[0]), bool))
    first = confounders.measure_surroundings(read, tmp_path)
    monkeypatch.setattr(confounders, "read_slice", None)
    again = confounders.measure_surroundings(read, tmp_path)
    assert np.array_equal(first, again) and np.isfinite(first).all()


def test_repeated_patients_widen_the_interval():
    """Take the slices of a patient together: ten of each tell no more than one."""
    once = drawn(60, 3, .8)
    often = pd.concat([once] * 10, ignore_index=True)
    wide, narrow = (
        confounders.check_confounders(often, groups, "").table.iloc[0]
        for groups in (np.tile(np.arange(60), 10), np.arange(600)))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_sources_of_single_slices_tell_nothing():
    """Give chance to a source that every slice has for itself, such as an address."""
    table = drawn(200, 0, .5).assign(source=[f"https://a.org/{i}" for i in range(200)])
    found = confounders.check_confounders(table, np.arange(200), "")
    assert found.table["auc"].between(.4, .6).all()
    assert len(found.counts) == 21 and found.counts.index[-1] == "(180 others)"
    assert found.counts.to_numpy().sum() == 200


def test_the_sentence_counts_right():
    """Write the numbers of the table by hand."""
    table = pd.DataFrame({"class_name": ["no"] * 100 + ["yes"] * 60 + ["maybe"] * 60,
                          "source": ["Graz"] * 97 + ["Pune"] * 3 + ["Pune"] * 120})
    text = sentence_of(table)
    assert "no (AUC 0.9" in text and "97 of its 100 slices and 0 of the 120 others" in text
    assert "yes (" not in text and text.count(".") - text.count("0.") == 1


@given(st.integers(1, 6), st.integers(0, 10**6))
def test_the_table_counts_every_slice(classes, seed):
    """Keep the sums of classes and sources, whatever their names."""
    rng = np.random.default_rng(seed)
    names = rng.choice(["", *"abcdef"[:classes]], 80)
    places = rng.choice(["x", "y", ""], 80)
    counts = confounders.source_table(places, names)
    assert counts.to_numpy().sum() == (names != "").sum()
    for place, row in counts.iterrows():
        assert row.to_dict() == {
            name: int(((places == place) & (names == name)).sum()) for name in row.index}


@pytest.mark.parametrize("level", [0, 90, 255])
def test_the_head_is_found_and_its_inside_changes_nothing(level):
    """Find the box on black, grey and white; a lesion inside is not seen."""
    image = np.full((150, 200), level, np.uint8)
    cv2.ellipse(image, (100, 80), (50, 60), 0, 0, 360, 150 if level != 90 else 210, -1)
    top, bottom, left, right = confounders.find_head(image)
    assert np.allclose([top, bottom, left, right], [20, 141, 50, 151], atol=4)
    lesion = image.copy()
    cv2.circle(lesion, (100, 80), 20, 255 - level // 2, -1)
    assert confounders.describe_surroundings(image) == confounders.describe_surroundings(lesion)
    assert len(confounders.describe_surroundings(image)) == len(confounders.SURROUNDINGS)


def test_files_are_ordered_by_their_number():
    """Put 2 before 10, and names without a number first."""
    order = confounders.file_order(["b/10.png", "b/Tr-gl_0002.png", "b/none.png"])
    assert list(order) == [2, 1, 0]


def test_results_record_and_table_agree():
    """Give the highest AUC in all places, as plain data."""
    found = confounders.check_confounders(drawn(100, 0, 1), np.arange(100), "")
    assert isinstance(found, confounders.Confounders)
    results = confounders.confounder_results(found)
    record = confounders.confounder_record(found)
    assert results["confounder_auc"] == found.table["auc"].max()
    assert results["confounder_class"] in {row["class_name"] for row in record["classes"]}
    assert record["sentences"] == [confounders.confounder_sentence(found)]
    assert f"{results['confounder_auc']:.3f}" in confounders.confounder_line(results)
    table = confounders.confounder_table(found)
    assert list(table["from Graz"] + table["from Pune"]) == list(table["slices"])
    assert len(confounders.named_classes(found)) == 1


@pytest.mark.parametrize(("classes", "places"), [(2, 2), (17, 5), (3, 40), (40, 3)])
def test_the_figure_is_readable(classes, places):
    """Keep every text apart, for many classes, sources and long names."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({
        "class_name": [f"a long name of a tumour type {k}" for k in rng.integers(0, classes, 4000)],
        "source": [f"University Hospital, department {k}" for k in rng.integers(0, places, 4000)]})
    found = confounders.check_confounders(table, np.arange(4000), "")
    assert not any(text_faults(comparison_figures.plot_confounders(found)).values())


def small_scans(folder) -> None:
    """Write four slices of two classes."""
    for i, name in enumerate(("yes/1.png", "yes/2.png", "no/1.png", "no/deep/2.png")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(i).integers(0, 255, (40, 40), np.uint8)
        Image.fromarray(noise).save(path)


@pytest.mark.parametrize(("rows", "expected"), [
    ("path,source\nyes/1.png,A\nyes/2.png,B\nno/1.png,C\nno/deep/2.png,D\n", "CDAB"),
    ("Source , File\nA,yes/1\nB,./yes/2.png\nC,no\\1.png\nD,no/deep/2\n", "CDAB"),
    ("folder,source\nyes,A\nno,C\nno/deep/,D\n", "CDAA"),
    ("path,source\ndata/yes,A\ndata/no,C\n", "CCAA"),
    ("path,source\nyes/1.png,A\nyes/1.png,A\nabsent.png,Z\n", "??A?")])
def test_a_table_of_sources_is_read_as_people_write_it(tmp_path, rows, expected):
    """Accept suffixes or none, folders, back slashes, other columns' cases and spare rows."""
    small_scans(tmp_path / "data")
    (tmp_path / "sources.csv").write_text(rows, encoding="utf-8-sig")
    table, _ = scan_table.read_scan_table(
        tmp_path / "data", ("yes", "no"), cache_folder=tmp_path / "cache")
    assert set(table["source"]) == {"data"}
    named = scan_table.name_sources(table, tmp_path / "data", tmp_path / "sources.csv")
    found = dict(zip([path.removeprefix(f"{tmp_path}/data/") for path in named["path"]],
                     named["source"]))
    places = ("no/1.png", "no/deep/2.png", "yes/1.png", "yes/2.png")
    assert [found[p] for p in places] == ["unknown" if c == "?" else c for c in expected]


def test_a_column_of_labels_csv_wins(tmp_path):
    """Take the column `source` as it is, and the folder's name without one."""
    small_scans(tmp_path / "data")
    text = "path,label,source\nyes/1.png,yes,Pune\nyes/2.png,yes,\nno/1.png,no,Graz\n"
    (tmp_path / "data" / "labels.csv").write_text(text)
    table, _ = scan_table.read_scan_table(
        tmp_path / "data", ("yes", "no"), cache_folder=tmp_path / "cache")
    assert sorted(table["source"]) == ["Graz", "Pune", "unknown"]
    assert "csv_source" not in table and "source" not in labels.RESERVED_COLUMNS
    assert scan_table.settle_sources(None, 2, "data") == ["data", "data"]
