"""Invalid and damaged input for brainclust.data.audit."""

from pathlib import Path

from assertions import accepted
from examples import small_files
from hypothesis import given, strategies as st

from brainclust.data import audit


@given(header=st.lists(st.sampled_from(["path", "file", "id", "label", "Label", " label ", "split",
                                        "patient", "sha256", "", "a"]), max_size=5),
       rows=st.lists(st.lists(st.sampled_from(["a", "a.png", "glioma", "train", "", '"', "\x00",
                                               "é", "1,2", "=1+1", "\n"]), max_size=6), max_size=4),
       raw=st.none() | st.binary(max_size=60))
def test_any_label_file_places_images(header, rows, raw, tmp_path):
    """Place images by any label file, or refuse it in one sentence."""
    text = "\n".join([",".join(header), *map(",".join, rows)])
    (tmp_path / "labels.csv").write_bytes(raw if raw is not None else text.encode())
    (tmp_path / "a.png").write_bytes(small_files()[".png"])
    placed = accepted(audit.place_by_csv, tmp_path, [Path("a.png")], refuses=(ValueError,))
    assert (placed is None) or list(placed["file"]) == [Path("a.png")]
