"""Invalid and damaged input for brainclust.data.labels."""

from pathlib import Path

import pytest
from assertions import accepted, one_sentence, time_limit
from examples import MANY_CLASSES, small_files
from hypothesis import given, strategies as st

from brainclust.core.config import CLASSES
from brainclust.data import labels as labels_module


def test_an_unknown_folder_among_ten_thousand_classes_is_named(tmp_path):
    """Name the folder that is not a class."""
    with time_limit(120):
        files = [Path(f"Training/{name}/a.png") for name in MANY_CLASSES]
        (tmp_path / "labels.csv").write_text(
            "file,label\n" + "".join(f"{name}.png,{name}\n" for name in MANY_CLASSES)
        )
        with pytest.raises(ValueError, match="knee") as error:
            labels_module.labels_from_tree([*files, Path("Training/knee/a.png")], MANY_CLASSES,
                                           tmp_path)
        one_sentence(error.value)


@given(header=st.lists(st.sampled_from(["path", "file", "id", "label", "Label", " label ", "split",
                                        "patient", "sha256", "", "a"]), max_size=5),
       rows=st.lists(st.lists(st.sampled_from(["a", "a.png", "glioma", "train", "", '"', "\x00",
                                               "é", "1,2", "=1+1", "\n"]), max_size=6), max_size=4),
       raw=st.none() | st.binary(max_size=60))
def test_any_label_file_is_read_or_refused(header, rows, raw, tmp_path):
    """Read a label file with its columns and rows, or refuse it in one sentence."""
    text = "\n".join([",".join(header), *map(",".join, rows)])
    (tmp_path / "labels.csv").write_bytes(raw if raw is not None else text.encode())
    (tmp_path / "a.png").write_bytes(small_files()[".png"])
    found = accepted(labels_module.read_csv_rows, tmp_path / "labels.csv", refuses=(ValueError,))
    if found is not None:
        assert {"file", "label"} <= set(found)
        assert found.columns.is_unique
        assert len(found)


@given(header=st.lists(st.sampled_from(["path", "file", "id", "label", "Label", " label ", "split",
                                        "patient", "sha256", "", "a"]), max_size=5),
       rows=st.lists(st.lists(st.sampled_from(["a", "a.png", "glioma", "train", "", '"', "\x00",
                                               "é", "1,2", "=1+1", "\n"]), max_size=6), max_size=4),
       raw=st.none() | st.binary(max_size=60))
def test_labels_of_any_file_are_known_classes(header, rows, raw, tmp_path):
    """Take only known classes and splits from a label file."""
    text = "\n".join([",".join(header), *map(",".join, rows)])
    (tmp_path / "labels.csv").write_bytes(raw if raw is not None else text.encode())
    (tmp_path / "a.png").write_bytes(small_files()[".png"])
    table = accepted(labels_module.labels_from_csv, [Path("a.png")], CLASSES, tmp_path,
                     refuses=(ValueError,))
    if table is not None:
        assert set(table["class_name"]) <= {*CLASSES, ""}
        assert set(table["split"]) <= {"train", "test"}
