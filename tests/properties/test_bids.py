"""BIDS trees are read by their names and tables, and predictions become datasets of derivatives."""
import json
import os
import re
import string
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from assertions import one_sentence
from hypothesis import given, strategies as st

from brainclust.data import audit, bids, scan_files, scan_table
from brainclust.data.scan_table import read_scan_table
from brainclust.runs import bids_derivatives, prediction_files

TABLE = ("participant_id\tage\tsex\tdiagnosis\nsub-01\t51\tF\tGlioma\nsub-02\t60\tM\tno_tumor\n"
         "sub-03\t44\tF\tn/a\n")


def write_volume(path: Path, seed: int = 0, labels: bool = False) -> None:
    """Write a small volume of grey values, or of labels on its grid."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 3 if labels else 900, (18, 20, 16)).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([2, 2, 2, 1])), path)


def write_tree(folder: Path, names: list[str], table: str | None = TABLE,
               described: bool = True) -> Path:
    """Write a tree of volumes with these names."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(names):
        write_volume(folder / name, k)
    if described:
        (folder / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.8.0"}')
    if table is not None: (folder / "participants.tsv").write_text(table, encoding="utf-8")
    return folder


def read(folder: Path, cache: Path, **options) -> tuple[dict, dict, list[str]]:
    """Return class and patient by file, reasons by file, and warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table, left_out = scan_table.read_scan_table(folder, cache_folder=cache, **options)
    relative = lambda path: Path(path).relative_to(folder.absolute()).as_posix()
    found = {relative(v): (c, g) for v, c, g in zip(table["volume"], table["class_name"],
                                                    table["group"])}
    reasons = {relative(p): why for p, why in zip(left_out["path"], left_out["reason"])}
    return found, reasons, [str(w.message) for w in caught]


T1 = [f"sub-{k:02d}/anat/sub-{k:02d}_T1w.nii.gz" for k in (1, 2, 3)]
SESSIONS = [f"sub-{k:02d}/ses-pre/anat/sub-{k:02d}_ses-pre_T1w.nii.gz" for k in (1, 2, 3)]
CLASSES_OF_SUBJECTS = ["glioma", "notumor", ""]


@pytest.mark.parametrize("names", [T1, SESSIONS])
@pytest.mark.parametrize("place", ["", "rawdata"])
@pytest.mark.parametrize("described", [True, False])
def test_classes_come_from_the_table_of_participants(names, place, described, tmp_path):
    """Give every slice the class and the patient of its subject."""
    folder = tmp_path / "study"
    write_tree(folder / place, names, described=described)
    found, _, _ = read(folder, tmp_path / "cache")
    assert [found[(Path(place) / n).as_posix()] for n in names] == [
        (c, f"sub-{k:02d}") for k, c in enumerate(CLASSES_OF_SUBJECTS, 1)]
    table = scan_table.read_scan_table(folder, cache_folder=tmp_path / "cache")[0]
    assert set(table["sequence"]) == {"T1w"}
    assert set(table["session"]) == {"pre" if names is SESSIONS else ""}
    assert set(table["plane"]) == {"axial"}


@pytest.mark.parametrize("table", [
    TABLE.replace("sub-", ""), "\ufeff" + TABLE, TABLE.replace("\t", ";"), TABLE.replace("\t", ","),
    TABLE.replace("\n", "\r\n"), TABLE.replace("diagnosis", "Tumor_Type"),
    TABLE.replace("diagnosis", "finding"), TABLE.replace("n/a", ""),
    TABLE.replace("age\tsex", "sex\tsmoker").replace("51\tF", "F\tno").replace(
        "60\tM", "M\tno").replace("44\tF", "F\tno")])
def test_tables_of_participants_vary(table, tmp_path):
    """Read tables without prefix, of other programs, and with other columns."""
    write_tree(tmp_path / "ds", T1, table)
    found, _, _ = read(tmp_path / "ds", tmp_path / "cache")
    assert [found[name][0] for name in T1] == CLASSES_OF_SUBJECTS


@pytest.mark.parametrize(("table", "words"), [
    (TABLE.replace("n/a", "abscess"), "'abscess'. Correct"),
    (TABLE + "sub-01\t51\tF\tpituitary\n", "one class; got two for '01'"),
    (TABLE.replace("age", "group").replace("51", "pituitary").replace("60", "glioma").replace(
        "44", "glioma"), "'group' and 'diagnosis', which differ"),
    ("subject\tdiagnosis\n01\tglioma\n", "must have the column participant_id"), ("", "table")])
def test_tables_that_contradict_themselves_are_refused(table, words, tmp_path):
    """Refuse unknown classes, two classes of a subject and two columns of classes."""
    write_tree(tmp_path / "ds", T1, table)
    with pytest.raises(ValueError, match=re.escape(words)) as error:
        read(tmp_path / "ds", tmp_path / "cache")
    one_sentence(error.value)


@pytest.mark.parametrize(("table", "words"), [
    (TABLE.replace("Glioma", "patient").replace("no_tumor", "control"), "names no known class"),
    (TABLE.replace("sub-03\t44\tF\tn/a\n", ""), "no row for 1 of the subjects (03)")])
def test_subjects_without_a_class_are_told(table, words, tmp_path):
    """Say that a column of classes is unknown, or that a subject has no row."""
    write_tree(tmp_path / "ds", T1, table)
    assert any(words in sentence for sentence in read(tmp_path / "ds", tmp_path / "cache")[2])


LEFT_OUT = {
    "derivatives/fmriprep/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz": "BIDS derivatives",
    "sourcedata/sub-01/raw.nii.gz": "BIDS sourcedata", "code/figure.nii.gz": "BIDS code",
    "sub-01/func/sub-01_task-rest_bold.nii.gz": "BIDS func",
    "sub-01/dwi/sub-01_dir-AP_dwi.nii.gz": "BIDS dwi",
    "sub-01/fmap/sub-01_magnitude1.nii.gz": "BIDS fmap",
    "sub-01/fmap/sub-01_acq-x_epi.nii.gz": "BIDS fmap",
    "sub-01/perf/sub-01_asl.nii.gz": "BIDS perf",
    "sub-01/pet/sub-01_trc-FDG_pet.nii.gz": "BIDS pet",
    "sub-01/anat/sub-01_desc-brain_mask.nii.gz": "segmentation",
    "sub-01/anat/sub-01_dseg.nii.gz": "segmentation",
    "sub-01/anat/sub-01_label-GM_probseg.nii.gz": "segmentation",
    "sub-01/anat/sub-01_mod-T1w_defacemask.nii.gz": "segmentation",
    "sub-01/anat/sub-01_T1map.nii.gz": "BIDS T1map",
    "sub-01/anat/sub-01_UNIT1.nii.gz": "BIDS UNIT1",
    "sub-01/anat/sub-01_part-phase_T2starw.nii.gz": "BIDS part-phase",
    "sub-02/anat/sub-02_FLAIR.nii.gz": "ignored", "extra/a.nii.gz": "ignored"}


@pytest.mark.parametrize("place", ["", "rawdata"])
def test_files_that_are_no_scans_have_their_reasons(place, tmp_path):
    """Leave out other data, results and ignored files, each with its reason."""
    folder = tmp_path / "ds"
    tree = write_tree(folder / place, [*T1, *LEFT_OUT])
    (tree / ".bidsignore").write_text("# not of interest\n*_FLAIR.nii.gz\nextra/\n")
    found, reasons, _ = read(folder, tmp_path / "cache")
    prefix = f"{place}/" if place else ""
    assert set(found) == {prefix + name for name in T1}
    for name, start in LEFT_OUT.items():
        assert reasons[prefix + name].startswith(start), name
    read_too, _ = prediction_files.list_inputs([folder])
    assert {p.relative_to(folder).as_posix() for p in read_too} == set(found)


def test_results_beside_the_raw_data_are_no_scans(tmp_path):
    """Leave out `derivatives` beside `rawdata`, but read a derivative that is given alone."""
    write_tree(tmp_path / "study/rawdata", T1)
    made = tmp_path / "study/derivatives/prep"
    write_tree(made, [T1[0].replace("_T1w", "_desc-preproc_T1w")], None)
    found, reasons, _ = read(tmp_path / "study", tmp_path / "cache")
    assert len(found) == 3 and any(w.startswith("BIDS derivatives") for w in reasons.values())
    assert len(read(made, tmp_path / "cache")[0]) == 1
    assert len(read(tmp_path / "study/derivatives", tmp_path / "cache")[0]) == 1


def test_several_sequences_are_told(tmp_path):
    """Say which sequences a tree holds, and follow the advice."""
    names = [*T1, *(n.replace("T1w", "T2w") for n in T1), T1[0].replace("T1w", "FLAIR")]
    write_tree(tmp_path / "ds", names)
    said = read(tmp_path / "ds", tmp_path / "cache")[2]
    assert any("T1w (3), T2w (3), FLAIR (1)" in s and ".bidsignore" in s for s in said)
    (tmp_path / "ds/.bidsignore").write_text("*_FLAIR.nii.gz\n*_T2w.nii.gz\n")
    found, _, said = read(tmp_path / "ds", tmp_path / "cache")
    assert list(found) == T1 and not any("sequences" in s for s in said)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_files_of_datalad_that_were_not_fetched_are_called_that(tmp_path):
    """Name a link whose content git-annex has not fetched."""
    write_tree(tmp_path / "ds", T1)
    (tmp_path / "ds/sub-02" / "anat/sub-02_T2w.nii.gz").symlink_to(
        "../../.git/annex/objects/x/MD5E-s7--0.nii.gz")
    reasons = read(tmp_path / "ds", tmp_path / "cache")[1]
    assert reasons["sub-02/anat/sub-02_T2w.nii.gz"].startswith("git-annex pointer")


def test_class_folders_and_labels_go_before_the_table(tmp_path):
    """Read trees inside class folders, and a `labels.csv` of subjects, as before."""
    write_tree(tmp_path / "c/glioma", T1[:1], TABLE.replace("Glioma", "pituitary"))
    write_tree(tmp_path / "c/notumor", T1[1:], None, described=False)
    found = read(tmp_path / "c", tmp_path / "cache")[0]
    assert {c for c, _ in found.values()} == {"glioma", "notumor"}
    write_tree(tmp_path / "ds", T1)
    (tmp_path / "ds/labels.csv").write_text("path,label\nsub-01,pituitary\nsub-02,no\nsub-03,no\n")
    found = read(tmp_path / "ds", tmp_path / "cache")[0]
    assert [found[n][0] for n in T1] == ["pituitary", "notumor", "notumor"]


@pytest.mark.parametrize("names", [
    [n.replace("/anat", "") for n in T1], [Path(n).name for n in T1],
    [f"all/{Path(n).name}" for n in T1]])
def test_flattened_trees_have_classes_too(names, tmp_path):
    """Read volumes that were taken out of their folders, beside the table."""
    write_tree(tmp_path / "ds", names, described=False)
    found = read(tmp_path / "ds", tmp_path / "cache")[0]
    assert [found[n][0] for n in names] == CLASSES_OF_SUBJECTS


def test_pictures_with_names_of_subjects_are_no_tree(tmp_path):
    """Do not take slices that are named after subjects for a BIDS tree."""
    files = [Path(f"glioma/sub-{k}/sub-{k}_slice{i}.png") for k in range(3) for i in range(3)]
    assert bids.bids_roots(files) == []
    assert bids.bids_reasons(tmp_path, files) == {}
    rows = pd.DataFrame({"file": files})
    assert bids.label_by_bids(rows, tmp_path, files, ("a", "b")) is rows


def test_an_audit_takes_no_subject_for_a_class(tmp_path):
    """Place the files of a tree without classes."""
    write_tree(tmp_path / "ds", T1, None)
    files = scan_files.list_scan_files(tmp_path / "ds")
    assert set(audit.place_files(tmp_path / "ds", files)["class_name"]) == {""}


@given(name=st.text(max_size=30))
def test_any_name_has_entities_or_none(name):
    """Read the entities of any name."""
    found = bids.bids_entities(name)
    assert not found or {"sub", "suffix"} <= set(found)
    assert isinstance(bids.bids_reason(Path(name)), str)


@given(lines=st.lists(st.text(string.printable, max_size=12), max_size=4),
       path=st.text(max_size=20))
def test_any_pattern_is_understood(lines, path):
    """Apply any text as patterns."""
    assert bids.ignore_rule(lines)(path) in (True, False)


def test_participants_are_read_as_text(tmp_path):
    """Keep subject 007 and a class called no as they are written."""
    (tmp_path / "participants.tsv").write_text("participant_id\tdx\n007\tno\n008\tglioma\n")
    table = bids.read_participants(tmp_path / "participants.tsv")
    assert bids.class_of_subjects(tmp_path, table, ("glioma", "notumor")) == (
        {"007": "notumor", "008": "glioma"}, "dx")


# The rules of the specification (common principles, derivatives), as far as they concern us.
ENTITY = "[a-zA-Z]+-[a-zA-Z0-9]+"
NAME = re.compile(rf"sub-[a-zA-Z0-9]+(_{ENTITY})*_[a-zA-Z0-9]+\.(tsv|json|nii\.gz)")
TOP = {"dataset_description.json", "participants.tsv", "participants.json", "README",
       ".bidsignore"}


def check_dataset(folder: Path) -> dict[str, pd.DataFrame]:
    """Check a dataset of derivatives against BIDS, and return its tables."""
    described = json.loads((folder / "dataset_description.json").read_text())
    assert {"Name", "BIDSVersion", "DatasetType", "GeneratedBy"} <= set(described)
    assert described["DatasetType"] == "derivative"
    assert re.fullmatch(r"\d+\.\d+\.\d+", described["BIDSVersion"])
    assert all({"Name", "Version"} <= set(maker) for maker in described["GeneratedBy"])
    assert all(set(source) <= {"URL", "DOI", "Version"} for source in described["SourceDatasets"])
    tables = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        place = path.relative_to(folder)
        if len(place.parts) > 1:
            assert NAME.fullmatch(path.name), path.name
            pairs = path.name.split("_")[:-1]
            assert list(place.parts[:-2]) == [p for p in pairs if p[:4] in ("sub-", "ses-")]
            assert place.parts[-2] == "anat"
        else:
            assert path.name in TOP
        if path.suffix != ".tsv": continue
        text = path.read_bytes().decode()
        rows = [line.split("\t") for line in text.rstrip("\n").split("\n")]
        assert len({len(row) for row in rows}) == 1 and len(set(rows[0])) == len(rows[0])
        assert all(value and value.strip() == value for row in rows for value in row)
        sidecar = json.loads(path.with_suffix(".json").read_text())
        assert all("Description" in entry for entry in sidecar.values())
        assert place.parts[0] == "participants.tsv" or set(sidecar) == set(rows[0])
        tables[place.as_posix()] = pd.DataFrame(rows[1:], columns=rows[0])
    people = tables["participants.tsv"]["participant_id"]
    assert people.is_unique and people.str.fullmatch("sub-[a-zA-Z0-9]+").all()
    assert set(people) == {place.split("/")[0] for place in tables if "/" in place}
    return tables


def predictions(paths: list[Path], patients: list[str], file: Path) -> Path:
    """Write predictions of slices as `predict_files` does."""
    pd.DataFrame({
        "path": [str(p) for p in paths], "class": (["glioma", ""] * len(paths))[:len(paths)],
        "prob_glioma": .75, "prob_no tumour\t2": .25,
        "prediction_set": "glioma", "abstain": [k % 2 == 0 for k in range(len(paths))],
        "cluster": 1, "subtype": "", "ood_score": np.nan, "in_distribution": True,
        "patient": patients, "plane": "axial", "frame": [k - 1 for k in range(len(paths))],
    }).to_csv(file, index=False)
    return file


@pytest.mark.parametrize("names", [T1, SESSIONS, [*T1, *SESSIONS]])
def test_predictions_of_a_tree_are_a_valid_derivative(names, tmp_path):
    """Write a table per subject and session into `derivatives` of the tree."""
    paths = [tmp_path / "ds" / name for name in names]
    (tmp_path / "ds").mkdir()
    table = predictions(paths, [p.name[:6] for p in paths], tmp_path / "p.csv")
    made = tmp_path / "ds/derivatives/brainclust"
    for _ in range(2):  # a second time over the first
        count = bids_derivatives.write_bids_derivatives(table, made, [tmp_path / "ds"],
                                                        ["glioma", "no tumour\t2"], "run")
    tables = check_dataset(made)
    assert count == len(tables) - 1 == len(names)
    first = tables[next(k for k in tables if k.startswith("sub-01"))]
    assert first["source"].tolist() == [names[0]] and first["frame"][0] == "n/a"
    assert first["abstain"][0] == "true" and first["ood_score"][0] == "n/a"


@pytest.mark.parametrize("patients", [
    ["P-01", "P01", "p_01"], ["", "", ""], ["骨", "кот", "骨"], ["Müller, Anna", "A\tB", "x" * 90],
    ["sub-1", "sub-1", "1"]])
def test_patients_of_any_name_become_subjects(patients, tmp_path):
    """Write scans that are not in BIDS, a subject for each patient."""
    paths = [tmp_path / "scans" / f"IM {k}.dcm" for k in range(3)]
    table = predictions(paths, patients, tmp_path / "p.csv")
    bids_derivatives.write_bids_derivatives(table, tmp_path / "out", [tmp_path / "scans"],
                                            ["glioma", "no tumour\t2"], "run")
    tables = check_dataset(tmp_path / "out")
    expected = len(set(patients)) if any(patients) else 3
    assert len(tables["participants.tsv"]) == expected
    assert len(set(bids_derivatives.subject_labels(sorted(set(patients))).values())) == len(
        set(patients))


def test_foreign_datasets_are_not_overwritten(tmp_path):
    """Refuse a folder that holds something else, or lies among the scans."""
    write_tree(tmp_path / "ds", T1[:1])
    (tmp_path / "other").mkdir()
    (tmp_path / "other/dataset_description.json").write_text('{"GeneratedBy": [{"Name": "x"}]}')
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a.txt").write_text("mine")
    for folder in ("ds", "ds/out", "ds/derivatives", "other", "full", "full/a.txt"):
        with pytest.raises(ValueError, match="The folder of --bids must") as error:
            bids_derivatives.check_derivative(tmp_path / folder, [tmp_path / "ds"])
        one_sentence(error.value)
    for folder in ("ds/derivatives/brainclust", "new", "deep/new"):
        bids_derivatives.check_derivative(tmp_path / folder, [tmp_path / "ds"])


def test_the_source_is_named_by_its_identifier(tmp_path):
    """Name the source by its DOI where it has one, else by its address."""
    (tmp_path / "dataset_description.json").write_text('{"DatasetDOI": "doi:10.1/x"}')
    found = bids_derivatives.dataset_description([tmp_path, tmp_path / "a"], "run")
    assert found["SourceDatasets"] == [{"DOI": "doi:10.1/x"}, {"URL": (tmp_path / "a").as_uri()}]


@pytest.mark.parametrize(("image", "mask"), [
    ("sub-01_T1w.nii.gz", "sub-01/anat/sub-01_space-T1w_desc-tumour_mask.nii.gz"),
    ("sub-01_run-1_acq-x_ses-2_FLAIR.nii",
     "sub-01/ses-2/anat/sub-01_ses-2_acq-x_run-1_space-FLAIR_desc-tumour_mask.nii.gz"),
    ("sub-A_ce-Gd_rec-norm_T1w.nii.gz",
     "sub-A/anat/sub-A_ce-Gd_rec-norm_space-T1w_desc-tumour_mask.nii.gz")])
def test_masks_have_names_of_the_specification(image, mask):
    """Order the entities of a mask as the specification does."""
    found = bids_derivatives.tumour_mask_path(image)
    assert found.as_posix() == mask
    assert bids.bids_reason(found).startswith("segmentation")
    assert bids_derivatives.derivative_path({"desc": "x", "sub": "1"}, "mask", ".png").as_posix(
        ) == "sub-1/anat/sub-1_desc-x_mask.png"


def test_values_of_tables_stay_in_their_cells(tmp_path):
    """Write tabs, line breaks and missing values so that a table stays a table."""
    bids_derivatives.write_tsv(pd.DataFrame({"a": ["x\ty\nz", "", None, np.nan], "b": True}),
                               tmp_path / "a.tsv")
    assert (tmp_path / "a.tsv").read_text().splitlines()[1:3] == ["x y z\ttrue", "n/a\ttrue"]
    found = bids_derivatives.column_descriptions(["class", "prob_x", "new_one"], ["x"])
    assert set(found["class"]["Levels"]) == {"x"}
    assert "probability" in found["prob_x"]["Description"]


@pytest.mark.parametrize("image, mask, expected", [
    ("sub-1/anat/sub-1_T1w.nii.gz", "m.nii.gz", "sub-1/anat/sub-1_space-T1w_desc-tumour_mask"),
    ("sub-1/ses-a/anat/sub-1_ses-a_run-2_FLAIR.nii", "m.nii.gz",
     "sub-1/ses-a/anat/sub-1_ses-a_run-2_space-FLAIR_desc-tumour_mask"),
    ("patient.nii.gz", "m.nii.gz", ""), ("sub-1/anat/sub-1_T1w.nii.gz", "m.png", ""),
    ("sub-1/anat/sub-1_T1w.nii.gz", "", "")])
def test_masks_of_bids_volumes_join_the_derivative(image, mask, expected, tmp_path):
    """Copy NIfTI masks of volumes that have BIDS names, with a sidecar, and no other."""
    (tmp_path / "m.nii.gz").write_bytes(b"voxels")
    table = pd.DataFrame({"path": [str(tmp_path / "ds" / image)] * 3,
                          "mask": [str(tmp_path / mask) if mask else ""] * 2 + [""]})
    made = tmp_path / "out"
    stale = made / "sub-9" / "anat" / "sub-9_space-T1w_desc-tumour_mask.nii.gz"
    stale.parent.mkdir(parents=True)
    stale.touch()
    count = bids_derivatives.write_tumour_masks(table, made, [tmp_path / "ds"])
    written = sorted(path.relative_to(made).as_posix() for path in made.rglob("*mask.*"))
    assert (count, written) == ((1, [f"{expected}.json", f"{expected}.nii.gz"]) if expected
                                else (0, []))
    if expected:
        assert (made / f"{expected}.nii.gz").read_bytes() == b"voxels"
        sidecar = json.loads((made / f"{expected}.json").read_text())
        assert sidecar["Sources"] == [image] and "not for diagnosis" in sidecar["Description"]
    assert bids_derivatives.write_tumour_masks(table[["path"]], made, []) == 0


@pytest.mark.parametrize("column, wrong", [
    (["train", "heldout"], "got heldout"), (["train", "9"], "got 9"), (["test", "n/a"], None)])
def test_splits_of_participants_are_split_names(column, wrong, tmp_path):
    """Refuse a split that is none, instead of training on the subject."""
    for subject in ("01", "02"):
        (tmp_path / f"sub-{subject}" / "anat").mkdir(parents=True)
        image = nibabel.Nifti1Image(np.random.default_rng(0).integers(
            0, 900, (24, 24, 24)).astype(np.int16), np.eye(4))
        nibabel.save(image, tmp_path / f"sub-{subject}" / "anat" / f"sub-{subject}_T1w.nii.gz")
    rows = "".join(f"sub-0{i}\tglioma\t{value}\n" for i, value in enumerate(column, 1))
    (tmp_path / "participants.tsv").write_text(f"participant_id\tgroup\tsplit\n{rows}")
    (tmp_path / "dataset_description.json").write_text('{"Name": "a", "BIDSVersion": "1.10.0"}')
    with warnings.catch_warnings(action="ignore"):
        if wrong:
            with pytest.raises(ValueError, match=f"must hold train or test.*{wrong}"):
                read_scan_table(tmp_path, cache_folder=tmp_path / "cache")
            return
        table = read_scan_table(tmp_path, cache_folder=tmp_path / "cache")[0]
    assert set(table["split"][table["group"] == "sub-01"]) == {"test"}
