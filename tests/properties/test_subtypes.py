"""Properties of brainclust.analysis.subtypes."""

import numpy as np
import pandas as pd
from hypothesis import given, strategies as st
from strategies import TENTH_OF_EXAMPLES, class_ids, points, scan_tables, seeds

from brainclust.analysis import subtype_criteria, subtypes


@given(x=points(min_points=5, dimensions=4), seed=seeds())
def test_a_gallery_holds_one_medoid_per_cluster(x, seed):
    """Choose slices that exist, with one medoid per cluster."""
    x = np.asarray(x, np.float64)
    components: subtype_criteria.Components = subtype_criteria.fit_components(x, 2, seed)
    labels = subtype_criteria.assign(x, components)
    groups = np.arange(len(x)) // 2
    gallery = subtypes.choose_slices(x, labels, groups)
    assert set(gallery["index"]) <= set(range(len(x)))
    assert (gallery.kind == "medoid").sum() == len(set(labels))


@TENTH_OF_EXAMPLES
@given(x=points(min_points=12, max_points=30, dimensions=3))
def test_selected_slices_are_slices(x):
    """Select the slices of a class."""
    x = np.asarray(x, np.float64)
    groups = np.arange(len(x)) // 2
    confounders = pd.DataFrame({"viewing plane": "", "source": "a",
                                "contrast": np.arange(len(x)) * 1.0})
    whole = subtypes.Slices("all", np.arange(len(x)), x, groups % 2 == 0, groups, confounders,
                            np.zeros(len(x), bool))
    one = subtypes.select_slices(whole, "glioma", np.arange(len(x)))
    assert isinstance(one, subtypes.Slices)


@TENTH_OF_EXAMPLES
@given(x=points(min_points=12, max_points=30, dimensions=3))
def test_a_subtype_study_states_its_verdict_in_one_line(x):
    """Study a class and state the verdict in one line."""
    x = np.asarray(x, np.float64)
    groups = np.arange(len(x)) // 2
    confounders = pd.DataFrame({"viewing plane": "", "source": "a",
                                "contrast": np.arange(len(x)) * 1.0})
    whole = subtypes.Slices("all", np.arange(len(x)), x, groups % 2 == 0, groups, confounders,
                            np.zeros(len(x), bool))
    one = subtypes.select_slices(whole, "glioma", np.arange(len(x)))
    if one.train.sum() < 10: return
    (study,) = subtypes.study_classes([one], claimed=2, largest=2, draws=1)
    assert isinstance(study, subtypes.SubtypeStudy)
    assert isinstance(study.claimed, subtypes.Division)
    assert "\n" not in study.claimed.verdict


@TENTH_OF_EXAMPLES
@given(x=points(min_points=12, max_points=30, dimensions=3))
def test_a_subtype_table_lists_claimed_and_chosen_divisions(x):
    """List the claimed and the chosen division."""
    x = np.asarray(x, np.float64)
    groups = np.arange(len(x)) // 2
    confounders = pd.DataFrame({"viewing plane": "", "source": "a",
                                "contrast": np.arange(len(x)) * 1.0})
    whole = subtypes.Slices("all", np.arange(len(x)), x, groups % 2 == 0, groups, confounders,
                            np.zeros(len(x), bool))
    one = subtypes.select_slices(whole, "glioma", np.arange(len(x)))
    if one.train.sum() < 10: return
    (study,) = subtypes.study_classes([one], claimed=2, largest=2, draws=1)
    assert len(subtypes.subtype_table([study])) == 2


@TENTH_OF_EXAMPLES
@given(x=points(min_points=12, max_points=30, dimensions=3))
def test_a_division_assigns_every_slice(x):
    """Assign every slice to a cluster."""
    x = np.asarray(x, np.float64)
    groups = np.arange(len(x)) // 2
    confounders = pd.DataFrame({"viewing plane": "", "source": "a",
                                "contrast": np.arange(len(x)) * 1.0})
    whole = subtypes.Slices("all", np.arange(len(x)), x, groups % 2 == 0, groups, confounders,
                            np.zeros(len(x), bool))
    one = subtypes.select_slices(whole, "glioma", np.arange(len(x)))
    if one.train.sum() < 10: return
    (study,) = subtypes.study_classes([one], claimed=2, largest=2, draws=1)
    again = subtypes.divide(one, 2, study.chosen, study.criteria, draws=1, permutations=3)
    assert len(again.clusters) == len(x)


@TENTH_OF_EXAMPLES
@given(x=points(min_points=12, max_points=30, dimensions=3))
def test_a_study_of_a_sample_keeps_the_claimed_k(x):
    """Keep the claimed number of subtypes on a sample of slices."""
    x = np.asarray(x, np.float64)
    groups = np.arange(len(x)) // 2
    confounders = pd.DataFrame({"viewing plane": "", "source": "a",
                                "contrast": np.arange(len(x)) * 1.0})
    whole = subtypes.Slices("all", np.arange(len(x)), x, groups % 2 == 0, groups, confounders,
                            np.zeros(len(x), bool))
    one = subtypes.select_slices(whole, "glioma", np.arange(len(x)))
    if one.train.sum() < 10: return
    assert subtypes.study_class(one, 2, 2, 1, max_slices=20).claimed.k == 2


@given(data=st.data())
def test_an_effective_number_is_at_most_the_number_of_values(data):
    """Lie between one and the number of different values."""
    n = data.draw(st.integers(1, 40))
    rng = np.random.default_rng(data.draw(seeds()))
    values = data.draw(st.sampled_from(["text", "unknown", "float", "nan", "constant", "int",
                                        "infinite"]))
    values = {"text": rng.choice(["", "a", "ü"], n), "unknown": np.full(n, ""),
              "float": rng.normal(size=n), "nan": np.where(rng.random(n) < 0.5, np.nan, 1.0),
              "constant": np.ones(n), "int": rng.integers(0, 3, n),
              "infinite": np.where(rng.random(n) < 0.5, np.inf, rng.normal(size=n))}[values]
    assert (1 - 1e-9 <= subtypes.effective_number(values.astype(str))
            <= len(set(values.astype(str))) + 1e-9)


@given(data=st.data())
def test_the_most_common_value_is_text(data):
    """Name the most common value of any property."""
    n = data.draw(st.integers(1, 40))
    rng = np.random.default_rng(data.draw(seeds()))
    values = data.draw(st.sampled_from(["text", "unknown", "float", "nan", "constant", "int",
                                        "infinite"]))
    values = {"text": rng.choice(["", "a", "ü"], n), "unknown": np.full(n, ""),
              "float": rng.normal(size=n), "nan": np.where(rng.random(n) < 0.5, np.nan, 1.0),
              "constant": np.ones(n), "int": rng.integers(0, 3, n),
              "infinite": np.where(rng.random(n) < 0.5, np.inf, rng.normal(size=n))}[values]
    assert isinstance(subtypes.most_common(pd.Series(values)), str)


@given(data=st.data())
def test_described_subclusters_hold_every_slice(data):
    """Count every slice once in fractions that sum to one."""
    n = data.draw(st.integers(1, 40))
    clusters = data.draw(class_ids(n, 3, hidden=False))
    rng = np.random.default_rng(data.draw(seeds()))
    values = data.draw(st.sampled_from(["text", "unknown", "float", "nan", "constant", "int",
                                        "infinite"]))
    values = {"text": rng.choice(["", "a", "ü"], n), "unknown": np.full(n, ""),
              "float": rng.normal(size=n), "nan": np.where(rng.random(n) < 0.5, np.nan, 1.0),
              "constant": np.ones(n), "int": rng.integers(0, 3, n),
              "infinite": np.where(rng.random(n) < 0.5, np.inf, rng.normal(size=n))}[values]
    b = rng.integers(0, 3, n)
    described = subtypes.describe_subclusters(clusters, b, pd.DataFrame({"v": values}),
                                              np.zeros(n, bool))
    assert described.slices.sum() == n
    assert np.isclose(described.fraction.sum(), 1)


@given(data=st.data())
def test_objections_are_single_lines(data):
    """List at least one objection, each in one line."""
    n = data.draw(st.integers(1, 40))
    clusters = data.draw(class_ids(n, 3, hidden=False))
    rng = np.random.default_rng(data.draw(seeds()))
    values = data.draw(st.sampled_from(["text", "unknown", "float", "nan", "constant", "int",
                                        "infinite"]))
    values = {"text": rng.choice(["", "a", "ü"], n), "unknown": np.full(n, ""),
              "float": rng.normal(size=n), "nan": np.where(rng.random(n) < 0.5, np.nan, 1.0),
              "constant": np.ones(n), "int": rng.integers(0, 3, n),
              "infinite": np.where(rng.random(n) < 0.5, np.inf, rng.normal(size=n))}[values]
    association = subtype_criteria.associate(clusters, values, rng.integers(0, 5, n),
                                             permutations=5)
    b = rng.integers(0, 3, n)
    described = subtypes.describe_subclusters(clusters, b, pd.DataFrame({"v": values}),
                                              np.zeros(n, bool))
    objections = subtypes.objections(3, (), {"stability": (np.nan, 0.1)}, described,
                                     pd.DataFrame([{"property": "v", **association}]))
    assert objections
    assert all("\n" not in objection for objection in objections)


@given(x=points(min_points=4), seed=seeds())
def test_removing_a_property_keeps_embeddings_finite(x, seed):
    """Return finite embeddings of the same shape."""
    rng = np.random.default_rng(seed)
    train = np.arange(len(x)) % 2 == 0
    values = rng.choice(["", "a", "b"], len(x))
    changed = subtypes.without_property(x, values, train)
    assert changed.shape == x.shape
    assert np.isfinite(changed).all()


@given(x=points(min_points=4), seed=seeds())
def test_removing_a_property_removes_its_means(x, seed):
    """Move the mean of every value onto the training mean."""
    rng = np.random.default_rng(seed)
    train = np.arange(len(x)) % 2 == 0
    values = rng.choice(["", "a", "b"], len(x))
    changed = subtypes.without_property(x, values, train)
    scale_ = 1 + np.abs(x).max()
    for value in set(values[train]):
        assert np.allclose(changed[train & (values == value)].mean(axis=0),
                           x[train].astype(float).mean(axis=0), atol=1e-6 * scale_)


@given(x=points(min_points=4), seed=seeds())
def test_planted_groups_keep_the_shape(x, seed):
    """Plant groups without changing the shape."""
    rng = np.random.default_rng(seed)
    where = rng.integers(0, x.shape[1], len(x))
    assert subtypes.plant_groups(x, where, np.arange(len(x))).shape == x.shape


@given(table=scan_tables())
def test_confounders_of_any_table_have_a_plane(table):
    """Return the confounders of every slice, with the estimated plane where none is given."""
    quality = pd.DataFrame({"estimated_plane": "axial", "foreground_fraction": 0.5,
                            "signal_to_noise": np.nan, "sharpness": np.inf, "contrast": 0},
                           index=range(len(table)))
    for scans in (table, table.assign(plane="")):
        found = subtypes.confounders(scans, quality)
        assert len(found) == len(table)
        assert (found["viewing plane"] == "axial").all()
