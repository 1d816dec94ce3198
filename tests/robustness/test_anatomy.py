"""Invalid and damaged input for brainclust.synthetic.anatomy."""

import numpy as np

from brainclust.synthetic import anatomy as anatomy_module


def test_a_damaged_atlas_is_measured_again(tmp_path, monkeypatch):
    """Cache the atlas, and measure it again when the cache is damaged."""
    atlas = anatomy_module.measure_atlas()
    calls = []
    monkeypatch.setenv("BRAINCLUST_CACHE", str(tmp_path))
    monkeypatch.setattr(anatomy_module, "measure_atlas", lambda: calls.append(1) or atlas)

    def loaded() -> int:
        for name, volume in vars(anatomy_module.load_atlas.__wrapped__()).items():
            assert volume.dtype == getattr(atlas, name).dtype and np.array_equal(
                volume, getattr(atlas, name)
            )
        return len(calls)

    assert [loaded(), loaded()] == [1, 1]
    (kept,) = (tmp_path / "measured").glob("atlas-*.parquet")
    with open(kept, "r+b") as file:
        file.seek(10**6)
        file.write(b"rubbish")
    assert [loaded(), loaded()] == [2, 2]
