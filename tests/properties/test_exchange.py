"""Properties of brainclust.data.exchange."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, strategies as st
from PIL import Image
from strategies import THIRD_OF_EXAMPLES, seeds
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

import brainclust
from brainclust.data import exchange
from brainclust.data.slices import read_slice


@pytest.fixture(scope="module")
def scans(phantom_tree, tmp_path_factory) -> pd.DataFrame:
    """A table with a calibration split, hidden labels and rows that are left out."""
    folder = Path(shutil.copytree(phantom_tree, tmp_path_factory.mktemp("exchange") / "scans"))
    next(folder.rglob("*.png")).with_name("broken.png").write_bytes(b"")
    table = brainclust.load_scans(folder, .5, seed=1, left_out=True,
                                  cache=tmp_path_factory.mktemp("cache"))
    held_out = table[(table.label >= 0) & (table.reason == "")].groupby("label").group.first()
    return table.assign(split=table.split.mask(table.group.isin(held_out), "validation"))


@pytest.fixture(scope="module")
def used(scans) -> pd.DataFrame:
    return scans[scans.reason == ""]


@given(truth=st.lists(st.integers(-1, 3), max_size=9), seed=seeds())
def test_classes_of_the_test_set_are_known_and_hidden_ones_are_not(truth, seed):
    rng = np.random.default_rng(seed)
    truth = np.array(truth, int)
    split = rng.choice(["train", "test"], len(truth))
    shown = np.where((split == "train") & (rng.random(len(truth)) < .5), truth, -1)
    table = pd.DataFrame({"split": split, "true_label": truth, "label": shown})
    assert (exchange.class_ids(table) == np.where(split == "test", truth, shown)).all()
    assert (exchange.class_ids(table.drop(columns="true_label")) == shown).all()


def test_names_are_unique_and_do_not_depend_on_the_place(used):
    """Name slices alike wherever the folder lies, and in whatever order they are."""
    names = exchange.export_names(used)
    assert len(set(names)) == len(names) and all(Path(name).name == name for name in names)
    moved = used.assign(path=used.path.str.replace(used.attrs["folder"], "/elsewhere"))
    assert exchange.export_names(moved, "/elsewhere") == names
    order = np.random.default_rng(0).permutation(len(used))
    assert exchange.export_names(used.iloc[order]) == [names[row] for row in order]
    odd = pd.DataFrame({"path": ["/x/=cmd|.png", "/x/ä b.nii.gz", "/x/a/b.png", "/x/a_b.png"]})
    assert len({*exchange.export_names(odd, "/x")}) == 4


def test_a_tree_holds_every_slice_once_as_it_is_read(scans, used, tmp_path):
    """Write the pixels that the library reads, in the folder of set and class."""
    tree = exchange.write_image_folder(scans, tmp_path / "tree")
    files = {path.name: path for path in tree.rglob("*.png")}
    assert sorted(files) == sorted(exchange.export_names(used))
    ids = exchange.class_ids(used)
    for name, row, label in zip(exchange.export_names(used), used.itertuples(), ids):
        place = files[name].parent.relative_to(tree).as_posix()
        assert place == (f"{row.split}/{used.attrs['classes'][label]}" if label >= 0
                         else "unlabelled")
        with Image.open(files[name]) as picture:
            assert picture.mode == "L"
            assert (np.asarray(picture) == read_slice(row.path, row.sha256)).all()
    for split in ("train", "validation", "test"):
        assert len(ImageFolder(tree / split)) == ((used.split == split) & (ids >= 0)).sum()
        assert ImageFolder(tree / split).classes == used.attrs["classes"]


def test_deep_slices_of_volumes_are_scaled_as_they_are_read(tmp_path):
    """Write 16-bit pictures as the 8-bit pixels of `read_slice`, not cut off at 255."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "scans" / name).mkdir(parents=True)
        for number in range(6):
            values = rng.integers(0, 3000, (16, 18)).astype(np.uint16)
            Image.fromarray(values).save(tmp_path / "scans" / name / f"{number}.png")
    scans = brainclust.load_scans(tmp_path / "scans", classes=["a", "b"], cache=tmp_path / "cache")
    tree = exchange.write_image_folder(scans, tmp_path / "tree")
    for path, name in zip(scans.path, exchange.export_names(scans)):
        written = np.asarray(Image.open(next(tree.rglob(name))))
        assert (written == read_slice(path)).all() and len(np.unique(written)) > 100


def test_a_tree_is_whole_or_absent(scans, used, tmp_path):
    """Refuse an existing folder, one among the scans, and a slice that has changed."""
    (tmp_path / "there").mkdir()
    with pytest.raises(ValueError, match="must be a new folder"):
        exchange.write_image_folder(scans, tmp_path / "there")
    with pytest.raises(ValueError, match="outside of the scans"):
        exchange.write_image_folder(scans, Path(scans.attrs["folder"]) / "tree")
    with pytest.raises(ValueError, match="another file"):
        exchange.write_image_folder(used.assign(sha256="0" * 64), tmp_path / "tree")
    with pytest.raises(ValueError, match="'a/b' must be a possible name of a folder"):
        exchange.write_image_folder(used, tmp_path / "tree", ["a/b", "c", "d", "e"])
    with pytest.raises(ValueError, match="classes must name all 4"):
        exchange.write_image_folder(used, tmp_path / "tree", ["c", "d"])
    with pytest.raises(ValueError, match="every slice once"):
        exchange.write_image_folder(pd.concat([used, used]), tmp_path / "tree")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    lacking = used[(used.split != "test") | (used.true_label != 2)]
    with pytest.warns(UserWarning, match="test has no slice of notumor"):
        exchange.write_image_folder(lacking, tmp_path / "tree")


def test_a_dataset_reads_in_processes(used):
    """Return float slices in [0, 1] with their classes, in the order of the table."""
    crop = exchange.SliceDataset(used, CROP)
    loader = DataLoader(crop, batch_size=5, num_workers=2)
    labels = torch.cat([label for _, label in loader])
    assert labels.tolist() == exchange.class_ids(used).tolist() == crop.targets.tolist()
    image, label = pickle.loads(pickle.dumps(exchange.SliceDataset(used)))[3]
    assert image.dtype == torch.float32 and image.shape[0] == 1 and 0 <= image.min()
    assert (image[0] * 255).round().int().numpy().tolist() == read_slice(used.path[3]).tolist()
    with pytest.raises(IndexError):
        crop[len(crop)]
    assert crop.classes == used.attrs["classes"]


class CROP:  # noqa: N801
    """A transform that a process can be sent."""

    def __new__(cls, image):
        return image[:, :16, :16]


def test_a_dataset_of_hugging_face_holds_the_same(scans, used, tmp_path):
    """Keep pixels, classes and sets, and neither paths nor patients."""
    pytest.importorskip("datasets", reason="the extra huggingface is not installed")
    found = exchange.to_dataset_dict(scans, cache_folder=tmp_path)
    assert list(found) == ["train", "validation", "test"]
    for split, part in found.items():
        rows = used[used.split == split]
        assert part["label"][:] == exchange.class_ids(rows).tolist()
        assert part["group"][:] == rows.group.tolist()
        assert (np.asarray(part[1]["image"]) == read_slice(rows.path.iloc[1])).all()
        assert set(part.features) == {"image", "label", "group", "source"}
        assert part.features["label"].names == used.attrs["classes"]
        assert part.with_format("arrow")[0]["image"][0]["path"].as_py() is None


@THIRD_OF_EXAMPLES
@given(sizes=st.lists(st.integers(1, 4), min_size=12, max_size=30), k=st.integers(2, 4),
       seed=seeds())
def test_folds_keep_groups_and_test_every_slice_once(sizes, k, seed):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    labels = (groups % 3) - (groups % 3 == 2) * 3  # a third is unlabelled
    table = pd.DataFrame({"path": [f"{i}.png" for i in range(len(groups))], "split": "train",
                          "label": labels, "group": [f"g{g}" for g in groups]},
                         index=np.arange(len(groups)) + 100)
    folds = exchange.group_folds(table, k, seed % 1000)
    assert len(folds) == k
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(table)))
    for train, test in folds:
        assert len(train) + len(test) == len(table)
        assert not {*groups[train]} & {*groups[test]}
        assert {0, 1} <= {*labels[train]}
    with pytest.raises(ValueError, match="k must be from 2"):
        exchange.group_folds(table, 31)
