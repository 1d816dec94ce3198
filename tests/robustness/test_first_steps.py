"""First starts: places that cannot be written, files of no use, collections of other classes."""
import types
from pathlib import Path

import pytest
from commands import audit_command, compare_command, predict_command, run_command
from PIL import Image

from brainclust.core.files import make_folder, save_json
from brainclust.core.untrusted import most_frequent
from brainclust.data.download import COLLECTIONS, fetch_collection
from brainclust.data.scan_table import read_scan_table
from brainclust.runs.prediction_files import list_inputs
from brainclust.runs.run import check_external, check_resume, config_record, run_config


@pytest.fixture
def taken(tmp_path) -> Path:
    """Return a place where no folder can be made, for root neither: it lies below a file."""
    (tmp_path / "file").touch()
    return tmp_path / "file" / "results"


def test_a_place_that_cannot_be_written_is_named(taken, report, phantom_tree, tmp_path, capsys):
    commands = {
        run_command: ["-p", "data", str(phantom_tree), "-p", "out", str(taken)],
        audit_command: [str(phantom_tree), "--out", str(taken)],
        predict_command: [str(report), str(phantom_tree), "--out", str(taken / "table.csv")],
    }
    for command, arguments in commands.items():
        assert command(arguments) == 2
        message = capsys.readouterr().err.strip().splitlines()[-1]
        assert "cannot be written (Not a directory): choose another place" in message, message
    assert compare_command([str(report), "--out", str(taken)]) == 2
    assert predict_command([str(report), str(phantom_tree), "--out", str(tmp_path / "table.csv"),
                            "--maps", str(taken)]) == 2
    assert capsys.readouterr().err.count("cannot be written (Not a directory)") == 2
    with pytest.raises(OSError, match="choose another place"):
        make_folder(taken)


@pytest.mark.parametrize("reasons, sentence", [
    (["blank"], "blank (1 of 1)"),
    (["unreadable: it is cut off", "blank", "unreadable: no image", "unreadable: no image"],
     "unreadable: no image (3 of 4)"),
    (["suffix not read: .txt"] * 1200 + ["blank"] * 3, "suffix not read: .txt (1,200 of 1,203)"),
])
def test_the_most_frequent_reason_has_its_number(reasons, sentence):
    assert most_frequent(reasons) == sentence


def test_a_folder_without_a_readable_file_says_why(tmp_path):
    (tmp_path / "a.png").touch()
    for number in range(4):
        (tmp_path / f"b{number}.png").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ValueError, match=r"none of its 5 files is\. Most frequent.*4 of 5"):
        read_scan_table(tmp_path)
    (tmp_path / "notes").mkdir()
    for name in ("a.txt", "b.txt", "c.md"):
        (tmp_path / "notes" / name).touch()
    with pytest.raises(ValueError, match="nothing to read: suffix not read: .txt"):
        list_inputs(sorted((tmp_path / "notes").iterdir()))


def test_a_collection_of_two_classes_runs_as_it_was_fetched(tmp_path):
    for number, name in enumerate(("no/n1.jpg", "no/n2.jpg", "yes/y1.jpg", "pred/p1.jpg")):
        (tmp_path / "kaggle" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((40 + number, 40), 60).save(tmp_path / "kaggle" / name)
    kaggle = types.SimpleNamespace(dataset_download=lambda handle: str(tmp_path / "kaggle"))
    folder = fetch_collection("br35h", tmp_path / "scans", kagglehub=kaggle)
    for data in ("br35h", str(folder)):
        assert run_config(data=data, n_clusters=2).classes == COLLECTIONS["br35h"].classes
    given = run_config(data=str(folder), classes=["no", "yes"], n_clusters=2)
    assert given.classes == ("no", "yes")
    assert run_config(data="cheng").classes == run_config().classes
    table, left_out = read_scan_table(folder, run_config(data=str(folder), n_clusters=2).classes)
    assert sorted(table["class_name"]) == ["", "notumor", "notumor", "tumor"] and not len(left_out)


@pytest.mark.parametrize("names", [["a.png"], ["a.dcm", "b.nii.gz"], ["c/a.jpg", "b.png"]])
def test_a_link_to_a_missing_file_costs_no_other_prediction(names, tmp_path):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(tmp_path / "missing")
    Image.effect_noise((40, 40), 60).save(tmp_path / "scan.png")
    read, left_out = list_inputs([tmp_path])
    assert [file.name for file in read] == ["scan.png"]
    assert ["link" in row["reason"] for row in left_out] == [True] * len(names)


@pytest.mark.parametrize("place", ["nowhere", "file", ""])
def test_an_external_collection_that_is_missing_is_named(place, tmp_path):
    (tmp_path / "file").touch()
    check_external([str(tmp_path)])
    with pytest.raises(NotADirectoryError, match="external must be folders of labelled scans"):
        check_external([str(tmp_path), str(tmp_path / place) if place else "/no where"])


def test_a_run_of_before_a_setting_goes_on(tmp_path):
    """Take a setting that the first start did not know for its default."""
    begun = config_record(run_config(seed=3, out=str(tmp_path)))
    for name in ("external", "class_balance", "volume_index"):
        del begun[name]
    save_json(tmp_path / "config.json", begun)
    again = dict(seed=3, out=str(tmp_path), resume=True)
    check_resume(run_config(**again), tmp_path)
    check_resume(run_config(**again, external=[str(tmp_path)]), tmp_path)
    with pytest.raises(ValueError, match="volume_index was 0 and is now 2"):
        check_resume(run_config(**again, volume_index=2), tmp_path)
