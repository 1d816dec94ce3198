"""Invalid and damaged input for brainclust.synthetic.tumours."""

import numpy as np
import pytest
from hypothesis import given
from strategies import seeds

from brainclust.synthetic import anatomy as anatomy_module, tumours


@given(seed=seeds())
def test_a_tumour_of_another_class_is_refused(seed):
    """Refuse a class without a tumour and list the others."""
    rng = np.random.default_rng(seed)
    atlas = anatomy_module.load_atlas()
    with pytest.raises(ValueError, match="class_name must be glioma, meningioma or pituitary"):
        tumours.draw_tumour(rng, atlas, "knee")
