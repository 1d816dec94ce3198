"""Invalid and damaged input for brainclust.data.cheng."""

import numpy as np
import pytest
from assertions import accepted
from test_formats import cheng_bytes

from brainclust.data import images as images_module, slices as slices_module


@pytest.mark.parametrize("patient", ["", "\ud800", "a\nb", "骨", "x" * 300])
def test_patient_names_of_matlab_files_are_printable(patient):
    """Keep printable patient names of at most 256 characters, and refuse others."""
    content = cheng_bytes(np.arange(400, dtype=np.int16).reshape(20, 20), np.zeros((20, 20)),
                          patient or "0")
    decoded = accepted(slices_module.decode_slice, content, ".mat",
                       refuses=(images_module.UnreadableSlice,))
    assert (decoded is None) == (len(patient) > 256 or not patient.isprintable())
    if decoded is not None:
        decoded.facts["patient"].encode()
