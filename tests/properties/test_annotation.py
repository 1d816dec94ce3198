"""Properties of brainclust.app.annotation."""

import tempfile
from pathlib import Path

import numpy as np
from assertions import accepted
from examples import UNLIKELY_NAMES, class_names, stub_workbench
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES, seeds

from brainclust.app import annotation


@given(answers=st.lists(st.tuples(st.text(st.characters(min_codepoint=1, max_codepoint=300),
                                          min_size=1, max_size=20),
                                  st.sampled_from(UNLIKELY_NAMES[4:]),
                                  st.text(min_size=1, max_size=20)), min_size=1, max_size=5))
def test_labels_are_read_as_they_were_given(answers):
    """Read back every accepted label, the last one in force."""
    names = class_names(30)
    given_ = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "labels.csv"
        for k, (path, label, by) in enumerate(answers):
            saved = accepted(annotation.give_label, file, path, f"{k:064x}", label, by, names,
                             refuses=(ValueError,))
            if saved is not None:
                given_.append((path, label, f"{k:064x}", by))
            else:
                assert not by[:1].isalnum() or not by.isprintable()
            table = annotation.read_labels(file, names)
            assert list(table) == annotation.LABEL_COLUMNS
            shown = table.drop(columns=["time", "query"])
            assert list(shown.itertuples(index=False, name=None)) == given_
        assert annotation.labels_in_force(table) == {content: label for _, label, content,
                                                     _ in given_}


def test_a_label_can_be_taken_back():
    """Remove the last label of a person, and nothing for another."""
    names = class_names(30)
    given_ = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "labels.csv"
        if given_:
            gone = annotation.take_back(file, given_[-1][3], names)
            assert gone["sha256"] == given_[-1][2]
            assert len(annotation.read_labels(file, names)) == len(given_) - 1
        assert annotation.take_back(file, "nobody", names) is None


@given(n=st.integers(0, 8), steps=st.lists(st.tuples(st.sampled_from(["anna", "ben"]),
                                                     st.sampled_from(["next", "aside", "return"]),
                                                     st.integers(-1, 9)), max_size=12),
       done=st.sets(st.integers(0, 8)))
def test_a_queue_gives_a_slice_to_one_person(n, steps, done):
    """Give every person another slice that is not labelled yet."""
    queue = annotation.Queue(range(n))
    before = {}
    for by, what, _ in steps:
        if what == "next":
            got = queue.next(by, done, now=1.0)
            assert got is None or got in queue.order and got not in done
            others = {other for person, other in before.items()
                      if person != by and other is not None}
            assert got is None or got not in others
            before[by] = got
        else:
            if what == "aside" and before.get(by) is not None:
                queue.put_aside(by, before.pop(by))


@FIFTH_OF_EXAMPLES
@given(n=st.integers(1, 12), named=st.booleans(), seed=seeds(),
       labelled=st.sampled_from(["none", "some", "all"]),
       tested=st.sampled_from(["none", "some", "all"]))
def test_a_queue_holds_unlabelled_training_slices(n, named, seed, labelled, tested):
    """Queue every unlabelled slice once, and no test slice."""
    bench = stub_workbench(n, named, seed)
    table = bench.collection.table
    table["split"] = {"none": "train", "some": np.where(np.arange(n) % 2, "test", "train"),
                      "all": "test"}[tested]
    table["label"] = {"none": -1, "some": np.where(np.arange(n) % 3, -1, 0), "all": 0}[labelled]
    order = annotation.make_queue(bench.collection, {table.sha256[0]: "glioma"}, named).order
    assert len(set(order)) == len(order)
    assert all(table.split[row] != "test" and table.label[row] < 0 and row != 0 for row in order)
