"""Invalid and damaged input for brainclust.data.duplicates."""

import numpy as np
import pytest
from assertions import one_sentence

from brainclust.data import duplicates


@pytest.mark.parametrize("threshold", [0, 1, -1, 2, np.nan])
def test_a_threshold_that_is_not_a_correlation_is_refused(threshold):
    """Refuse thresholds that are not between 0 and 1."""
    with pytest.raises(ValueError, match="must be a correlation between 0 and 1") as error:
        duplicates.near_duplicate_pairs(np.zeros((2, 32, 32)), threshold)
    one_sentence(error.value)
