"""The estimator as scikit-learn and its users take it."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator
from sklearn.utils.validation import validate_data

from brainclust.app.collection import open_collection
from brainclust.app.workbench import Workbench
from brainclust.runs.estimator import SETTINGS, DeepClustering
from brainclust.runs.predictor import Predictor
from brainclust.synthetic.phantoms import make_phantoms

SMALL = {"epochs": 2, "image_size": 32, "min_epoch_steps": 1, "rehearsal_batch_size": 0,
         "device": "cpu"}
NAMES = np.array(["glioma", "meningioma", "notumor", "pituitary"])


@pytest.fixture(scope="module")
def phantoms():
    return make_phantoms(patients_per_class=4, slices_per_patient=2, image_size=64, seed=0,
                         test_fraction=0.)


@pytest.fixture(scope="module")
def fitted(phantoms) -> DeepClustering:
    numbers = np.unique(phantoms.table.patient, return_inverse=True)[1]
    y = [name if number % 2 else None for number, name in
         zip(numbers, NAMES[phantoms.table.label])]
    return DeepClustering(**SMALL).fit(phantoms.images, y, phantoms.table.patient)


def test_parameters_are_set_cloned_and_refused():
    model = DeepClustering(3, epochs=5).set_params(image_size=64, preset="demo", epochs=4)
    assert clone(model).get_params() == {
        "n_clusters": 3, "preset": "demo", "random_state": 0, "epochs": 4, "image_size": 64}
    with pytest.raises(TypeError, match="no setting 'image_sise'; did you mean image_size"):
        DeepClustering(image_sise=64)
    with pytest.raises(ValueError, match="Invalid parameter 'epoch'"):
        model.set_params(epoch=3)
    with pytest.raises(TypeError, match="no setting 'label_fraction'"):
        DeepClustering(label_fraction=.5)  # of folders
    assert not SETTINGS & set(dir(DeepClustering))  # no setting hides a method


def test_what_a_user_forgets_is_one_sentence(phantoms):
    with pytest.raises(NotFittedError):
        DeepClustering().predict(phantoms.images)
    for settings, y, sentence in (({"n_clusters": 3}, NAMES[phantoms.table.label], "one cluster"),
                                  ({"preset": "finest"}, None, "preset must be one of"),
                                  ({"learning_rate": -1}, None, "learning_rate")):
        with pytest.raises(ValueError, match=sentence):
            DeepClustering(**SMALL | settings).fit(phantoms.images, y)


def test_paths_and_slices_of_any_size_are_predicted_alike(fitted, phantoms, tmp_path):
    for number, image in enumerate(phantoms.images[:3]):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    paths = sorted(tmp_path.glob("*.png"))
    by_array = fitted.predict_proba(phantoms.images[:3])
    assert np.array_equal(fitted.predict_proba(paths), by_array)
    mixed = [phantoms.images[0], phantoms.images[1][:40], str(paths[2])]
    assert np.array_equal(fitted.predict_proba(mixed)[[0, 2]], by_array[[0, 2]])


def test_a_copy_on_disk_predicts_the_same_and_damage_is_named(fitted, phantoms, tmp_path):
    folder = fitted.save(tmp_path / "model")
    new = phantoms.images[:4]
    loaded = DeepClustering.load(folder)
    assert loaded.get_params() == fitted.get_params()
    assert loaded.classes_.tolist() == fitted.classes_.tolist()
    for other in (loaded, pickle.loads(pickle.dumps(fitted))):
        assert np.array_equal(other.predict_proba(new), fitted.predict_proba(new))
        assert np.array_equal(other.labels_, fitted.labels_)
    assert Predictor(folder, "cpu").predict(list(new)).tolist() == fitted.predict(new).tolist()
    record = json.loads((folder / "estimator.json").read_text())
    del record["params"]
    (folder / "estimator.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="estimator.json"):
        DeepClustering.load(folder)
    (folder / "model.json").unlink()
    with pytest.raises(ValueError):
        DeepClustering.load(folder)


def test_a_saved_estimator_opens_in_the_web_app(fitted, phantoms, tmp_path):
    """Show the slices of the training with their labels, and predict as the estimator does."""
    patients = phantoms.table.patient.to_numpy()
    numbers = np.unique(patients, return_inverse=True)[1]
    y = [name if number % 2 else None for number, name in
         zip(numbers, NAMES[phantoms.table.label])]
    Image.fromarray(phantoms.images[1]).save(tmp_path / "own.png")
    mixed = [*phantoms.images]
    mixed[1] = tmp_path / "own.png"
    saved = fitted.save(tmp_path / "model", mixed, y, patients)
    folder = saved.rename(tmp_path / "moved")  # the pictures move with it
    collection = open_collection(Predictor(folder, "cpu"), folder / "page")
    known = [fitted.classes_[label] if label >= 0 else None for label in collection.table["label"]]
    assert known == y and len(collection) == len(y) and not len(collection.pairs)
    assert collection.table["patient"].tolist() == patients.tolist()
    assert collection.table.groupby("patient")["group"].nunique().max() == 1
    np.testing.assert_allclose(
        collection.outputs["probabilities"], fitted.predict_proba(phantoms.images), atol=1e-5)
    bench = Workbench(folder, device="cpu")  # the whole of the web app but its server
    assert Path(bench.scans["path"][0]).parent == folder / "slices"
    assert bench.scans["path"][1] == str(tmp_path / "own.png")
    assert DeepClustering.load(folder).predict(phantoms.images[:3]).tolist() == \
        fitted.predict(phantoms.images[:3]).tolist()


def test_slices_that_are_saved_are_those_of_the_training(fitted, phantoms, tmp_path):
    """Refuse others, in another order, or with other labels, and write nothing."""
    patients = phantoms.table.patient
    for X, y, groups, sentence in (
            (phantoms.images[:5], None, None, "must be those of fit, 32 each; got 5 scans"),
            (phantoms.images, ["glioma"], None, "got 1 y"),
            (phantoms.images, None, patients[:3], "got 3 groups"),
            (phantoms.images, ["a", "b"] * 16, None, "must hold the classes of fit"),
            (phantoms.images[::-1], None, patients, "in their order")):
        with pytest.raises(ValueError, match=sentence):
            fitted.save(tmp_path / "model", X, y, groups)
    assert not (tmp_path / "model").exists()


def test_clusters_and_scores_agree_with_each_other(fitted, phantoms):
    names = NAMES[phantoms.table.label]
    assert np.array_equal(fitted.cluster_proba(phantoms.images).argmax(axis=1), fitted.labels_)
    right = fitted.predict(phantoms.images) == names
    assert fitted.score(phantoms.images, names) == pytest.approx(right.mean())
    half = [name if number % 2 else None for number, name in enumerate(names)]
    assert fitted.score(phantoms.images, half) == pytest.approx(right[1::2].mean())
    weights = np.arange(len(names))
    assert fitted.score(phantoms.images, names, weights) == pytest.approx(
        np.average(right, weights=weights))
    assert np.isnan(fitted.score(phantoms.images, [None] * len(names)))
    table = fitted.table(phantoms.images)
    assert (table["class"] == fitted.predict(phantoms.images)).all()


class OnRows(DeepClustering):
    """The estimator on rows of numbers, each drawn as a picture, as scikit-learn's checks are."""

    def _pictures(self, X, **checks):
        X = validate_data(self, X, dtype=np.float64, **checks)
        return np.stack([np.resize(row, (16, 16)) for row in X])

    def fit(self, X, y=None, groups=None):
        if y is None:
            return super().fit(self._pictures(X), y, groups)
        X, y = validate_data(self, X, y, dtype=np.float64)
        return super().fit(np.stack([np.resize(row, (16, 16)) for row in X]), y, groups)

    def _outputs(self, X):
        return super()._outputs(self._pictures(X, reset=False))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = True, False
        return tags


# checks that cannot hold, with the reason
ONE_PER_CLASS = "the check sets n_clusters to 1 or 2, and there is one cluster per class"
EXPECTED_FAILURES = {
    "check_no_attributes_set_in_init": "settings are keyword parameters, kept by their names",
    "check_do_not_raise_errors_in_init_or_set_params": "a misspelt setting is refused at once",
    "check_classifiers_classes": "-1 stands for an unknown label",
    "check_classifiers_train": "rows of numbers drawn as pictures are not learnt in one epoch",
    "check_dont_overwrite_parameters": ONE_PER_CLASS,
    "check_methods_sample_order_invariance": ONE_PER_CLASS,
    "check_methods_subset_invariance": ONE_PER_CLASS,
    "check_fit2d_1feature": ONE_PER_CLASS,
    "check_fit2d_predict1d": ONE_PER_CLASS}
ROWS = OnRows(**SMALL | {"epochs": 1}, calibration_folds=0)
# on every change those that train nothing, or little
QUICK = {"check_estimator_cloneable", "check_estimator_tags_renamed", "check_valid_tag_types",
         "check_estimator_repr", "check_estimators_unfitted", "check_mixin_order",
         "check_complex_data", "check_estimator_sparse_array", "check_estimators_fit_returns_self",
         "check_get_params_invariance", "check_set_params", "check_transformers_unfitted",
         "check_parameters_default_constructible", "check_supervised_y_no_nan",
         "check_classifiers_regression_target", "check_fit1d", "check_fit2d_1sample"}


@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_finds_an_estimator():
    check_estimator(DeepClustering())  # slices are not rows: what holds for any estimator
    seen = set()
    for estimator, check in estimator_checks_generator(ROWS):
        if check.func.__name__ in QUICK:
            seen.add(check.func.__name__)
            check(estimator)
    assert seen == QUICK


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore")
def test_every_check_of_scikit_learn():
    results = check_estimator(ROWS, expected_failed_checks=EXPECTED_FAILURES, on_skip=None)
    passed = {result["check_name"] for result in results if result["status"] == "passed"}
    assert len(passed) > 40 and not passed & set(EXPECTED_FAILURES)
