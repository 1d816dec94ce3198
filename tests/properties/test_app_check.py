"""Properties of brainclust.app.source_check and check_view: random samples, labels, outcomes."""
import contextlib
import shutil
import threading
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from assertions import harmless, refused
from examples import UNLIKELY_NAMES, small_predictor, stub_workbench
from hypothesis import given, strategies as st
from PIL import Image
from strategies import FIFTH_OF_EXAMPLES, seeds

from brainclust.analysis import recalibration
from brainclust.app import annotation, check_view, pieces, source_check, workbench
from brainclust.core.files import load_json, save_json, save_table
from brainclust.data.scan_table import read_scan_table
from brainclust.data.splits import group_keys
from brainclust.runs import check_files, source_check as numbers


@given(groups=st.lists(st.sampled_from(["", "A", "B", "C"]), max_size=30), seed=seeds())
@FIFTH_OF_EXAMPLES
def test_a_sample_takes_one_slice_of_each_group_first(groups, seed):
    """Order every slice once, groups in turn, whatever the order of the table."""
    table = pd.DataFrame({"path": [f"{k}.png" for k in range(len(groups))], "group": groups,
                          "sha256": [f"{seed}-{k}" for k in range(len(groups))]})
    order = source_check.sample_order(table)
    assert sorted(order) == list(range(len(table)))
    keys = group_keys(table).iloc[order]
    turns = keys.groupby(keys.to_numpy()).cumcount()
    assert turns.is_monotonic_increasing
    other = table.sample(frac=1, random_state=seed)
    again = other["path"].iloc[source_check.sample_order(other)]
    assert list(again) == list(table["path"].iloc[order])


def test_patients_with_many_slices_come_no_earlier():
    """Draw every slice of a collection about equally often, and every patient alike."""
    first = []
    for seed in range(150):
        table = pd.DataFrame({"path": list("abcdefgh"), "group": ["A"] * 6 + ["B", "C"],
                              "sha256": [f"{seed}{k}" for k in range(8)]})
        first.append(table["group"][source_check.sample_order(table)[0]])
    assert all(.2 < first.count(name) / 150 < .47 for name in "ABC")


def sample_of(bench, folder, count: int) -> source_check.Sample:
    """Return a sample of the first slices of a stand-in for a workbench."""
    table = bench.collection.table[:count]
    sample = source_check.Sample(table.assign(row=range(count)), [], folder / "cannot_tell.json")
    bench.check = sample
    bench.check_lock = threading.Lock()
    return sample


BROWSER = st.lists(st.tuples(
    st.one_of(st.integers(-2, 8).map(str), st.sampled_from(["", "²", "9" * 5000, "٣", "1.0"])),
    st.sampled_from(["anna", "ben", "", " "]), st.one_of(st.none(), st.integers(0, 3))), max_size=8)


@given(seed=seeds(), events=BROWSER)
@FIFTH_OF_EXAMPLES
def test_only_sampled_slices_get_a_label_of_a_check(seed, events):
    """Mark labels as random, refuse other rows, and offer what has no label."""
    bench = stub_workbench(7, True, seed)
    names = bench.predictor.classes_
    sample = sample_of(bench, bench.run, 5)
    expected = {}
    for row, person, label in events:
        source_check.name_slice(bench, row, person, None if label is None else names[label])
        if not row.isdecimal() or len(row) > 9 or int(row) > 4 or not person.strip(): continue
        content = f"{int(row):064x}"
        if content in sample.unclear: continue
        if label is None:
            sample.unclear.add(content)
        else:
            expected[content] = names[label]
    table = annotation.read_labels(bench.label_file, names)
    assert annotation.labels_in_force(table) == expected
    assert set(table["query"]) <= {"random"}
    done, goal = source_check.check_progress(bench)
    assert goal == 5 - len(sample.unclear) and done == len(set(expected) - sample.unclear)
    row = source_check.next_sampled(bench, "anna")
    assert (row is None) == (done == goal)
    harmless(check_view.sampled_html(bench, row))
    harmless(check_view.check_progress_html(bench, "anna"))
    assert f'data-done="{done}"' in check_view.check_progress_html(bench, "anna")
    gone = source_check.undo_named(bench, "anna")
    assert gone is None or f"{gone:064x}" in expected
    again = source_check.Sample(sample.table, [], sample.file)
    assert again.unclear == sample.unclear and again.notes == []


@given(count=st.integers(0, 70), named=st.integers(0, 70), hole=st.integers(0, 70),
       times=st.integers(0, 4))
@FIFTH_OF_EXAMPLES
def test_an_outcome_is_of_whole_twenties_or_all(tmp_path_factory, count, named, hole, times):
    """Count no slice after the first one without a label, and none in an unfinished twenty."""
    table = pd.DataFrame({"sha256": [str(k) for k in range(count)]})
    sample = source_check.Sample(table, [], tmp_path_factory.getbasetemp() / "absent.json")
    for _ in range(times):
        sample.extend()
    drawn = len(sample.slices())
    assert drawn == min(count, source_check.SAMPLE_SIZE * (times + 1))
    labels = {str(k): "glioma" for k in range(named) if k != hole}
    found = len(source_check.finished_slices(sample, labels))
    whole = min(hole, named, drawn)
    assert found <= whole
    assert found == (whole if whole == count else whole // 20 * 20)
    sample.resume(set(labels))
    assert count == 0 or sample.wanted % 20 == 0


def test_labels_of_check_and_active_learning_are_taken_back_apart(tmp_path):
    """Undo in one view never removes a label of the other."""
    bench = stub_workbench(6, True, 0)
    sample_of(bench, tmp_path, 6)
    name = bench.predictor.classes_[0]
    workbench.label_slice(bench, "1", "anna", name)
    source_check.name_slice(bench, "2", "anna", name)
    assert source_check.check_progress(bench) == (2, 6)  # labels of both views count
    assert workbench.undo(bench, "anna") == 1 and workbench.undo(bench, "anna") is None
    assert source_check.undo_named(bench, "anna") == 2
    table = annotation.read_labels(bench.label_file, bench.predictor.classes_)
    assert len(table) == 0
    assert pieces.last_labels(bench, table, "anna") == []


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
    """A run of four unlikely classes, and 24 slices of 24 patients in the folder `clinic ü`."""
    folder = tmp_path_factory.mktemp("check")
    rng = np.random.default_rng(0)
    run = shutil.copytree(small_predictor().folder, folder / "run")
    pile = folder / "clinic ü"
    for number in range(54):  # 30 of the run, as its reference has
        path = (folder / "own" if number < 30 else pile) / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40, 40), dtype=np.uint8)).save(path)
    save_table(run / "scans.parquet", read_scan_table(folder / "own")[0].assign(true_label=-1))
    bench = workbench.Workbench(run, pile, device="cpu")
    return SimpleNamespace(folder=folder, run=run, pile=pile, bench=bench)


@pytest.fixture
def bench(clinic):
    """The workbench of the clinic as it was opened, without labels, check and sources."""
    yield clinic.bench
    clinic.bench.use_source(None)
    clinic.bench.check = None
    for name in ("labels.csv", "labels.csv.lock", "page/cannot_tell.json"):
        (clinic.run / name).unlink(missing_ok=True)
    shutil.rmtree(clinic.run / "sources", ignore_errors=True)


def name_all(bench, kinds: int = 4) -> None:
    """Name every slice of the sample by one of the first classes."""
    while (row := source_check.next_sampled(bench, "Ada")) is not None:
        source_check.name_slice(bench, str(row), "Ada", bench.predictor.classes_[row % kinds])


def test_a_check_is_measured_kept_and_used_by_name_alone(bench, clinic):
    """Agree with the command, survive a restart, and calibrate what was chosen, for all."""
    assert source_check.start_check(bench) is source_check.start_check(bench)
    assert source_check.check_outcome(bench) is None
    refused(source_check.keep_check, bench, "clinic ü")
    name_all(bench)
    outcome = source_check.check_outcome(bench)
    assert isinstance(outcome, source_check.CheckOutcome)
    assert any("no class notumor" in note for note in outcome.notes)
    page = check_view.check_html(outcome, source_check.suggested_name(bench))
    harmless(page)
    assert 'data-slices="20"' in page and "data:image/png;base64," in page
    same, notes = check_files.check_folder(
        bench.predictor, clinic.pile, annotated=True, cache_folder=clinic.folder / "cache")
    right = outcome.check.scores["value"][0]
    table = bench.collection.table
    named = table["sha256"].map(bench.labels())
    assert right == (named == table["class"])[named.notna()].mean()
    assert abs(same.scores["value"][0] - right) <= .05 and notes == []  # batches of other sizes
    assert check_view.source_choices(bench) == [("as the run was calibrated", "")]
    assert "Kept as clinic ü" in source_check.keep_check(bench, " clinic ü ")
    assert bench.predictor.source is None and pieces.calibration_mark(bench.predictor) == ""
    assert check_view.source_choices(bench)[1][1] == "clinic ü"
    before = bench.outputs["probabilities"]
    bench.use_source("clinic ü")
    assert pieces.calibration_mark(bench.predictor) == ", calibrated for clinic ü"
    assert np.abs(bench.collection.outputs["probabilities"] - before).max() > 1e-3
    assert bench.outputs["probabilities"] is before
    assert "Calibrated for clinic ü." in bench.read(bench.collection.images[0, 0], "a.png")
    assert "calibrated for clinic ü" in pieces.label_html(bench, 0, hint=True)
    assert "it replaces that of an earlier check" in source_check.keep_check(bench, "clinic ü")
    bench.check = None
    sample = source_check.open_sample(bench)
    assert sample.wanted == 20 and sample.unclear == set()
    bench.check = sample  # measured again, of the run as it was calibrated
    again = source_check.check_outcome(bench).check
    pd.testing.assert_frame_equal(again.scores, outcome.check.scores)


def test_one_class_fewer_slices_and_a_run_without_classes_get_a_sentence(bench, clinic):
    """Measure the accuracy where nothing can be refitted, and tell what stands in the way."""
    sample = source_check.start_check(bench)
    name_all(bench, kinds=1)
    outcome = source_check.check_outcome(bench)
    assert outcome.check.refitted is None and "one class" in outcome.check.notes[0]
    assert "no source was kept" in source_check.keep_check(bench, "clinic")
    assert not (clinic.run / "sources" / "clinic.json").exists()
    assert (clinic.run / "sources" / "clinic" / "check.md").exists()
    for content in list(sample.table["sha256"][12:]):
        sample.leave_out(content)
    few = source_check.check_outcome(bench)
    assert few.check.scores["slices"][0] == 12 and "needs 20 labelled" in few.check.notes[0]
    assert any("12 sampled slices were left out" in note for note in few.notes)
    assert numbers.check_sentence(few.check, "clinic") in check_view.check_html(few, "clinic")
    unnamed = SimpleNamespace(named=False, folder=clinic.run)
    refused(check_files.require_classes, unnamed)
    kept = bench.data
    bench.data = None
    refused(source_check.open_sample, bench)
    assert source_check.suggested_name(bench) == "my scans"
    bench.data = kept


def test_coverage_is_told_in_three_ways():
    """Tell whether sets cover, do not, or do not exist."""
    for ends, word in (((np.nan,) * 3, "no prediction sets"), ((.6, .4, .8), "no longer"),
                       ((.9, .7, .97), "do not contradict")):
        scores = pd.DataFrame([["coverage", 20, *ends]],
                              columns=["quantity", "slices", "value", "low", "high"])
        check = numbers.SourceCheck(scores, {}, None, [], .95)
        assert word in check_view.coverage_sentence(check)


def test_labels_that_active_learning_asked_for_are_counted(bench, clinic):
    """Name them in the command's check, since they are more difficult than others."""
    table = bench.collection.table
    rows = pd.DataFrame({"path": table["path"], "label": bench.predictor.classes_[0],
                         "sha256": table["sha256"], "by": "Ada", "time": "now",
                         "query": ["active"] * 4 + ["random"] * 20})
    rows.to_csv(clinic.run / "labels.csv", index=False)
    table = check_files.read_annotated(
        clinic.pile, clinic.run / "labels.csv", bench.predictor.classes_)
    assert check_files.annotation_sentences(table)[0].startswith("4 of the 24 slices")
    assert check_files.annotation_sentences(table[table["random"]]) == []


@pytest.mark.parametrize("name", ["check_alert", "check_notice"])
def test_sentences_of_a_check_are_escaped(name):
    """Escape what an error or a folder is called."""
    harmless(pieces.render_template(name, words=UNLIKELY_NAMES[6]))
    assert "<p" in pieces.render_template("check_done", done=0, goal=0)


def test_the_view_offers_every_class_by_key():
    """Make a button for each class, with a key up to the ninth."""
    made = []
    gradio = SimpleNamespace(Markdown=lambda text: None, Row=contextlib.nullcontext,
                             Button=lambda text, elem_id, **_: made.append((text, elem_id)))
    pieces.label_buttons(gradio, [f"class {k}" for k in range(11)], "check")
    assert made[0] == ("1  class 0", "check-class-1") and made[10] == ("class 10", "check-class-11")
    assert [name for _, name in made[11:]] == ["check-skip", "check-undo"]


def test_a_damaged_source_is_refused_and_the_old_one_stays(bench, clinic):
    """Keep what is in force if a source's file was changed or is of another training."""
    record = {"classes": list(map(str, bench.predictor.classes_)), "temperature": 2.,
              "bias": [0.] * 4, "threshold": .2, "coverage": .9, "spread": 1.,
              "tumour_threshold": None, "slices": 20, "groups": 20, "accuracy": [.5, .6]}
    for name in "ab":
        recalibration.save_source(clinic.run, {"name": name, **record})
    bench.use_source("a")
    file = clinic.run / "sources" / "b.json"
    content = load_json(file)
    file.write_text(file.read_text().replace("temperature", "temperatur"))
    refused(bench.use_source, "b")
    save_json(file, content | {"run": "0" * 64})
    refused(bench.use_source, "b")
    refused(bench.use_source, "absent")
    assert bench.predictor.source.name == "a"
    updates = SimpleNamespace(update=lambda **changes: changes)
    notice, choice = check_view._choose(updates, bench, "b")
    assert 'role="alert"' in notice and choice["value"] == "a"
