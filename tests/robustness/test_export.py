"""Invalid and damaged input for brainclust.runs.export."""

from types import SimpleNamespace

import numpy as np
import torch
from assertions import refused
from examples import small_predictor
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, slice_images

from brainclust.runs import export


@FIFTH_OF_EXAMPLES
@given(slices=st.lists(slice_images(), min_size=1, max_size=3))
def test_exported_runs_refuse_invalid_slices(slices):
    """Refuse batches that are not uint8 slices of the run's size."""
    predictor = small_predictor()
    module = export.network_of_run(predictor).eval()

    def run(names, fed):
        with torch.no_grad():
            return [part.numpy() for part in module(torch.from_numpy(np.array(fed["slices"])))]

    exported = export.ExportedRun(
        SimpleNamespace(run=run),
        {"classes": list(predictor.classes_), "image_size": 32, "preparation": predictor.settings},
    )
    valid = np.zeros((1, 32, 32), np.uint8)
    for wrong in (valid[:0], valid[0], valid[:, None], valid.astype(float), valid.tolist(), None,
                  "x"):
        refused(exported.outputs, wrong)
    for wrong in (None, [valid], ["x"], [slices[0] / 255]):
        refused(exported.predict, wrong)


def test_files_that_are_not_exported_runs_are_refused(tmp_path):
    """Refuse folders, missing files and text."""
    (tmp_path / "text.onnx").write_text("<b>")
    for file in (tmp_path, tmp_path / "absent.onnx", tmp_path / "text.onnx"):
        refused(export.load_exported, file, kinds=(ValueError, ImportError))
