"""Invalid and damaged input for brainclust.data.cleaning."""

import numpy as np
import pytest
from assertions import REFUSALS, one_sentence
from PIL import Image

from brainclust.data import cleaning


def test_invalid_preparation_settings_are_refused(tmp_path):
    """Refuse preparation settings that are not valid."""
    rng = np.random.default_rng(0)
    for split, name in (("Training", "glioma"), ("Training", "pituitary"), ("Testing", "glioma"),
                        ("Testing", "pituitary")):
        folder = tmp_path / "scans" / split / name
        folder.mkdir(parents=True)
        for i in range(4):
            Image.fromarray(
                rng.integers(0, 256, (int(rng.integers(8, 99)), int(rng.integers(8, 99)))).astype(
                    np.uint8
                )
            ).save(folder / f"{i}.png")
        Image.fromarray(np.zeros((9, 9), np.uint8)).save(folder / "blank.png")
        (folder / "骨 <b>=1+1.png").write_bytes((folder / "0.png").read_bytes())
        (folder / "cut.png").write_bytes((folder / "0.png").read_bytes()[:70])
    for settings in (dict(label_fraction=7), dict(classes=("a", "A")), dict(classes=()),
                     dict(test_fraction="x", label_fraction=7), dict(labels_per_class=-2)):
        with pytest.raises(REFUSALS) as error:
            cleaning.prepare_scans(tmp_path / "scans", cache_folder=tmp_path / "cache", **settings)
        one_sentence(error.value)
