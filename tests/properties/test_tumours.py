"""Properties of brainclust.synthetic.tumours."""

import numpy as np
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from strategies import LAYOUTS, seeds, with_layout

from brainclust.synthetic import anatomy as anatomy_module, tumours


@given(x=hnp.arrays(np.float32, st.tuples(st.integers(0, 6), st.integers(1, 5), st.just(3)),
                    elements=st.floats(-150, 150, width=32)), seed=seeds(),
       how=st.sampled_from(LAYOUTS))
def test_tumour_geometry_is_finite(x, seed, how):
    """Return finite distances, displacements and surfaces of every kind of tumour."""
    rng = np.random.default_rng(seed)
    atlas = anatomy_module.load_atlas()
    x = with_layout(x, how)
    white, grey, fluid, brain = anatomy_module.tissue_fractions(atlas, x)
    for name in ("glioma", "meningioma", "pituitary"):
        tumour = tumours.draw_tumour(rng, atlas, name)
        assert np.isfinite(tumours.tumour_distance(tumour, x)).all()
        assert np.isfinite(tumours.push_aside(tumour, x)).all()
        surface = tumours.tumour_surface(tumour, x, anatomy_module.skull_depth(atlas, x), brain)
        assert surface.shape == x.shape[:-1]
        assert np.isfinite(surface).all()
