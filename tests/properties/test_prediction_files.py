"""Properties of brainclust.runs.prediction_files."""

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from examples import UNLIKELY_FILES, class_names, small_predictor
from hypothesis import given, strategies as st
from PIL import Image
from strategies import seeds

from brainclust.core.files import write_csv
from brainclust.imaging.map_files import MapFolders
from brainclust.runs import prediction_files


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be made")
def test_files_with_unlikely_names_are_listed(tmp_path):
    """List every file, whatever its name."""
    (tmp_path / "scans").mkdir()
    for k, name in enumerate(UNLIKELY_FILES):
        Image.fromarray(np.full((9 + k, 12), 20 * k, np.uint8)).save(
            tmp_path / "scans" / name, format="png"
        )
    (tmp_path / "scans" / "broken\r.png").write_text("no picture")
    read, left = prediction_files.list_inputs([tmp_path / "scans"])
    assert len(read) == 8
    assert left == []


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be made")
def test_files_with_unlikely_names_are_predicted(tmp_path):
    """Predict every readable file and list the unreadable one."""
    predictor = small_predictor()
    (tmp_path / "scans").mkdir()
    for k, name in enumerate(UNLIKELY_FILES):
        Image.fromarray(np.full((9 + k, 12), 20 * k, np.uint8)).save(
            tmp_path / "scans" / name, format="png"
        )
    (tmp_path / "scans" / "broken\r.png").write_text("no picture")
    out = tmp_path / "new\r" / "=out.csv"
    assert prediction_files.predict_files(predictor, [tmp_path / "scans"], out, part=3,
                                          maps=tmp_path / "maps") == (7, 1)
    table = pd.read_csv(out, keep_default_na=False)
    assert {Path(path).name for path in table.path} == set(UNLIKELY_FILES)
    assert (table.cam.map(lambda path: Path(path).exists())).all()
    assert pd.read_csv(out.with_name("=out_unreadable.csv")).path.tolist() == [
        str(tmp_path / "scans" / "broken\r.png")
    ]


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be made")
def test_a_part_holds_every_file(tmp_path):
    """Return every file of a part as predicted or unreadable."""
    predictor = small_predictor()
    (tmp_path / "scans").mkdir()
    for k, name in enumerate(UNLIKELY_FILES):
        Image.fromarray(np.full((9 + k, 12), 20 * k, np.uint8)).save(
            tmp_path / "scans" / name, format="png"
        )
    (tmp_path / "scans" / "broken\r.png").write_text("no picture")
    read, left = prediction_files.list_inputs([tmp_path / "scans"])
    with ThreadPoolExecutor(1) as pool:
        part, unreadable, _ = prediction_files.predict_part(
            predictor, read[:2], pool, cache_folder=tmp_path
        )
    assert len(part) + len(unreadable) == 2


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be made")
def test_maps_have_the_size_of_their_file(tmp_path):
    """Write maps of the file's size."""
    predictor = small_predictor()
    (tmp_path / "scans").mkdir()
    for k, name in enumerate(UNLIKELY_FILES):
        Image.fromarray(np.full((9 + k, 12), 20 * k, np.uint8)).save(
            tmp_path / "scans" / name, format="png"
        )
    (tmp_path / "scans" / "broken\r.png").write_text("no picture")
    read, left = prediction_files.list_inputs([tmp_path / "scans"])
    facts = [{"path": str(read[0]), "width": 7, "height": 1}]
    written = prediction_files.write_maps(predictor, np.zeros((1, 32, 32), np.uint8),
                                          predictor.table(np.zeros((1, 32, 32), np.uint8)), facts,
                                          MapFolders(tmp_path / "maps", tmp_path / "pieces"))
    assert Image.open(written.cam[0]).size == (7, 1)


@given(n=st.integers(1, 12), seed=seeds())
def test_every_named_patient_gets_one_prediction(n, seed):
    """Predict once for every named patient, from in-distribution slices."""
    rng = np.random.default_rng(seed)
    names = class_names(3)
    p = rng.dirichlet(np.ones(3), n)
    table = pd.DataFrame({"patient": rng.choice(["", "007", "=1+1", "a\rb"], n),
                          "in_distribution": rng.random(n) < 0.6,
                          **{f"prob_{name}": p[:, k] for k, name in enumerate(names)}})
    with tempfile.TemporaryDirectory() as folder:
        for k in range(2):
            write_csv(table[k::2], Path(folder) / f"{k}.csv")
        by_patient = prediction_files.patient_predictions(
            [Path(folder) / "0.csv", Path(folder) / "1.csv"], names
        )
    known = table[table.patient != ""]
    assert len(by_patient) == known.patient.nunique()
    for row in by_patient.to_dict("records"):
        slices_of_patient = known[(known.patient == row["patient"])]
        in_distribution = slices_of_patient[slices_of_patient.in_distribution]
        assert row["slices"] == len(slices_of_patient)
        assert row["in_distribution"] == len(in_distribution)
        if len(in_distribution):
            direct = np.exp(np.log(in_distribution.filter(regex="^prob_").to_numpy()).mean(axis=0))
            assert np.allclose([row[f"prob_{name}"] for name in names], direct / direct.sum())
            assert row["class"] == names[direct.argmax()]
        else:
            assert row["class"] == ""
            assert np.isnan(row[f"prob_{names[0]}"])
