"""Properties of brainclust.analysis.recalibration: known shifts, and sets of new slices."""
import numpy as np
import pytest
from assertions import refused
from hypothesis import given, strategies as st
from scipy.special import softmax
from strategies import FIFTH_OF_EXAMPLES

from brainclust.analysis import recalibration
from brainclust.analysis.calibration import threshold_of
from brainclust.core.files import load_json, save_json


def source(n: int, priors=(.6, .3, .1), temperature: float = 2., seed: int = 0) -> tuple:
    """Return probabilities that are right but for a temperature and equal priors, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, n, p=priors)
    features = rng.normal(size=(n, 3)) + 1.5 * np.eye(3)[labels]
    return softmax(temperature * 1.5 * features, axis=1), labels


@pytest.mark.parametrize("temperature", [.5, 1., 3.])
@pytest.mark.parametrize("priors", [(1 / 3, 1 / 3, 1 / 3), (.7, .2, .1)])
def test_a_known_temperature_and_prior_are_found(temperature, priors):
    """Recover from many labels the temperature and the logarithms of the priors."""
    probabilities, labels = source(6000, priors, temperature)
    found, bias = recalibration.fit_recalibration(probabilities, np.eye(3)[labels], 3.)
    assert found == pytest.approx(temperature, rel=.1)
    expected = np.log(priors) - np.mean(np.log(priors))
    assert bias - bias.mean() == pytest.approx(expected, abs=.15)


@given(seed=st.integers(0, 10**6), spread=st.sampled_from([.1, 1., 3.]))
@FIFTH_OF_EXAMPLES
def test_a_fit_is_a_minimum(seed, spread):
    """Reach a likelihood and prior that no small step improves, and stay finite."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(3), 12)
    allowed = rng.random((12, 3)) < .4
    allowed[np.arange(12), rng.integers(0, 3, 12)] = True
    temperature, bias = recalibration.fit_recalibration(probabilities, allowed, spread)

    def loss(t, b):
        shown = (recalibration.recalibrate(probabilities, t, b) * allowed).sum(axis=1)
        return -np.log(shown).sum() + (np.log(t)**2 + (b**2).sum()) / (2 * spread**2)
    best = loss(temperature, bias)
    assert np.isfinite([temperature, *bias]).all()
    for step in 1e-2 * rng.normal(size=(5, 4)):
        assert best <= loss(np.clip(temperature * np.exp(step[0]), .05, 20), bias + step[1:]) + 1e-4


def test_no_change_changes_nothing_and_wrong_numbers_are_refused():
    """Return the same probabilities for temperature 1 and no bias."""
    p = np.random.default_rng(0).dirichlet(np.ones(3), 5)
    assert recalibration.recalibrate(p, 1, np.zeros(3)) == pytest.approx(p)
    refused(recalibration.recalibrate, p, 0, np.zeros(3))
    refused(recalibration.recalibrate, p, 1, [np.nan, 0, 0])
    refused(recalibration.fit_recalibration, p, np.zeros((5, 3), bool))
    refused(recalibration.fit_recalibration, p[:0], np.zeros((0, 3), bool))


@given(sizes=st.lists(st.integers(1, 4), min_size=2, max_size=25), seed=st.integers(0, 999))
def test_folds_never_divide_a_group(sizes, seed):
    """Hold every slice out once, and none with a slice of its group left in."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    labels = np.random.default_rng(seed).integers(0, 2, len(groups))
    pairs = recalibration.group_folds(np.eye(2, dtype=bool)[labels], groups)
    assert sorted(np.concatenate([held for _, held in pairs])) == list(range(len(groups)))
    assert all(not set(groups[rows]) & set(groups[held]) for rows, held in pairs)
    refused(recalibration.group_folds, np.ones((3, 1), bool), np.zeros(3))


def test_held_out_probabilities_are_not_those_of_the_fit():
    """Give each slice less of its own label than a fit to all labels does."""
    p, y = source(40)
    allowed = np.eye(3, dtype=bool)[y]
    held_out = recalibration.held_out_probabilities(p, allowed, np.arange(40), 3.)
    inside = recalibration.recalibrate(p, *recalibration.fit_recalibration(p, allowed, 3.))
    assert -np.log(held_out[allowed]).mean() > -np.log(inside[allowed]).mean()
    assert recalibration.choose_spread(p, allowed, np.arange(40))[0] in recalibration.SPREADS


@given(n=st.integers(19, 60), seed=st.integers(0, 999))
def test_a_threshold_of_single_slices_is_the_usual_one(n, seed):
    """Agree with split conformal sets of one class."""
    scores = np.random.default_rng(seed).random(n)
    found = recalibration.pooled_threshold(scores, np.arange(n))
    assert found == pytest.approx(threshold_of(scores))


@given(n=st.integers(1, 18), repeats=st.integers(1, 5))
def test_few_patients_promise_less(n, repeats):
    """Take the lowest of all probabilities, whatever the number of slices."""
    scores = np.linspace(.9, .3, n * repeats)
    found = recalibration.pooled_threshold(scores, np.repeat(np.arange(n), repeats))
    assert found == pytest.approx(scores.min())
    assert recalibration.reachable_coverage(n) == pytest.approx(n / (n + 1))
    refused(recalibration.pooled_threshold, [], [])


def test_sets_keep_their_promise_over_draws():
    """Hold the truth in 95 % of other slices on average over 200 draws of 40 labels."""
    probabilities, labels = source(2000, seed=1)
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        rows = rng.permutation(2000)
        few, rest = rows[:40], rows[40:]
        truth = probabilities[np.arange(2000), labels]
        limit = recalibration.pooled_threshold(truth[few], np.arange(40))
        covered.append((truth[rest] >= limit).mean())
    # the 39th of 40 scores: a beta distribution with mean 39/41
    error = np.sqrt(39 / 41 * 2 / 41 / 42 / 200)
    assert abs(np.mean(covered) - 39 / 41) < 4 * error


@pytest.mark.parametrize("draws", [10, pytest.param(60, marks=pytest.mark.nightly)])
def test_refitted_sets_hold_the_truth_of_other_slices(draws):
    """Keep the promise, nearly, after the same labels were used for temperature and prior."""
    probabilities, labels = source(2000, seed=1)
    allowed = np.eye(3, dtype=bool)[labels]
    covered = []
    for seed in range(draws):
        rows = np.random.default_rng(seed).permutation(2000)
        found = recalibration.refit(probabilities[rows[:40]], allowed[rows[:40]], np.arange(40))
        again = recalibration.recalibrate(probabilities, found.temperature, found.bias)
        covered.append((again[allowed] >= found.threshold)[rows[40:]].mean())
    assert isinstance(found, recalibration.Recalibration)
    assert .92 < np.mean(covered) < .99


@pytest.fixture
def run(tmp_path):
    """Return a folder with the files that a fingerprint needs, and the entries of a source."""
    for name in ("model.safetensors", "prediction.json"):
        (tmp_path / name).write_text(name)
    return tmp_path, {
        "name": "Klinik ü", "classes": ["a", "b"], "temperature": 2., "bias": [0., 1.],
        "threshold": .1, "coverage": .95, "spread": 1., "tumour_threshold": .4, "slices": 40,
        "groups": 40, "accuracy": [.5, .7]}


def test_a_source_is_read_as_written_and_names_are_listed(run):
    """Write and read a source, and list it."""
    folder, entries = run
    assert recalibration.source_names(folder) == []
    file = recalibration.save_source(folder, entries)
    found = recalibration.read_source(folder, "Klinik ü", ["a", "b"])
    assert isinstance(found, recalibration.SourceRecord)
    assert found.run == recalibration.run_fingerprint(folder)
    assert recalibration.source_names(folder) == [file.stem] == ["Klinik ü"]
    with pytest.raises(ValueError, match="no source 'clinic'; it has been checked on Klinik ü"):
        recalibration.read_source(folder, "clinic", ["a", "b"])


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "../x", "a\nb", "a\0b", "x" * 65,
                                  " a", "a ", "a.json", "-a", "C:x"])
def test_names_that_are_not_file_names_are_refused(run, name):
    """Refuse separators, dots alone, control characters and long names; write nothing."""
    folder, entries = run
    refused(recalibration.check_source_name, name)
    refused(recalibration.save_source, folder, entries | {"name": name})
    refused(recalibration.read_source, folder, name, ["a", "b"])
    assert not (folder / "sources").exists()


@pytest.mark.parametrize("change", [
    {"bias": [0.]}, {"bias": [0., "1"]}, {"temperature": 0.}, {"temperature": -1.},
    {"threshold": 2.}, {"coverage": "x"}, {"slices": 0}, {"accuracy": "ab"}, {"format": 99},
    {"run": "0" * 64}, {"classes": ["a", "c"]}, {"name": "other"}, {"groups": None}])
def test_damaged_sources_are_refused(run, change):
    """Refuse entries of another type, run, class or name in one sentence."""
    folder, entries = run
    file = recalibration.save_source(folder, entries)
    save_json(file, load_json(file) | change)
    refused(recalibration.read_source, folder, "Klinik ü", ["a", "b"])
    file.write_bytes(file.read_bytes()[:-9])
    refused(recalibration.read_source, folder, "Klinik ü", ["a", "b"])
