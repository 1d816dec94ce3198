"""A run that reads one sequence of colour files, from papermill to the prediction of new files."""
import json
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from conftest import TINY, run_papermill
from PIL import Image

from brainclust.app.collection import slices_of_run
from brainclust.app.reading import open_scan
from brainclust.data.cleaning import prepare_scans
from brainclust.data.slices import read_slice
from brainclust.runs.export import describe_export
from brainclust.runs.prediction_files import predict_command
from brainclust.runs.predictor import Predictor


def as_sequences(source: Path, target: Path) -> None:
    """Keep every phantom as channel 1 of a colour file, between two other pictures."""
    for file in sorted(source.rglob("*.png")):
        grey = np.asarray(Image.open(file).convert("L"))
        other = np.where(grey > 20, 255 - grey, 0).astype(np.uint8)
        place = target / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.stack([other, grey, np.rot90(other, 2)], -1)).save(place)


@pytest.fixture(scope="module")
def runs(report, phantom_tree, tmp_path_factory):
    """Give the run on grey phantoms, and train on the same as channel 1 of colour files."""
    folder = tmp_path_factory.mktemp("sequences")
    as_sequences(phantom_tree, folder / phantom_tree.name)
    output = run_papermill(folder / "colour.ipynb", **TINY | {
        "data": folder / phantom_tree.name, "out": folder / "colour", "channel": "1",
        "baselines": False, "supervised_baseline": False})
    assert output.returncode == 0, output.stderr[-2000:]
    (folder / "grey").symlink_to(report)
    return folder


def test_one_channel_trains_as_the_grey_files_do(runs):
    """Train on the same pixels, and record the channel."""
    folder = runs
    records = {name: json.loads((folder / name / "run.json").read_text())
               for name in ("grey", "colour")}
    assert records["colour"]["config"]["channel"] == 1
    assert records["colour"]["data"]["channels"] == {"1": records["colour"]["data"]["slices"]}
    assert records["grey"]["data"]["channels"] == {}
    assert records["colour"]["results"]["test_accuracy"] == pytest.approx(
        records["grey"]["results"]["test_accuracy"])
    model = json.loads((folder / "colour" / "model.json").read_text())
    assert (model["channel"], model["volume_index"]) == (1, 0)
    assert set(slices_of_run(folder / "colour")[0]["channel"]) == {"1"}


def test_new_files_are_read_as_the_run_read_its_own(runs, phantom_tree, capsys):
    """Predict from colour files, and from 4-D volumes, what grey files give."""
    folder = runs
    predictor = Predictor(folder / "colour", "cpu")
    assert predictor.reading == {"channel": 1, "volume_index": 0}
    assert describe_export(predictor)["reading"] == predictor.reading
    tables = {}
    for name, data in (("grey", phantom_tree), ("colour", folder / phantom_tree.name)):
        out = folder / f"{name}.csv"
        assert predict_command([str(folder / "colour"), str(data / "Testing"), "--out", str(out),
                                "--device", "cpu"]) == 0
        tables[name] = pd.read_csv(out).drop(columns="path")
    pd.testing.assert_frame_equal(tables["grey"], tables["colour"])
    assert "colour channels" not in capsys.readouterr().err
    file = next((folder / phantom_tree.name).rglob("*.png"))
    np.testing.assert_array_equal(open_scan(file, **predictor.reading).slices[0],
                                  read_slice(file, channel=1))


def test_mixed_colour_and_volumes_are_named_in_the_terminal(runs, tmp_path, capsys):
    """Name sequences that a run mixes, and volumes that it does not read."""
    folder = runs
    data = tmp_path / "new"
    data.mkdir()
    values = np.random.default_rng(0).integers(0, 200, (32, 32, 4, 3), np.uint8)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), data / "times.nii.gz")
    rgb = next(folder.rglob("Testing/*/*.png"))
    (data / "rgb.png").write_bytes(rgb.read_bytes())
    assert predict_command([str(folder / "grey"), str(data), "--out", str(tmp_path / "out.csv"),
                            "--device", "cpu"]) == 0
    said = capsys.readouterr().err
    assert said.count("1 of the files hold different pictures as colour channels") == 1
    assert said.count("1 of the files hold several volumes (volume 0 of 3)") == 1


def test_a_channel_that_no_file_has_stops_the_run(runs, tmp_path, phantom_tree):
    """Name the channels of the files and the remedy, in one sentence."""
    with pytest.raises(ValueError, match="channel missing: the file has 3 channels, 0 to 2; got "
                                         "channel 5. Set channel to one of them"):
        prepare_scans(runs / phantom_tree.name, channel=5, cache_folder=tmp_path)
