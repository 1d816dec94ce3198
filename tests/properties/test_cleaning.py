"""Properties of brainclust.data.cleaning."""

import numpy as np
import pandas as pd
import pytest
from assertions import time_limit
from examples import find_test_pairs, shuffled
from hypothesis import given, strategies as st
from PIL import Image
from strategies import THIRD_OF_EXAMPLES, scan_tables, seeds, slice_images

from brainclust.data import cleaning, duplicates


@THIRD_OF_EXAMPLES
@given(table=scan_tables(min_slices=0), seed=seeds())
def test_every_slice_is_kept_or_removed_with_a_reason(table, seed):
    """Keep varied slices and remove the others with a reason."""
    pairs = find_test_pairs(table, seed)
    kept, removed = cleaning.clean_scan_table(table, pairs=pairs)
    assert sorted([*kept["path"], *removed["path"]]) == sorted(table["path"])
    assert (kept["grey_std"] >= 5).all()
    assert removed["reason"].str.len().gt(9).all()


@THIRD_OF_EXAMPLES
@given(table=scan_tables(min_slices=0), seed=seeds())
def test_kept_slices_are_unique(table, seed):
    """Keep different slices, and name the slice that a removed one duplicates."""
    pairs = find_test_pairs(table, seed)
    kept, removed = cleaning.clean_scan_table(table, pairs=pairs)
    assert set(removed["duplicate_of"]) <= {"", *kept["path"]} | set(removed["path"])
    assert kept["pixels_sha256"].is_unique
    assert list(kept.index) == list(range(len(kept)))


@THIRD_OF_EXAMPLES
@given(table=scan_tables(min_slices=0), seed=seeds())
def test_cleaning_ignores_the_order_of_rows(table, seed):
    """Keep and remove the same slices in any order."""
    pairs = find_test_pairs(table, seed)
    kept, removed = cleaning.clean_scan_table(table, pairs=pairs)
    again, gone = cleaning.clean_scan_table(shuffled(table, seed), pairs=pairs)
    by = lambda t: t.sort_values("path", ignore_index=True)
    pd.testing.assert_frame_equal(by(again), by(kept))
    pd.testing.assert_frame_equal(by(gone), by(removed))


@THIRD_OF_EXAMPLES
@given(table=scan_tables(min_slices=0), seed=seeds())
def test_cleaning_ignores_the_index(table, seed):
    """Keep the same slices for an index that repeats."""
    pairs = find_test_pairs(table, seed)
    kept, removed = cleaning.clean_scan_table(table, pairs=pairs)
    # as two tables laid together
    repeated = cleaning.clean_scan_table(table.set_axis([0] * len(table)), pairs=pairs)
    pd.testing.assert_frame_equal(repeated[0], kept)


@THIRD_OF_EXAMPLES
@given(table=scan_tables(min_slices=0), seed=seeds())
def test_removed_slices_are_duplicates_or_disputed(table, seed):
    """Remove exactly the blank, duplicate and disputed slices."""
    pairs = find_test_pairs(table, seed)
    kept, removed = cleaning.clean_scan_table(table, pairs=pairs)
    usable = table[table["grey_std"] >= 5]
    verdicts = pd.concat([cleaning.find_exact_duplicates(usable),
                          cleaning.find_disputed(usable, pairs)])
    assert set(table.loc[verdicts.index,
                         "path"]) == set(removed.loc[~removed["reason"].str.startswith("blank"),
                                                     "path"])


@THIRD_OF_EXAMPLES
@given(table=scan_tables(min_slices=0), seed=seeds())
def test_a_removal_report_counts_removed_slices(table, seed):
    """Count every removed slice under a short reason."""
    pairs = find_test_pairs(table, seed)
    kept, removed = cleaning.clean_scan_table(table, pairs=pairs)
    counts = cleaning.removal_report(removed)
    assert counts["slices"].sum() == len(removed)
    assert not counts["reason"].str.contains(":").any()


@THIRD_OF_EXAMPLES
@given(table=scan_tables(min_slices=0), seed=seeds())
def test_a_preparation_is_described_in_lines(table, seed):
    """Describe the preparation in single lines."""
    pairs = find_test_pairs(table, seed)
    kept, removed = cleaning.clean_scan_table(table, pairs=pairs)
    sentences = cleaning.describe_preparation(removed, kept, 0.2, 0)
    assert all("\n" not in s for s in sentences)


@THIRD_OF_EXAMPLES
@given(table=scan_tables(min_slices=0), seed=seeds())
def test_conflicts_are_pairs_of_different_classes(table, seed):
    """List pairs of two different classes by their correlation."""
    pairs = find_test_pairs(table, seed)
    fought = cleaning.conflicts(table, pairs)
    assert (fought["class_a"] != fought["class_b"]).all()
    assert (fought["class_a"] != "").all()
    assert fought["score"].is_monotonic_decreasing


@given(table=scan_tables())
def test_all_but_one_duplicate_is_judged(table):
    """Keep one of the duplicates that agree, and at most one that disagrees."""
    exact = table.assign(picture=pd.factorize(table["pixels_sha256"])[0]).reset_index(drop=True)
    own = exact[exact["picture"] == 0]
    assert len(cleaning.judge_agreed(own)) == len(own) - 1
    assert len(cleaning.judge_conflict(own)) >= len(own) - 1


@pytest.mark.parametrize("n, count", [(3_000, 2), (10_000, 10_000)])
def test_thousands_of_duplicates_are_removed_in_seconds(n, count):
    """Keep one slice of every picture, in the test set, within two minutes."""
    content = [f"{i // count:064x}" for i in range(n)]
    table = pd.DataFrame({"path": [f"{i}.png" for i in range(n)], "label": 0,
                          "class_name": "glioma", "split": ["train", "test"] * (n // 2),
                          "group": "", "sha256": content, "pixels_sha256": content,
                          "grey_std": 40.0})
    small = np.repeat(np.random.default_rng(0).integers(0, 256, (n // count, 32, 32)), count,
                      axis=0).astype(np.float16)
    with time_limit(120):
        pairs = duplicates.duplicate_pairs(table, small)
        kept, removed = cleaning.clean_scan_table(table, pairs=pairs)
        assert len(kept) == n // count
        assert (kept["split"] == "test").all()


@given(
    numbers=st.lists(
        st.integers(0, 400)
        | st.sampled_from(["x", "1e5", "inf", "nan", "-3", "٣", "9" * 30, "1_0"]),
        min_size=1,
        max_size=40,
        unique=True,
    ),
    classes=st.integers(1, 3),
)
def test_file_numbers_are_floats(numbers, classes):
    """Read the number of every file name, NaN where there is none."""
    n = len(numbers)
    table = pd.DataFrame({"path": [f"/a/{number}.png" for number in numbers],
                          "label": np.arange(n) % classes, "class_name": "x", "split": "train",
                          "group": ""})
    found = cleaning.file_numbers(table["path"])
    assert found.shape == (n,)
    assert found.dtype == float


@given(
    numbers=st.lists(
        st.integers(0, 400)
        | st.sampled_from(["x", "1e5", "inf", "nan", "-3", "٣", "9" * 30, "1_0"]),
        min_size=1,
        max_size=40,
        unique=True,
    ),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 99),
    classes=st.integers(1, 3),
)
def test_a_numbered_split_is_one_run_per_class(numbers, fraction, seed, classes):
    """Hold out one run of consecutive numbers per class."""
    n = len(numbers)
    table = pd.DataFrame({"path": [f"/a/{number}.png" for number in numbers],
                          "label": np.arange(n) % classes, "class_name": "x", "split": "train",
                          "group": ""})
    found = cleaning.file_numbers(table["path"])
    if not cleaning.are_numbered(table): return
    split = cleaning.split_by_number(table, fraction, seed)
    assert set(split["split"]) <= {"train", "test"}
    for _, rows in split.groupby("label"):
        order = rows.assign(number=found[rows.index]).sort_values("number")["split"] == "test"
        assert (order.astype(int).diff().fillna(0) != 0).sum() <= 2  # one run
        assert (rows["split"] == "train").any()


@given(
    numbers=st.lists(
        st.integers(0, 400)
        | st.sampled_from(["x", "1e5", "inf", "nan", "-3", "٣", "9" * 30, "1_0"]),
        min_size=1,
        max_size=40,
        unique=True,
    ),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 99),
    classes=st.integers(1, 3),
)
def test_slices_beside_the_test_set_are_not_in_it(numbers, fraction, seed, classes):
    """Mark neighbours of the test set that are not in it."""
    n = len(numbers)
    table = pd.DataFrame({"path": [f"/a/{number}.png" for number in numbers],
                          "label": np.arange(n) % classes, "class_name": "x", "split": "train",
                          "group": ""})
    if not cleaning.are_numbered(table): return
    split = cleaning.split_by_number(table, fraction, seed)
    neighbours = cleaning.beside_test(split)
    assert neighbours.shape == (n,)
    assert neighbours.dtype == bool
    assert not neighbours[(split["split"] == "test").to_numpy()].any()


@given(
    numbers=st.lists(
        st.integers(0, 400)
        | st.sampled_from(["x", "1e5", "inf", "nan", "-3", "٣", "9" * 30, "1_0"]),
        min_size=1,
        max_size=40,
        unique=True,
    ),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 99),
    classes=st.integers(1, 3),
)
def test_estimated_patients_have_few_slices(numbers, fraction, seed, classes):
    """Join at most the documented number of slices to an estimated patient."""
    n = len(numbers)
    table = pd.DataFrame({"path": [f"/a/{number}.png" for number in numbers],
                          "label": np.arange(n) % classes, "class_name": "x", "split": "train",
                          "group": ""})
    if not cleaning.are_numbered(table): return
    split = cleaning.split_by_number(table, fraction, seed)
    patients = cleaning.estimated_patients(split)
    assert patients.groupby(patients).size().max() <= cleaning.PATIENT_SLICES
    assert list(patients.index) == list(split.index)


@given(
    numbers=st.lists(
        st.integers(0, 400)
        | st.sampled_from(["x", "1e5", "inf", "nan", "-3", "٣", "9" * 30, "1_0"]),
        min_size=1,
        max_size=40,
        unique=True,
    ),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 99),
    classes=st.integers(1, 3),
)
def test_numbered_scans_divide_no_patient(numbers, fraction, seed, classes):
    """Divide numbered scans without dividing a patient, and give reasons."""
    n = len(numbers)
    table = pd.DataFrame({"path": [f"/a/{number}.png" for number in numbers],
                          "label": np.arange(n) % classes, "class_name": "x", "split": "train",
                          "group": ""})
    if not cleaning.are_numbered(table): return
    none = pd.DataFrame({"path_a": [], "path_b": [], "kind": [], "score": [], "orientation": []},
                        dtype=str)
    parted, left, sentences = cleaning.split_numbered_scans(table, none, fraction, seed)
    assert len(parted) + len(left) == n
    assert len(sentences) == 2
    assert left["reason"].str.len().gt(0).all()
    assert not set(parted["patient"][parted["split"] == "test"]) & set(
        parted["patient"][parted["split"] == "train"]
    )


@given(images=st.lists(slice_images(min_side=8, max_side=40), min_size=1, max_size=5))
def test_pairs_are_found_again_in_the_cache(images, tmp_path):
    """Find the same exact pairs, measured or cached."""
    for i, image in enumerate(images):
        Image.fromarray(np.ascontiguousarray(image)).save(tmp_path / f"{i}.png")
    table = pd.DataFrame({"path": [str(tmp_path / f"{i}.png") for i in range(len(images))],
                          "label": 0, "sha256": [f"{i}" for i in range(len(images))]})
    measured, small = duplicates.measure_slices(table)
    for _ in range(2):
        known, pairs = cleaning.find_pairs(table.assign(sha256=measured["pixels_sha256"]), 1,
                                           tmp_path / "cache")
        assert (known["grey_std"] == measured["grey_std"]).all()
        equal = [(a, b) for b in range(len(images)) for a in range(b)
                 if measured["pixels_sha256"][a] == measured["pixels_sha256"][b]
                 and images[a].std() >= 5]
        assert (pairs["kind"] != "near").sum() == len(equal)


def test_a_folder_with_damaged_scans_is_prepared(tmp_path):
    """Keep the readable, varied and unique scans and hide test labels."""
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
    prepared = cleaning.prepare_scans(tmp_path / "scans", label_fraction=0.5,
                                      cache_folder=tmp_path / "cache")
    assert len(prepared.table) == 16
    assert len(prepared.left_out) == 12
    assert (prepared.table["label"][prepared.table["split"] == "test"] == -1).all()


def test_scans_with_masks_are_prepared(tmp_path):
    """Prepare scans with a mask each."""
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
    masked = tmp_path / "masked"
    for part in ("images", "masks"):
        (masked / part).mkdir(parents=True)
    for i in range(8):
        image = rng.integers(0, 256, (20 + i, 20)).astype(np.uint8)
        Image.fromarray(image).save(masked / f"images/p{i}.png")
        Image.fromarray((image > 200).astype(np.uint8)).save(masked / f"masks/p{i}.png")
    (masked / "labels.csv").write_text(
        "path,label,patient\n"
        + "".join(f"images/p{i}.png,{('glioma', 'pituitary')[i % 2]},p{i}\n" for i in range(8))
    )
    scans, classes = cleaning.prepare_masked_scans(masked, label_fraction=1, test_fraction=0.5,
                                                   cache_folder=tmp_path / "cache")
    assert classes == ("glioma", "pituitary")
    assert (scans.table["mask"] != "").all()
    assert len(cleaning.read_masked(masked, None, classes, workers=1, cache_folder=None)[0]) == 8
