"""Invalid and damaged input for brainclust.app.source_check and for lists of labels."""
import pandas as pd
import pytest
from assertions import refused
from examples import UNLIKELY_NAMES, stub_workbench

from brainclust.analysis.recalibration import check_source_name
from brainclust.app import annotation, source_check, workbench
from brainclust.core.files import save_json


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"contents": 3}'])
def test_a_damaged_list_of_unclear_slices_is_named(tmp_path, content):
    """Show the slices again, and tell why."""
    file = tmp_path / "cannot_tell.json"
    file.write_bytes(content)
    sample = source_check.Sample(pd.DataFrame({"sha256": ["0"]}), [], file)
    assert sample.unclear == set() and "is damaged" in sample.notes[0]
    save_json(file, {"contents": 3})
    assert "is damaged" in source_check.Sample(sample.table, [], file).notes[0]


def test_links_are_refused(tmp_path):
    """Refuse to write where a link may lead anywhere."""
    (tmp_path / "sources").symlink_to(tmp_path)
    refused(workbench.refuse_links, [tmp_path / "sources"])
    workbench.refuse_links([tmp_path, tmp_path / "absent"])


def test_another_query_is_refused(tmp_path):
    """Refuse a query strategy that does not exist, given or read."""
    file = tmp_path / "labels.csv"
    refused(annotation.give_label, file, "a.png", "0", "glioma", "anna", UNLIKELY_NAMES, "best")
    assert not file.exists()
    annotation.give_label(file, "a.png", "0", "glioma", "anna", UNLIKELY_NAMES, "random")
    file.write_text(file.read_text().replace("random", "best"))
    refused(annotation.read_labels, file, UNLIKELY_NAMES)


@pytest.mark.parametrize("name", ["骨", "a" * 200, "..", "_", "x.json", "a/b", "  ", "clinic (2)"])
def test_any_folder_suggests_a_name_of_a_source(tmp_path, name):
    """Suggest a name that a source can have."""
    bench = stub_workbench(1, True, 0)
    bench.data = tmp_path / name
    assert check_source_name(source_check.suggested_name(bench))


def test_nothing_is_named_before_a_check_was_begun():
    """Drop labels without a sample, and show nothing."""
    bench = stub_workbench(3, True, 0)
    bench.check = None
    source_check.name_slice(bench, "0", "anna", bench.predictor.classes_[0])
    assert source_check.next_sampled(bench, "anna") is None
    assert source_check.check_outcome(bench) is None and bench.labels() == {}
    assert source_check.check_progress(bench) == (0, 0)


def test_a_damaged_list_of_labels_is_named(tmp_path):
    """Tell that a training does not continue because its list of labels is damaged."""
    file = tmp_path / "001-labels.json"
    assert workbench._damaged_list(tmp_path) == ""
    save_json(file, {"labels": {"a": "glioma"}})
    assert workbench._damaged_list(tmp_path) == ""
    assert workbench._label_count(file) == (1, "")
    file.write_text(file.read_text().replace("glioma", "cyst"))
    assert "001-labels.json" in workbench._damaged_list(tmp_path)
    count, note = workbench._label_count(file)
    assert "unknown" in count and "is damaged" in note
    (tmp_path / "001").mkdir()
    (tmp_path / "001" / "run.json").touch()
    assert workbench._damaged_list(tmp_path) == ""  # it has finished
