"""Invalid and damaged input for brainclust.synthetic.phantoms."""

import numpy as np
import pytest
from assertions import one_sentence

from brainclust.synthetic import phantoms


@pytest.mark.parametrize("settings", [dict(patients_per_class=0), dict(image_size=8),
                                      dict(test_fraction=1.0), dict(slices_per_patient=0),
                                      dict(test_fraction=np.nan)], ids=str)
def test_invalid_phantom_settings_are_refused(settings):
    """Refuse phantom settings that are not valid."""
    with pytest.raises(ValueError) as error:
        phantoms.make_phantoms(**{"patients_per_class": 1, "slices_per_patient": 1,
                                  "image_size": 32, **settings})
    one_sentence(error.value)
