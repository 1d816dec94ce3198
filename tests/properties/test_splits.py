"""Properties of brainclust.data.splits."""

import numpy as np
import pandas as pd
import pytest
from assertions import accepted, time_limit
from examples import MANY_CLASSES, find_test_pairs, shuffled
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from strategies import THIRD_OF_EXAMPLES, scan_tables, seeds

from brainclust.data import cleaning, duplicates, splits as splits_module


@THIRD_OF_EXAMPLES
@given(table=scan_tables(min_slices=0), seed=seeds())
def test_groups_of_kept_slices_are_complete(table, seed):
    """Give every kept slice a group, a patient and a clean mark."""
    pairs = find_test_pairs(table, seed)
    kept, removed = cleaning.clean_scan_table(table, pairs=pairs)
    if len(kept):
        grouped = splits_module.group_kept(table, kept, removed, pairs)
        assert grouped["group"].notna().all()
        assert grouped["clean"].dtype == bool
        assert (grouped["patient"] == kept["group"].to_numpy()).all()


@THIRD_OF_EXAMPLES
@given(table=scan_tables(min_slices=0), seed=seeds())
def test_leak_counts_are_at_most_the_test_slices(table, seed):
    """Count at most all test slices of a class as unclean."""
    pairs = find_test_pairs(table, seed)
    kept, removed = cleaning.clean_scan_table(table, pairs=pairs)
    if len(kept):
        grouped = splits_module.group_kept(table, kept, removed, pairs)
        leaks = splits_module.leak_counts(grouped, removed)
        assert leaks["test"].sum() == (kept["split"] == "test").sum()
        assert (leaks["unclean"] <= leaks["test"]).all()


@given(n=st.integers(0, 20), seed=seeds(),
       patients=st.sampled_from([None, "unknown", "one", "some"]))
def test_duplicate_groups_join_pairs(n, seed, patients):
    """Give both slices of a pair the same group."""
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, n, (rng.integers(0, 9), 2)) if n else np.zeros((0, 2), int)
    names = {None: None, "unknown": [""] * n, "one": ["p"] * n,
             "some": [f"p{i}" if i else "" for i in rng.integers(0, 4, n)]}[patients]
    groups = splits_module.duplicate_groups(pairs, n, names)
    assert groups.shape == (n,)
    assert (groups[pairs[:, 0]] == groups[pairs[:, 1]]).all()


@given(n=st.integers(0, 20), seed=seeds(),
       patients=st.sampled_from([None, "unknown", "one", "some"]))
def test_duplicate_groups_are_numbered_in_order(n, seed, patients):
    """Number groups from zero without gaps."""
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, n, (rng.integers(0, 9), 2)) if n else np.zeros((0, 2), int)
    names = {None: None, "unknown": [""] * n, "one": ["p"] * n,
             "some": [f"p{i}" if i else "" for i in rng.integers(0, 4, n)]}[patients]
    groups = splits_module.duplicate_groups(pairs, n, names)
    if n:
        assert groups[0] == 0
        assert set(groups) == set(range(groups.max() + 1))


@given(n=st.integers(0, 20), seed=seeds(),
       patients=st.sampled_from([None, "unknown", "one", "some"]))
def test_slices_of_one_patient_are_one_group(n, seed, patients):
    """Join the slices of one patient."""
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, n, (rng.integers(0, 9), 2)) if n else np.zeros((0, 2), int)
    names = {None: None, "unknown": [""] * n, "one": ["p"] * n,
             "some": [f"p{i}" if i else "" for i in rng.integers(0, 4, n)]}[patients]
    groups = splits_module.duplicate_groups(pairs, n, names)
    if patients == "one":
        assert len(set(groups)) <= 1


@given(n=st.integers(0, 20), seed=seeds(),
       patients=st.sampled_from([None, "unknown", "one", "some"]))
def test_slices_without_pairs_are_groups_of_one(n, seed, patients):
    """Give every slice its own group without pairs and patients."""
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, n, (rng.integers(0, 9), 2)) if n else np.zeros((0, 2), int)
    names = {None: None, "unknown": [""] * n, "one": ["p"] * n,
             "some": [f"p{i}" if i else "" for i in rng.integers(0, 4, n)]}[patients]
    groups = splits_module.duplicate_groups(pairs, n, names)
    if patients in (None, "unknown") and not len(pairs):
        assert len(set(groups)) == n


@given(table=scan_tables(), unknown=st.sampled_from(["", np.nan, None]))
def test_slices_without_a_group_stand_alone(table, unknown):
    """Use the path as the key of a slice without a group."""
    table["group"] = pd.Series([unknown if g == "" else g for g in table["group"]],
                               index=table.index, dtype=object)
    keys = splits_module.group_keys(table)
    alone = table["group"].isna() | (table["group"] == "")
    assert keys.notna().all()
    assert (keys[alone] == table["path"][alone]).all()


@given(table=scan_tables(), unknown=st.sampled_from(["", np.nan, None]))
def test_slices_without_a_group_are_clean(table, unknown):
    """Mark slices without a group as clean."""
    table["group"] = pd.Series([unknown if g == "" else g for g in table["group"]],
                               index=table.index, dtype=object)
    alone = table["group"].isna() | (table["group"] == "")
    clean = splits_module.mark_clean(table)["clean"]
    assert clean[alone].all()
    assert clean.dtype == bool


@given(table=scan_tables(), seed=seeds(), unknown=st.sampled_from(["", np.nan, None]))
def test_the_clean_mark_ignores_the_order_of_rows(table, seed, unknown):
    """Mark the same slices as clean in any order."""
    table["group"] = pd.Series([unknown if g == "" else g for g in table["group"]],
                               index=table.index, dtype=object)
    clean = splits_module.mark_clean(table)["clean"]
    shuffle = shuffled(table, seed)
    pd.testing.assert_series_equal(splits_module.mark_clean(shuffle)["clean"].sort_index(), clean)


@given(table=scan_tables(), seed=seeds(), unknown=st.sampled_from(["", np.nan, None]))
def test_added_groups_are_numbered(table, seed, unknown):
    """Name groups by five digits."""
    table["group"] = pd.Series([unknown if g == "" else g for g in table["group"]],
                               index=table.index, dtype=object)
    grouped = splits_module.add_groups(table, find_test_pairs(table, seed))
    assert grouped["group"].str.fullmatch("g[0-9]{5}").all()


@given(table=scan_tables(), fraction=st.floats(0.01, 0.99), seed=st.integers(0, 99))
def test_a_split_has_a_test_set(table, fraction, seed):
    """Divide slices into a training and a test set that is not empty."""
    split = accepted(splits_module.split_table, table, fraction, seed, refuses=(ValueError,))
    if split is None: return
    assert set(split["split"]) <= {"train", "test"}
    assert (split["split"] == "test").any()


@given(table=scan_tables(), fraction=st.floats(0.01, 0.99), seed=st.integers(0, 99))
def test_a_split_divides_no_group(table, fraction, seed):
    """Divide no group, and leave a given split alone."""
    split = accepted(splits_module.split_table, table, fraction, seed, refuses=(ValueError,))
    if split is None: return
    keys = splits_module.group_keys(split)
    if not (table["split"] == "test").any():
        assert split["split"].groupby(keys).nunique().eq(1).all()
        assert split["clean"].all()
    else:
        pd.testing.assert_series_equal(split["split"], table["split"])


@given(table=scan_tables(), fraction=st.floats(0.01, 0.99), seed=st.integers(0, 99),
       per_class=st.sampled_from([0, 0, 1, 2]))
def test_test_labels_are_hidden(table, fraction, seed, per_class):
    """Hide the label and class name of every test slice."""
    split = accepted(splits_module.split_table, table, fraction, seed, refuses=(ValueError,))
    if split is None: return
    hidden = accepted(splits_module.hide_labels, split, fraction, seed, per_class,
                      refuses=(ValueError,))
    if hidden is None: return
    test = hidden["split"] == "test"
    assert (hidden["label"][test] == -1).all()
    assert (hidden["class_name"][test] == "").all()


@given(table=scan_tables(), fraction=st.floats(0.01, 0.99), seed=st.integers(0, 99),
       per_class=st.sampled_from([0, 0, 1, 2]))
def test_hidden_labels_keep_the_truth(table, fraction, seed, per_class):
    """Keep the truth beside, and the shown labels unchanged."""
    split = accepted(splits_module.split_table, table, fraction, seed, refuses=(ValueError,))
    if split is None: return
    hidden = accepted(splits_module.hide_labels, split, fraction, seed, per_class,
                      refuses=(ValueError,))
    if hidden is None: return
    shown = hidden["label"] >= 0
    pd.testing.assert_series_equal(hidden["true_label"], table["label"], check_names=False)
    assert (hidden["label"][shown] == table["label"][shown]).all()
    assert (hidden["class_name"][shown] == table["class_name"][shown]).all()


@given(table=scan_tables(), fraction=st.floats(0.01, 0.99), seed=st.integers(0, 99),
       per_class=st.sampled_from([0, 0, 1, 2]))
def test_every_class_keeps_a_label(table, fraction, seed, per_class):
    """Keep at least one label of every training class."""
    split = accepted(splits_module.split_table, table, fraction, seed, refuses=(ValueError,))
    if split is None: return
    hidden = accepted(splits_module.hide_labels, split, fraction, seed, per_class,
                      refuses=(ValueError,))
    if hidden is None: return
    shown = hidden["label"] >= 0
    train = table[(split["split"] == "train") & (table["label"] >= 0)]
    # a class without any label would be lost
    assert set(hidden["label"][shown]) == set(train["label"])


@given(table=scan_tables(), fraction=st.floats(0.01, 0.99), seed=st.integers(0, 99),
       per_class=st.sampled_from([0, 0, 1, 2]))
def test_shown_labels_are_whole_groups(table, fraction, seed, per_class):
    """Show whole groups, or the asked number of labels per class."""
    split = accepted(splits_module.split_table, table, fraction, seed, refuses=(ValueError,))
    if split is None: return
    keys = splits_module.group_keys(split)
    hidden = accepted(splits_module.hide_labels, split, fraction, seed, per_class,
                      refuses=(ValueError,))
    if hidden is None: return
    test = hidden["split"] == "test"
    shown = hidden["label"] >= 0
    if per_class:
        assert (hidden["label"][shown].value_counts() == per_class).all()
        assert keys[shown].groupby(hidden["label"]).nunique().eq(per_class).all()
    else:
        # whole groups
        assert not set(keys[shown]) & set(keys[~shown & ~test & (table["label"] >= 0)])


@given(table=scan_tables(), fraction=st.floats(0.01, 0.99), seed=st.integers(0, 99),
       per_class=st.sampled_from([0, 0, 1, 2]))
def test_hiding_is_reproducible(table, fraction, seed, per_class):
    """Hide the same labels for the same seed."""
    split = accepted(splits_module.split_table, table, fraction, seed, refuses=(ValueError,))
    if split is None: return
    hidden = accepted(splits_module.hide_labels, split, fraction, seed, per_class,
                      refuses=(ValueError,))
    if hidden is None: return
    again = splits_module.hide_labels(split, fraction, seed, per_class)
    pd.testing.assert_frame_equal(again, hidden)


@given(table=scan_tables(), fraction=st.floats(0.01, 0.99), seed=st.integers(0, 99),
       per_class=st.sampled_from([0, 0, 1, 2]))
def test_a_validation_set_divides_no_group(table, fraction, seed, per_class):
    """Hold out whole groups of the training set and keep all labels."""
    split = accepted(splits_module.split_table, table, fraction, seed, refuses=(ValueError,))
    if split is None: return
    keys = splits_module.group_keys(split)
    hidden = accepted(splits_module.hide_labels, split, fraction, seed, per_class,
                      refuses=(ValueError,))
    if hidden is None: return
    apart = splits_module.hold_out_validation(hidden, 0.5, 1, seed)
    moved = apart["split"] == "validation"
    pd.testing.assert_series_equal(apart["label"], hidden["label"])
    assert (hidden["split"][moved] == "train").all()
    assert not set(keys[moved]) & set(keys[apart["split"] == "train"])


@given(table=scan_tables(), fraction=st.floats(0.01, 1), seed=st.integers(0, 99))
def test_labelled_groups_hold_every_class(table, fraction, seed):
    """Keep a labelled group of every class, and all groups for a fraction of one."""
    train = table[(table["split"] == "train") & (table["label"] >= 0)]
    if not len(train): return
    labelled = splits_module.groups_shown(train, fraction, seed)
    assert set(train["label"][splits_module.group_keys(train).isin(labelled)]) == set(
        train["label"]
    )
    assert fraction < 1 or labelled == set(splits_module.group_keys(train))


@given(table=scan_tables(), fraction=st.floats(0.01, 1), seed=st.integers(0, 99))
def test_labelled_groups_ignore_the_order_of_rows(table, fraction, seed):
    """Choose the same groups in any order."""
    train = table[(table["split"] == "train") & (table["label"] >= 0)]
    if not len(train): return
    labelled = splits_module.groups_shown(train, fraction, seed)
    assert labelled == splits_module.groups_shown(shuffled(train, seed), fraction, seed)


@given(table=scan_tables(), per_class=st.integers(1, 3), seed=st.integers(0, 99))
def test_few_labels_per_class_are_exact(table, per_class, seed):
    """Keep the asked number of labels of every class."""
    train = table[(table["split"] == "train") & (table["label"] >= 0)]
    if not len(train): return
    few = accepted(splits_module.hide_but_few, table, train, per_class, seed, refuses=(ValueError,))
    if few is not None:
        assert (few["label"][few["label"] >= 0].value_counts() == per_class).all()
        assert set(few["label"]) - {-1} == set(train["label"])


@pytest.mark.parametrize("groups", ["own", "one", "pairs"])
def test_ten_thousand_classes_are_split_in_seconds(groups):
    """Split, hide and hold out 10,000 classes within two minutes."""
    n = 20_000
    table = pd.DataFrame(
        {
            "path": [f"{i}.png" for i in range(n)],
            "label": np.arange(n) // 2,
            "split": "train",
            "class_name": [MANY_CLASSES[i // 2] for i in range(n)],
            "source": "folder",
            "group": {
                "own": [""] * n,
                "one": ["p"] * n,
                "pairs": [f"p{i % 5000}" for i in range(n)],
            }[groups],
        }
    )
    with time_limit(120):
        split = accepted(splits_module.split_table, table, 0.4, refuses=(ValueError,))
        assert (split is None) == (groups == "one")
        if split is None: return
        hidden = splits_module.hide_labels(split, 0.9)
        shown = hidden["label"] >= 0
        assert set(hidden["label"][shown]) == set(table["label"][split["split"] == "train"])
        splits_module.hold_out_validation(hidden, 0.5, 1)


@pytest.mark.parametrize("n, count", [(3_000, 2), (10_000, 10_000)])
def test_thousands_of_duplicates_are_grouped_in_seconds(n, count):
    """Give every picture one group within two minutes."""
    content = [f"{i // count:064x}" for i in range(n)]
    table = pd.DataFrame({"path": [f"{i}.png" for i in range(n)], "label": 0,
                          "class_name": "glioma", "split": ["train", "test"] * (n // 2),
                          "group": "", "sha256": content, "pixels_sha256": content,
                          "grey_std": 40.0})
    small = np.repeat(np.random.default_rng(0).integers(0, 256, (n // count, 32, 32)), count,
                      axis=0).astype(np.float16)
    with time_limit(120):
        pairs = duplicates.duplicate_pairs(table, small)
        assert splits_module.add_groups(table, pairs)["group"].nunique() == n // count


@given(sizes=hnp.arrays(int, st.tuples(st.integers(1, 12), st.integers(1, 4)),
                        elements=st.integers(0, 6)), fraction=st.floats(0.05, 0.95), seed=seeds())
def test_chosen_groups_are_marked(sizes, fraction, seed):
    """Return one boolean per group."""
    targets = np.floor(fraction * sizes.sum(axis=0) + 0.5).astype(int)
    chosen = splits_module.choose_groups(sizes, targets, np.random.default_rng(seed))
    assert chosen.shape == (len(sizes),)
    assert chosen.dtype == bool


@given(sizes=hnp.arrays(int, st.tuples(st.integers(1, 12), st.integers(1, 4)),
                        elements=st.integers(0, 6)), fraction=st.floats(0.05, 0.95), seed=seeds())
def test_chosen_groups_come_close_to_the_targets(sizes, fraction, seed):
    """Come closer to the targets than no groups, or than with one group more."""
    targets = np.floor(fraction * sizes.sum(axis=0) + 0.5).astype(int)
    chosen = splits_module.choose_groups(sizes, targets, np.random.default_rng(seed))
    error = lambda selection: np.abs(targets - sizes[selection].sum(axis=0)).sum()
    assert error(chosen) <= error(np.zeros_like(chosen))
    for g in np.flatnonzero(~chosen):
        assert error(chosen) <= error(chosen | (np.arange(len(sizes)) == g))


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12), fraction=st.floats(0.01, 1),
       seed=seeds())
def test_a_labelled_prefix_holds_at_most_its_fraction(sizes, fraction, seed):
    """Choose different groups, at least one, with at most the asked fraction of slices."""
    slices = pd.Series(sizes, index=[f"g{i}" for i in range(len(sizes))])
    groups = splits_module.labelled_prefix(slices, fraction, np.random.default_rng(seed))
    assert 1 <= len(groups) == len(set(groups))
    assert len(groups) == 1 or slices[groups].sum() <= fraction * slices.sum() + 0.5


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12), fraction=st.floats(0.01, 1),
       seed=seeds())
def test_a_labelled_prefix_of_one_is_everything(sizes, fraction, seed):
    """Choose every group for a fraction of one."""
    slices = pd.Series(sizes, index=[f"g{i}" for i in range(len(sizes))])
    groups = splits_module.labelled_prefix(slices, fraction, np.random.default_rng(seed))
    assert fraction < 1 or len(groups) == len(sizes)


@THIRD_OF_EXAMPLES
@given(seed=seeds())
def test_every_class_of_every_source_has_its_fraction(seed):
    """Miss no kind by more than its largest group, divide no group, and keep every label."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 5, 60)
    rows = pd.DataFrame({"group": np.repeat([f"g{i}" for i in range(60)], sizes),
                         "label": np.repeat(rng.integers(-1, 3, 60), sizes),
                         "source": np.repeat(rng.choice(["a", "b", ""], 60, p=[.6, .3, .1]), sizes),
                         "split": rng.choice(["train", "test"], sizes.sum())})
    rows["path"] = [f"{i}.png" for i in range(len(rows))]
    divided = splits_module.split_by_source(rows, .25, seed)
    assert divided.groupby("group").split.nunique().max() == 1 and divided.clean.all()
    assert divided.label.equals(rows.label)
    for _, kind in divided[divided.label >= 0].groupby(["label", "source"]):
        test = (kind.split == "test").sum()
        assert abs(test - .25 * len(kind)) <= kind.groupby("group").size().max()
