"""Properties of brainclust.runs.fold_predictors: each slice by the network of its fold."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from examples import FABRIC

from brainclust.analysis.cross_calibration import fold_temperature
from brainclust.core.config import make_config
from brainclust.models.encoders import make_network
from brainclust.runs import accuracy_estimate, fold_predictors
from brainclust.runs.example_run import example_data, example_run
from brainclust.runs.predictor import Predictor
from brainclust.training.cross_fitting import assign_folds, cross_fit


@pytest.fixture(scope="module")
def crossed(tmp_path_factory):
    """A run, its slices, and what two folds predict."""
    folder = tmp_path_factory.mktemp("run")
    run = example_run(folder, label_fraction=1.)
    scans, data = example_data(folder, label_fraction=1.)
    config = make_config("demo", image_size=64, epochs=16, supervised_epochs=8,
                         calibration_folds=2, device="cpu")
    folds = assign_folds(data.labels, scans.patient.to_numpy(), 2)
    network = make_network("autoencoder", 4, 64, seed=0)
    found = cross_fit(FABRIC, network, data, folds, config, folder / "folds")
    return SimpleNamespace(predictor=Predictor(run, "cpu", "32-true"), found=found, data=data)


def test_every_slice_is_predicted_by_its_fold(crossed):
    """Agree with the predictions out of fold, in any choice of rows."""
    found = crossed.found
    prepared = crossed.data.images.numpy()[found.rows][:, 0]
    predictors = fold_predictors.fold_predictors(crossed.predictor, found)
    temperature = fold_temperature(found.probabilities, found.labels)
    assert [one.record["temperature"] for one in predictors] == [temperature] * 2
    rows = np.arange(len(prepared))
    whole = fold_predictors.predict_folds(predictors, found.folds, prepared, rows)
    assert (whole["predicted"].to_numpy() == found.probabilities.argmax(axis=1)).mean() > .95
    some = rows[::-3]
    part = fold_predictors.predict_folds(predictors, found.folds, prepared[some], some)
    expected = whole.iloc[some].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, expected, check_exact=False, atol=1e-4)


def test_the_record_of_folds_is_read_with_the_run(crossed):
    """Keep accuracy, confidence and error beside the reference of the run; too few give none."""
    predictor, found = crossed.predictor, crossed.found
    known = fold_predictors.save_fold_record(predictor, found, crossed.data.images)
    assert accuracy_estimate.read_pile_reference(predictor)[1] == known
    assert known["slices"] == len(found.rows) and 0 <= known["error"] <= 1
    right = found.probabilities.argmax(axis=1) == found.labels
    assert known["accuracy"] == pytest.approx(right.mean(), abs=1.5 / len(right))
    assert known["confidence"] == pytest.approx(right.mean(), abs=2e-3)
    few = found._replace(rows=found.rows[:7], labels=found.labels[:7], folds=found.folds[:7],
                         probabilities=found.probabilities[:7])
    images = np.array(crossed.data.images)
    assert fold_predictors.save_fold_record(predictor, few, images) is None
    assert accuracy_estimate.read_pile_reference(predictor)[1] is None
