"""Properties of brainclust.app.workbench."""

import tempfile
from pathlib import Path

from assertions import harmless, time_limit
from examples import stub_workbench
from hypothesis import given, strategies as st
from strategies import seeds

from brainclust.app import annotation, pieces, workbench


@given(entered=st.one_of(st.text(max_size=200), st.text("=+-@_ \u200b\n\ud800a٣", max_size=9)))
def test_visitor_names_are_accepted_as_annotators(entered):
    """Clean a visitor's name to one under which labels can be given."""
    name = workbench.visitor_name(entered)
    assert workbench.visitor_name(name) == name
    assert len(name) <= 60
    assert bool(name) == any(letter.isalnum() for letter in entered if letter.isprintable())
    if not name: return
    with tempfile.TemporaryDirectory() as folder:
        annotation.give_label(Path(folder) / "labels.csv", "a.png", "00", "glioma", name,
                              ["glioma"])
        assert list(annotation.read_labels(Path(folder) / "labels.csv", ["glioma"])["by"]) == [name]


@given(
    n=st.integers(1, 6),
    seed=seeds(),
    answers=st.lists(
        st.tuples(
            st.one_of(
                st.integers(-2, 8).map(str),
                st.sampled_from(["", "²", "1e3", "9" * 5000, "٣", "0x1", "1.0", " 1"]),
            ),
            st.sampled_from(["anna", "ben", "", " "]),
            st.one_of(st.none(), st.integers(0, 3)),
        ),
        max_size=8,
    ),
)
def test_labels_from_a_browser_are_those_of_training_slices(n, seed, answers):
    """Store labels of existing training slices only."""
    bench = stub_workbench(n, True, seed)
    expected = {}
    bench.collection.table.loc[0, "split"] = "test"
    for row, by, label in answers:
        with time_limit():
            workbench.label_slice(bench, row, by,
                                  None if label is None else bench.predictor.classes_[label])
        if (row.isdecimal() and len(row) < 9 and 0 < int(row) < n and by.strip() and label
            is not None):
            expected[int(row)] = (by, bench.predictor.classes_[label])
    assert {bench.collection.table.sha256[row]: label for row, (_, label)
            in expected.items()} == bench.labels()


@given(
    n=st.integers(1, 6),
    seed=seeds(),
    answers=st.lists(
        st.tuples(
            st.one_of(
                st.integers(-2, 8).map(str),
                st.sampled_from(["", "²", "1e3", "9" * 5000, "٣", "0x1", "1.0", " 1"]),
            ),
            st.sampled_from(["anna", "ben", "", " "]),
            st.one_of(st.none(), st.integers(0, 3)),
        ),
        max_size=8,
    ),
)
def test_the_goal_counts_labelled_slices(n, seed, answers):
    """Count the labelled slices towards any goal."""
    bench = stub_workbench(n, True, seed)
    expected = {}
    bench.collection.table.loc[0, "split"] = "test"
    for row, by, label in answers:
        with time_limit():
            workbench.label_slice(bench, row, by,
                                  None if label is None else bench.predictor.classes_[label])
        if (row.isdecimal() and len(row) < 9 and 0 < int(row) < n and by.strip() and label
            is not None):
            expected[int(row)] = (by, bench.predictor.classes_[label])
    for goal in (1, 5, 0, -3):
        harmless(pieces.goal_html(bench, goal, "anna"))
    assert f'data-done="{len(expected)}"' in pieces.goal_html(bench, 5, "anna")


@given(
    n=st.integers(1, 6),
    seed=seeds(),
    answers=st.lists(
        st.tuples(
            st.one_of(
                st.integers(-2, 8).map(str),
                st.sampled_from(["", "²", "1e3", "9" * 5000, "٣", "0x1", "1.0", " 1"]),
            ),
            st.sampled_from(["anna", "ben", "", " "]),
            st.one_of(st.none(), st.integers(0, 3)),
        ),
        max_size=8,
    ),
)
def test_the_next_slice_is_not_labelled(n, seed, answers):
    """Offer a slice that is not labelled, and undo a label that was given."""
    bench = stub_workbench(n, True, seed)
    expected = {}
    bench.collection.table.loc[0, "split"] = "test"
    for row, by, label in answers:
        with time_limit():
            workbench.label_slice(bench, row, by,
                                  None if label is None else bench.predictor.classes_[label])
        if (row.isdecimal() and len(row) < 9 and 0 < int(row) < n and by.strip() and label
            is not None):
            expected[int(row)] = (by, bench.predictor.classes_[label])
    row = workbench.next_row(bench, "anna")
    assert (row is None or row not in expected and bench.collection.table.split[row] != "test"
            or row == 0)
    gone = workbench.undo(bench, "anna")
    assert gone is None or gone in expected
