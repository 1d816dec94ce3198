"""A run that reads one sequence of colour files, from papermill to the prediction of new files."""
import json
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from commands import predict_command

from brainclust.app.collection import slices_of_run
from brainclust.app.reading import open_scan
from brainclust.data.cleaning import prepare_scans
from brainclust.data.slices import read_slice
from brainclust.imaging.preprocessing import preprocess_slice
from brainclust.imaging.slice_cache import dataset_mean_std
from brainclust.runs.export import describe_export
from brainclust.runs.predictor import Predictor


def test_one_channel_is_trained_on_as_the_grey_files(odd_run):
    """Train on the same pixels, and record the channel."""
    record = json.loads((odd_run / "run" / "run.json").read_text())
    assert record["config"]["channel"] == 1
    assert record["data"]["channels"] == {"1": record["data"]["slices"]}
    model = json.loads((odd_run / "run" / "model.json").read_text())
    assert (model["channel"], model["volume_index"]) == (1, 0)
    assert set(slices_of_run(odd_run / "run")[0]["channel"]) == {"1"}
    table = pd.read_parquet(odd_run / "run" / "scans.parquet")
    grey = [Path(path.replace("colour", "grey", 1)) for path in table.path]
    settings = Predictor(odd_run / "run", "cpu").settings
    prepared = np.stack([preprocess_slice(read_slice(path), **settings) for path in grey])
    mean, std = dataset_mean_std(prepared[:, None], np.flatnonzero(table.split == "train"))
    assert (model["mean"], model["std"]) == (mean, std)


def test_new_files_are_read_as_the_run_read_its_own(odd_run, tmp_path, capsys):
    """Predict from colour files, and from 4-D volumes, what grey files give."""
    predictor = Predictor(odd_run / "run", "cpu")
    assert predictor.reading == {"channel": 1, "volume_index": 0}
    assert describe_export(predictor)["reading"] == predictor.reading
    tables = {}
    for name in ("grey", "colour"):
        out = tmp_path / f"{name}.csv"
        assert predict_command([str(odd_run / "run"), str(odd_run / name), "--out", str(out),
                                "--device", "cpu"]) == 0
        tables[name] = pd.read_csv(out).drop(columns="path")
    pd.testing.assert_frame_equal(tables["grey"], tables["colour"])
    assert "colour channels" not in capsys.readouterr().err
    file = next((odd_run / "colour").rglob("*.png"))
    np.testing.assert_array_equal(open_scan(file, **predictor.reading).slices[0],
                                  read_slice(file, channel=1))


def test_mixed_colour_and_volumes_are_named_in_the_terminal(report, odd_run, tmp_path, capsys):
    """Name sequences that a run mixes, and volumes that it does not read."""
    data = tmp_path / "new"
    data.mkdir()
    values = np.random.default_rng(0).integers(0, 200, (32, 32, 4, 3), np.uint8)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), data / "times.nii.gz")
    rgb = next((odd_run / "colour").rglob("*.png"))
    (data / "rgb.png").write_bytes(rgb.read_bytes())
    assert predict_command([str(report), str(data), "--out", str(tmp_path / "out.csv"),
                            "--device", "cpu"]) == 0
    said = capsys.readouterr().err
    assert said.count("1 of the files hold different pictures as colour channels") == 1
    assert said.count("1 of the files hold several volumes (volume 0 of 3)") == 1


def test_a_channel_that_no_file_has_stops_the_run(odd_run, tmp_path):
    """Name the channels of the files and the remedy, in one sentence."""
    with pytest.raises(ValueError, match="channel missing: the file has 3 channels, 0 to 2; got "
                                         "channel 5. Set channel to one of them"):
        prepare_scans(odd_run / "colour", ["no", "on", "1.5", "0"], channel=5,
                      cache_folder=tmp_path)
