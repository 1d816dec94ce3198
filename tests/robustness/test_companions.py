"""Invalid and damaged input for brainclust.models.companions."""

import pytest
from hypothesis import given, strategies as st
from strategies import TENTH_OF_EXAMPLES

from brainclust.training import supervised


@TENTH_OF_EXAMPLES
@given(n_classes=st.integers(1, 5))
def test_an_unknown_companion_is_refused(n_classes):
    """Raise KeyError for a companion that does not exist."""
    with pytest.raises(KeyError):
        supervised.make_companion("c", n_classes)
