"""Properties of the comparison of new scans with the training scans, on phantoms and numbers."""
import cv2
import numpy as np
import pandas as pd
import pytest

from brainclust.data.confounders import SURROUNDINGS, describe_surroundings
from brainclust.runs import pile_shift
from brainclust.synthetic.phantoms import make_phantoms


def described(images, patients, quality: int = 90) -> pd.DataFrame:
    """Describe slices; the coordinates are those of coarse pixels, which any network would see."""
    sizes = [len(cv2.imencode(".jpg", one, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])
             for one in images]
    around = [describe_surroundings(one, size) for one, size in zip(images, sizes)]
    points = np.stack([cv2.resize(one, (4, 4), interpolation=cv2.INTER_AREA).ravel() / 64
                       for one in images])
    return pd.concat([pd.DataFrame({"patient": list(patients), "kind": ".jpg", "predicted": 0}),
                      pd.DataFrame(around, columns=SURROUNDINGS),
                      pd.DataFrame(points).add_prefix("point_")], axis=1)


@pytest.fixture(scope="module")
def phantoms():
    """Forty patients of every class with two slices each."""
    return make_phantoms(40, 2, 64, seed=3)


@pytest.fixture(scope="module")
def halves(phantoms) -> tuple:
    """Return patients, the rows of the pile, and the reference with a slice of every other one."""
    patients = phantoms.table.patient.to_numpy()
    new = np.isin(patients, np.unique(patients)[::2])
    whole = described(phantoms.images, patients)
    rng = np.random.default_rng(0)
    reference = whole[~new].iloc[pile_shift.draw_one_each(patients[~new], rng)]
    return patients, new, whole, reference


def test_piles_that_do_not_differ_raise_few_alarms(halves):
    patients, _, whole, _ = halves
    p = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        new = np.isin(patients, rng.permutation(np.unique(patients))[:40])
        rows = np.flatnonzero(~new)[pile_shift.draw_one_each(patients[~new], rng)]
        found = pile_shift.compare_pile(whole.iloc[rows], whole[new], seed=seed, permutations=199)
        p.append((found.p, found.p_network))
    p = np.array(p)
    assert np.mean(p[:, 0] < .05) <= .1  # 5 % of 60, with its chance
    assert .3 < np.mean(p[:, 1]) < .7


@pytest.mark.parametrize("words, change, quality", [
    ("grey background", lambda image: np.maximum(image, 60), 90),
    ("stronger compression", lambda image: image, 15),
    ("smaller field of view", lambda image: image[5:-5, 5:-5], 90)])
def test_the_sentence_names_the_change(phantoms, halves, words, change, quality):
    patients, new, _, reference = halves
    pile = described([np.ascontiguousarray(change(one)) for one in phantoms.images[new]],
                     patients[new], quality)
    sentence = pile_shift.shift_sentence(pile_shift.compare_pile(reference, pile))
    assert words in sentence and "p < 0.001" in sentence


def test_the_training_itself_does_not_differ(halves):
    patients, new, whole, reference = halves
    found = pile_shift.compare_pile(reference, whole[~new])
    assert pile_shift.shift_sentence(found) == "" and found.p > .05


def test_other_proportions_of_classes_are_not_a_shift():
    rng = np.random.default_rng(0)
    def slices(classes):
        points = rng.normal(size=(len(classes), 4)) + 5 * classes[:, None]
        return pd.concat([
            pd.DataFrame({"patient": [f"p{k}" for k in rng.permutation(10**6)[: len(classes)]],
                          "kind": ".png", "predicted": classes}),
            pd.DataFrame(1., index=range(len(classes)), columns=SURROUNDINGS),
            pd.DataFrame(points).add_prefix("point_")], axis=1)
    reference = slices(np.repeat([0, 1], [200, 20]))
    assert pile_shift.compare_pile(reference, slices(np.repeat([0, 1], [10, 90]))).p > .05


def test_one_patient_and_few_slices_are_not_tested(halves):
    patients, new, whole, reference = halves
    one = pd.concat([whole[patients == patients[0]]] * 100, ignore_index=True)
    found = pile_shift.compare_pile(reference, one)
    assert found.groups == 1 and np.isnan(found.p)
    assert "200 scans from 1 patient" in pile_shift.shift_sentence(found)
    for count in range(1, 8):
        found = pile_shift.compare_pile(reference, whole[new].iloc[:count].assign(patient=""))
        assert "too few" in pile_shift.shift_sentence(found)
    # the same without a name: neighbouring slices of a slowly changing series
    series = pd.DataFrame(np.cumsum(np.random.default_rng(0).normal(size=(200, 16)), axis=0))
    anonymous = one.assign(patient="", **series.add_prefix("point_"))
    assert pile_shift.block_length(pile_shift.pile_points(anonymous),
                                   anonymous["predicted"].to_numpy()) > 10
    assert len(set(pile_shift.pile_groups(anonymous))) < 20


def test_weights_cancel_and_p_values_are_fractions():
    classes = np.repeat([0, 1, 2], [30, 20, 5])
    new = np.arange(55) % 3 == 0
    weights = pile_shift.permuted_weights(classes, new, 99)
    for label in range(3):
        np.testing.assert_allclose(weights[classes == label].sum(axis=0), 0, atol=1e-5)
    points = np.random.default_rng(0).normal(size=(55, 3))
    p, value = pile_shift.mmd_test(points + 9 * new[:, None], weights)
    assert p == .01 and value > 0
    assert pile_shift.mmd_test(points * 0, weights)[0] == 1
    assert pile_shift.holm([.5, .5, .01]).tolist() == pytest.approx([1, 1, .03])


def test_every_feature_has_words_in_both_directions():
    for name in pile_shift.FEATURES:
        row = {"feature": name, "training": 5., "pile": 5.}
        words = [pile_shift.change_words(row | {"superiority": s}) for s in (.1, .9)]
        assert len(set(words)) == 2 and all(words)
    kind = {"feature": ".png", "training": 0., "pile": 1.}
    assert pile_shift.change_words(kind | {"superiority": .9}) == "more PNG files"
    assert pile_shift.change_words(kind | {"superiority": .1}) == ""
    table = pd.DataFrame(np.full((3, len(SURROUNDINGS)), -1.), columns=SURROUNDINGS)
    features = pile_shift.named_features(table.assign(kind=".png"), [".png"], [])
    assert features["bytes_per_pixel"].isna().all() and (features[".png"] == 1).all()
    weights = pile_shift.permuted_weights(np.zeros(3, int), np.arange(3) == 0, 9)
    assert (pile_shift.rank_tests(features, weights)["p"] == 1).all()
    rows = pile_shift.match_classes(np.array([0, 0, 1]), np.array([1, 2]),
                                    np.random.default_rng(0))
    assert [part.tolist() for part in rows] == [[2], [0]]
