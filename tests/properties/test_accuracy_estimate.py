"""Properties of the estimate of the accuracy, and of what a run keeps for it."""
import shutil
from functools import partial

import cv2
import numpy as np
import pandas as pd
import pytest
from commands import predict_command

from brainclust.core.files import load_json, save_json
from brainclust.runs import accuracy_estimate
from brainclust.runs.example_run import example_run
from brainclust.runs.predictor import Predictor
from brainclust.synthetic.phantoms import make_phantoms


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that has learnt phantoms."""
    return example_run(tmp_path_factory.mktemp("run"), epochs=4, patients_per_class=16)


@pytest.fixture(scope="module")
def fresh():
    """Phantoms of other patients."""
    return make_phantoms(8, 2, 64, seed=8)


def written(images, folder):
    """Write slices as a user has them."""
    folder.mkdir()
    for k, image in enumerate(images):
        cv2.imwrite(str(folder / f"{k:03d}.png"), image)
    return folder


def test_a_run_keeps_its_reference_and_predictions_are_compared(trained, fresh, tmp_path, capsys):
    assert (trained / "pile.parquet").exists() and load_json(trained / "pile.json")["slices"]
    grey = written(np.maximum(fresh.images, 80), tmp_path / "grey")
    out = tmp_path / "out.csv"
    assert predict_command([str(trained), str(grey), "--out", str(out), "--device", "cpu"]) == 0
    text = capsys.readouterr().err
    record = load_json(tmp_path / "out_shift.json")
    assert "grey background" in record["sentence"] and record["sentence"] in text
    assert record["shift"]["p"] < .001 and len(pd.read_csv(out)) == len(fresh.images)


def test_few_scans_and_runs_of_before(trained, fresh, tmp_path, capsys):
    older = tmp_path / "older"
    shutil.copytree(trained, older)
    few = written(fresh.images[:3], tmp_path / "few")
    run = lambda run: predict_command([str(run), str(few), "--device", "cpu", "--out",
                                       str(tmp_path / "out.csv")])
    assert run(older) == 0 and "3 scans are too few" in capsys.readouterr().err
    for name in ("pile.json", "pile.parquet"):
        (older / name).unlink()
    assert run(older) == 0 and accuracy_estimate.NO_REFERENCE in capsys.readouterr().err
    assert accuracy_estimate.read_pile_reference(Predictor(older, "cpu")) is None
    shutil.copy(trained / "pile.json", older)
    (older / "pile.parquet").write_bytes(b"damaged")
    assert run(older) == 2 and "pile.parquet" in capsys.readouterr().err
    shutil.copy(trained / "pile.parquet", older)
    save_json(older / "pile.json", {"format": 99})
    assert run(older) == 2 and "must have format 1; got 99" in capsys.readouterr().err


def test_estimates_lie_within_their_error_on_phantoms(trained, fresh):
    predictor = Predictor(trained, "cpu", "32-true")
    held_out = make_phantoms(8, 2, 64, seed=9)
    plain = lambda prepared, rows: accuracy_estimate.pile_predictions(predictor, prepared)
    known = accuracy_estimate.held_out_record(
        plain, held_out.images, held_out.table.label.to_numpy())
    assert 0 <= known["error"] <= 1
    table = accuracy_estimate.measure_estimates(
        partial(plain, rows=None), fresh.images, fresh.table.label.to_numpy(), known)
    assert len(table) == 1 + sum(len(s) for _, s in accuracy_estimate.STYLES.values())
    name = accuracy_estimate.best_estimate(known)
    errors = (table[name] - table["accuracy"]).abs()
    limits = [accuracy_estimate.estimate_error(value, len(fresh.images), known, k > 0)
              for k, value in enumerate(table[name])]
    assert np.mean(errors <= limits) >= .85 and errors[0] <= max(limits[0], .15)
    assert accuracy_estimate.held_out_record(plain, held_out.images[:3], np.zeros(3)) is None


def test_pieces_of_the_estimate():
    confidence = np.linspace(.5, 1, 101)
    threshold = accuracy_estimate.confidence_threshold(confidence, .8)
    assert accuracy_estimate.thresholded_confidence(confidence, threshold) == pytest.approx(
        .8, abs=.02)
    lost = accuracy_estimate.difference_of_confidences(confidence - .1, .75, .8)
    assert lost == pytest.approx(.7)
    known = {"accuracy": .8, "confidence": .75, "agreement": .6}
    for agreement, expected in ((.6, .8), (.9, .8), (.3, .4), (0., 0.)):
        assert accuracy_estimate.agreeing_confidence(confidence, agreement, known) == pytest.approx(
            expected)
    pile = pd.DataFrame({"confidence": confidence, "agrees": np.nan, "mixture_agrees": 1.})
    estimates = accuracy_estimate.all_estimates(pile, known | {"threshold": .6, "agreement": None})
    assert np.isnan(estimates["confidence and agreement"])
    assert accuracy_estimate.best_estimate({"agreement": None}) == "thresholded confidence"
    images = np.zeros((2, 64, 64), np.uint8)
    assert all(one.shape == images.shape and one.dtype == np.uint8
               for _, one in accuracy_estimate.styled_piles(images))
    assert "62 % (± 15)" in accuracy_estimate.accuracy_sentence(.62, .15)


def test_another_encoder_has_no_phantom_network(trained):
    predictor = Predictor(trained, "cpu", "32-true")
    assert accuracy_estimate.phantom_network(predictor) is not None
    predictor.classes_ = np.array(["a", "b"])
    assert accuracy_estimate.phantom_network(predictor) is None
