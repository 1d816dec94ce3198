"""Faults of a scan folder are refused in one sentence, or handled as documented."""
import shutil
from pathlib import Path

import pandas as pd
import pytest

from brainclust.data.cleaning import prepare_scans


@pytest.fixture
def tree(tmp_path, phantom_tree) -> Path:
    """A copy of the phantoms that may be damaged."""
    return Path(shutil.copytree(phantom_tree, tmp_path / "scans"))


def complaint(folder: Path, **settings) -> str:
    """Return the one sentence that `prepare_scans` raises."""
    with pytest.raises((ValueError, OSError)) as error:
        prepare_scans(folder, **settings)
    message = str(error.value)
    assert "\n" not in message and len(message) < 400
    return message


def test_broken_and_blank_and_copied_files_are_listed(tree):
    whole = len(prepare_scans(tree)[0])
    slices = sorted((tree / "Training" / "glioma").glob("*.png"))
    (tree / "Training" / "glioma" / "cut.png").write_bytes(slices[0].read_bytes()[:300])
    (tree / "Training" / "glioma" / "text.png").write_text("not an image")
    (tree / "Training" / "glioma" / "empty.png").touch()
    shutil.copy(slices[1], tree / "Training" / "glioma" / "copy.png")
    scans, removed, sentences, _, _ = prepare_scans(tree)
    assert len(scans) == whole
    assert {Path(path).name for path in removed.path} >= {"cut.png", "text.png", "empty.png"}
    assert len(removed) == 4 and removed.reason.str.len().gt(0).all()
    assert "4 files were left out" in sentences[0]


def test_missing_empty_and_file_instead_of_folder(tmp_path):
    assert "nowhere" in complaint(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "empty" in complaint(tmp_path / "empty")
    (tmp_path / "scan.png").write_bytes(b"x")
    assert "scan.png" in complaint(tmp_path / "scan.png")


def test_one_class_only(tree):
    for folder in tree.glob("*/*"):
        if folder.name != "glioma":
            shutil.rmtree(folder)
    assert "1 class" in complaint(tree)
    scans = prepare_scans(tree, label_fraction=0).table  # without labels it can still be clustered
    assert (scans.label == -1).all()


def test_unknown_class_folder_is_named(tree):
    (tree / "Training" / "glioma").rename(tree / "Training" / "knee")
    assert "knee" in complaint(tree)


def test_label_fraction_that_leaves_a_class_empty(tree):
    message = complaint(tree, label_fraction=.01)
    assert "less than one labelled slice" in message and "smallest fraction that works" in message


def test_missing_test_split_is_made(tree):
    shutil.rmtree(tree / "Testing")
    scans, _, sentences, _, _ = prepare_scans(tree, test_fraction=.25)
    assert any("no test split" in sentence for sentence in sentences)
    shares = (scans.split == "test").groupby(scans.true_label).mean()
    assert shares.between(.1, .4).all()
    assert not set(scans.group[scans.split == "test"]) & set(scans.group[scans.split == "train"])


def test_labels_from_a_csv(tree, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    rows = [{"path": path.name, "label": path.parent.name,
             "split": path.parents[1].name.removesuffix("ing").lower()}
            for path in tree.rglob("*.png")]
    for path in tree.rglob("*.png"):
        shutil.copy(path, flat / path.name)
    pd.DataFrame(rows).to_csv(flat / "labels.csv", index=False)
    by_tree, by_csv = prepare_scans(tree)[0], prepare_scans(flat)[0]
    columns = ["sha256", "true_label", "split"]
    key = lambda scans: scans[columns].sort_values("sha256", ignore_index=True)
    pd.testing.assert_frame_equal(key(by_tree), key(by_csv))
