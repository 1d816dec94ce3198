"""Properties of brainclust.data.patients: who is found in names, and who is nobody."""
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import audit_command
from PIL import Image

from brainclust.core.config import CLASSES
from brainclust.data import patients
from brainclust.data.cleaning import prepare_scans
from brainclust.data.labels import normalise_class_name, split_of
from brainclust.data.splits import connection, split_table
from brainclust.runs.comparison import claim_less

PEOPLE, SLICES = 6, 5
GIVEN = ("anna", "bert", "cleo", "dora", "emil", "fritz")
IN_FOLDERS = ("{c}/{k}_{p:03}_19990101/{s}.png", "{c}/{p}/{s}.png", "{c}/{w}/{s}.png",
              "{c}/{k}-{p:04}/1999-01-01-MR/series_2/{s}.png", "{c}/Patient {p}/T1/{s}.png",
              "P{k}{p}/{c}/{s}.png", "{c}/site{h}/{k}{p}/{s}.png")
IN_NAMES = ("{c}/SITE_{p:04}_19990101_{s}.png", "{c}/sub-{k}{p:02}_slice{s}.png",
            "{c}/P{k}{p:03}_MR1_{s}.jpg", "{c}/case{p} ({s}).jpg", "{c}/p{p}s{s}.png",
            "{c}/{s}_P{k}{p:03}.png", "{c}/{w}{k}_{s}.png", "{c}/BraTS19_{k}{p:03}_T1_{s}.png",
            "{c}/slice-{s}_sub-{k}{p}.png", "images/{k}{p}-{s:03}.png",
            "{c}/TCGA-0{h}-{k}{p:02}_{s}.png", "{c}/BraTS19_CBICA_AA{u}_{p}_t1_{s}.png",
            "{c}/0{h}1_S_{o}{p:03}_{s}.png", "{c}/fold_{h}_{k}{p}_{s}.png")
NOWHERE = ("{c}/Te-{k}_{n:04}.jpg", "{c}/{k} ({n}).jpg", "{c}/{n}.jpg", "{c}/image({n}).jpg",
           "{c}/m1({n}).jpg", "{c}/images/{n}.png", "{c}/T1/{n}.png", "{c}/Y{n}.jpg",
           "{c}/site{h}/{n}.png", "{c}/brisc2025_train_{n:05}_{k}_ax_t1.jpg", "{c}/{c}-{n:04}.png",
           "{c}/IMG-{n:04}-00001.jpg", "{c}/Tr-{k}{t}_{n:04}.jpg",
           "{c}/fold_{h}/{n}.png", "batch-0{h}/{c}/{n}.png", "images_{h}/{c}/{n}.png",
           "{c}/part_{h}_{n:04}.png")


def listing(pattern: str) -> pd.DataFrame:
    """List the files of a folder whose names follow a pattern, with the true patients."""
    rows = [(c, p, s) for c in CLASSES for p in range(PEOPLE) for s in range(SLICES)]
    number = {c: i for i, c in enumerate(CLASSES)}
    return pd.DataFrame([{
        "file": pattern.format(c=c, k=c[:2], p=p, s=s, h=p % 2, w=GIVEN[p], n=p * SLICES + s,
                               u="ABCD"[number[c]], o=number[c] + 1,
                               t="Tr" if p * s > 18 else ""),
        "class_name": c, "person": f"{c} {p}"} for c, p, s in rows])


def is_layout(name: str) -> bool:
    """Tell whether a name is that of a class or a split."""
    return bool(normalise_class_name(name, CLASSES) or split_of(name))


@pytest.mark.parametrize(("patterns", "how"), [(IN_FOLDERS, "folder names"),
                                               (IN_NAMES, "file names")])
def test_patients_in_folders_and_names_are_found(patterns, how):
    """Find exactly the patients that wrote the names, and say where."""
    for pattern in patterns:
        files = listing(pattern)
        found = patients.find_patients([*map(Path, files.file)], files.class_name, is_layout)
        assert set(found.how) == {how}, pattern
        pairs = set(zip(found.patient, files.person))
        assert len(pairs) == len(set(found.patient)) == PEOPLE * len(CLASSES), pattern


@pytest.mark.parametrize("pattern", NOWHERE)
def test_a_number_that_runs_over_a_class_is_not_a_patient(pattern):
    """Find nobody in names of public collections."""
    files = listing(pattern)
    found = patients.find_patients([*map(Path, files.file)], files.class_name, is_layout)
    assert set(found.patient) == set(found.how) == {""}


def test_names_in_any_order_give_the_same_patients():
    """Depend on the names, not on their order."""
    files = listing(IN_NAMES[0])
    mixed = files.sample(frac=1, random_state=0)
    given, shuffled = (patients.find_patients([*map(Path, t.file)], t.class_name, is_layout)
                       .set_axis(t.file).sort_index() for t in (files, mixed))
    pd.testing.assert_frame_equal(given, shuffled)


def write(folder: Path, files) -> None:
    """Write pictures of which no two are alike."""
    rng = np.random.default_rng(0)
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        blocks = rng.integers(0, 255, (8, 8)).repeat(8, 0).repeat(8, 1)
        Image.fromarray(blocks.astype(np.uint8)).save(folder / file)


@pytest.mark.parametrize("pattern", [IN_FOLDERS[0], IN_FOLDERS[3], IN_NAMES[0], IN_NAMES[4]])
def test_no_patient_is_divided_between_training_and_test(tmp_path, pattern):
    """Split by the patients that names tell, and call the test slices clean."""
    files = listing(pattern)
    write(tmp_path / "scans", files.file)
    prepared = prepare_scans(tmp_path / "scans", cache_folder=tmp_path / "cache")
    person = files.set_index("file").person[
        [Path(p).relative_to(tmp_path / "scans").as_posix() for p in prepared.table.path]]
    assert (prepared.table.split.groupby(person.to_numpy()).nunique() == 1).all()
    assert patients.clean_name(prepared.table) == "clean"
    assert sum("24 patients" in sentence for sentence in prepared.sentences) == 1


def test_without_patients_slices_are_only_free_of_duplicates(tmp_path):
    """Promise no more than what is known."""
    write(tmp_path / "scans", listing(NOWHERE[0]).file)
    prepared = prepare_scans(tmp_path / "scans", cache_folder=tmp_path / "cache")
    assert patients.clean_name(prepared.table) == "free of duplicates"
    assert sum("free of duplicates" in sentence for sentence in prepared.sentences) == 1


def audited(folder: Path, out: Path, capsys) -> tuple[int, str]:
    """Audit a folder for leaks, and return the exit status and what was printed."""
    status = audit_command([str(folder), "--out", str(out), "--fail-on", "leak"])
    return status, capsys.readouterr().out


@pytest.mark.parametrize("pattern", [
    "{split}/{c}/{k}{p:03}/{s}.png", "{split}/{c}/{k}{p:03}_{s}.png",
    "{c}/{split}/{k}{p}_T1_{s}.jpg"])
@pytest.mark.parametrize("both", [True, False])
def test_the_audit_fails_on_patients_of_names_on_both_sides(tmp_path, capsys, pattern, both):
    """Fail where a patient lies on both sides, and only there."""
    split = lambda p, s: "test" if (s == 4 if both else p > 3) else "train"
    write(tmp_path / "scans", {pattern.format(split=split(p, s), c=c, k=c[:2], p=p, s=s)
                               for c in CLASSES for p in range(PEOPLE) for s in range(SLICES)})
    status, printed = audited(tmp_path / "scans", tmp_path / "out", capsys)
    assert status == both
    assert ("24 by the patient alone" in printed) == both


def test_the_audit_fails_on_patients_of_a_csv(tmp_path, capsys):
    """Fail on patients that labels.csv names, and pass when they are apart."""
    write(tmp_path / "scans", [f"p{p}_{s}.png" for p in range(8) for s in range(3)])
    rows = [(f"p{p}_{s}.png", CLASSES[p % 4], f"person{p}", s, p)
            for p in range(8) for s in range(3)]
    for both in (True, False):
        lines = [f"{path},{label},{person},{'test' if (s == 2 if both else p > 5) else 'train'}"
                 for path, label, person, s, p in rows]
        (tmp_path / "scans" / "labels.csv").write_text(
            "\n".join(["path,label,patient,split", *lines]))
        assert audited(tmp_path / "scans", tmp_path / "out", capsys)[0] == both


def shared(ids, studies, classes) -> pd.DataFrame:
    """Make the columns that placeholders are judged by."""
    return pd.DataFrame({"group": ids, "study": studies, "class_name": classes, "file": Path("a"),
                         "patient_from": "the files"})


def test_placeholders_are_nobody():
    """Group by studies where one id stands for several of them and for several classes."""
    four = np.tile(CLASSES, 10)
    studies = [f"1.{i}" for i in range(40)]
    for table, groups in (
            (shared("ANON", studies, four), 40),  # one id for everybody
            (shared(np.repeat(["X", "Y"], 20), studies, four), 40),  # one id per hospital
            (shared("ANON", studies, np.tile(["glioma", "notumor"], 20)), 40),  # two classes
            (shared("anonymised", studies, "glioma"), 40),  # a word
            (shared("N/A", studies, "glioma"), 40), (shared("nan", studies, "glioma"), 40),
            (shared("-", studies, "glioma"), 40),  # of a table's empty cells
            (shared("12345", "9.9", four), 1)):  # one study for everybody, too
        changed = patients.drop_placeholders(table)
        assert changed.group.nunique() == groups
        assert changed.patient_from.str.contains("placeholder").all()
    assert set(patients.drop_placeholders(table).group) == {""}


@pytest.mark.parametrize(("patient", "slices", "known"), [
    ("", 1, False), ("ANON", 1, False), ("", 2, True), ("ANON", 2, True), ("anon", 3, True)])
def test_files_that_are_studies_of_their_own_name_nobody(patient, slices, known):
    """Take studies for patients only where a study has more than one slice."""
    studies = [f"1.{i // slices}" for i in range(12)]
    table = shared([patient or study for study in studies], studies, "glioma").assign(
        volume="", reason="", file=[Path(f"{i}.dcm") for i in range(12)])
    settled = patients.settle_patients(table, is_layout)
    assert patients.patients_known(settled) == known
    assert ("a study of its own" in patients.describe_patients(settled)) != known


def test_real_patients_stay():
    """Keep a patient with several studies, or with and without a tumour, or of a small folder."""
    people = np.repeat([f"P{i}" for i in range(10)], 4)
    for studies, classes in ((np.tile(["1", "2"], 20), np.tile(["glioma", "notumor"], 20)),
                             ([f"1.{i}" for i in range(40)], np.repeat(["glioma", "notumor"], 20)),
                             ("", np.repeat([*CLASSES, "glioma"], 8))):
        table = shared(people, studies, classes)
        assert patients.drop_placeholders(table).equals(table)


def test_a_name_is_divided_wherever_its_number_stands():
    """Take folders and names apart, and choose the level that is a patient's."""
    for folders, patient in ((["P01"], "P01"), (["site2", "12", "ses-01"], "site2/12"),
                             (["PA1", "ST1", "SE2"], "PA1"), (["T1"], ""), (["hospitalA"], "")):
        assert patients.folder_patient(folders) == patient
    for name, levels in (("7_P0001.png", ["p0001"]), ("P01_03_07.png", ["p01", "p01_03"]),
                         ("train_P1_2.png", ["p1"]), ("12.jpg", []), ("x.jpg", [])):
        assert patients.name_levels(name, is_layout) == levels
    series = [patients.name_levels(f"P{p}_{s}_{i}.png") for p in range(6) for s in range(3)
              for i in range(4)]
    assert patients.choose_level(series).nunique() == 6
    assert patients.are_patients(patients.choose_level(series))
    assert not patients.are_patients(pd.Series(["te_gl"] * 300))


@pytest.mark.parametrize(("known", "name"), [(4, "clean"), (2, "free of duplicates"),
                                             (0, "free of duplicates")])
def test_sentences_count_what_is_known(known, name):
    """Say how patients were found, and claim no more than that."""
    table = pd.DataFrame({"group": ["A", "A", "B", "C"][:known] + [""] * (4 - known),
                          "patient_from": ["labels.csv"] * known + [""] * (4 - known)})
    counts = patients.patient_counts(table)
    assert sum(counts.values()) == 4 and counts.get("none", 0) == 4 - known
    assert patients.patients_known(table) == (name == "clean") == (known == 4)
    assert patients.clean_name(table) == name
    assert patients.count_sentence(counts).startswith("Patients are known") == bool(known)
    assert (" at best, not clean" in patients.describe_patients(table)) == (known < 4)


def test_settled_patients_keep_what_is_known():
    """Ask names only where labels.csv and the files tell nothing."""
    files = listing(IN_NAMES[0])
    table = pd.DataFrame({"file": [*map(Path, files.file)], "class_name": files.class_name,
                          "group": "", "study": "", "volume": "", "patient_from": "", "reason": ""})
    table.loc[:4, ["group", "patient_from"]] = ["Ada", "labels.csv"]
    settled = patients.settle_patients(table, is_layout)
    assert set(settled.group[:5]) == {"Ada"} and settled.group.nunique() == 24
    assert patients.patient_counts(settled) == {"file names": 115, "labels.csv": 5}
    assert patients.placeholders(table.group, table.study, table.class_name) == []


@pytest.mark.parametrize("patient", ["ANON", ""])
def test_an_error_names_what_connects_the_slices(patient):
    """Name the patient, or else the near-duplicates, and give advice."""
    table = pd.DataFrame({"path": [f"{i}.png" for i in range(40)], "label": np.arange(40) % 4,
                          "split": "train", "group": "g0", "patient": patient})
    with pytest.raises(ValueError, match="One group holds 40 of 40") as caught:
        split_table(table)
    assert ("'ANON' connects 40" if patient else "near-duplicates connect 40") in str(caught.value)
    assert connection(table.assign(group=table.path)) == ""


def test_a_card_claims_no_more_than_its_run():
    """Replace every claim of clean slices where patients are unknown."""
    text = "*clean* test slices have no duplicate in training. | clean slices | clean accuracy |"
    changed = claim_less(text, {"clean_name": "free of duplicates"})
    assert "clean" not in changed and changed.count("free of duplicates") == 3
    assert claim_less(text, {"clean_name": "clean"}) == claim_less(text, {}) == text


@pytest.mark.parametrize("word", ["nan", "N/A", "unknown", "-"])
def test_a_placeholder_is_told_and_not_counted_as_a_patient(word):
    """Count slices of a placeholder among those without a patient, and name it."""
    table = shared([word] * 4 + ["Ada"] * 4, "", "glioma").assign(
        patient_from="labels.csv", volume="", reason="", file=[Path(f"{i}.png") for i in range(8)])
    settled = patients.settle_patients(table, is_layout)
    assert not patients.patients_known(settled)
    sentence = patients.describe_patients(settled)
    assert "1 patient, known from labels.csv (4 slices); 4 slices have no known" in sentence
    assert f"'{word}' is a placeholder" in sentence
    assert "; 4 images have none." in patients.count_sentence(patients.patient_counts(settled))
