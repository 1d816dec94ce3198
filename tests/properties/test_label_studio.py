"""Labels that Label Studio exports, in all its formats, find their files and return unchanged."""
import base64
import csv
import json
import tempfile
import warnings
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from assertions import accepted, one_sentence, time_limit
from examples import class_names
from hypothesis import example, given, strategies as st
from PIL import Image

from brainclust.core.config import CLASSES
from brainclust.data import label_studio, labels, scan_table
from brainclust.runs import label_tasks, other_programs

FILES = ["p1/a.png", "p1/b.png", "p2/a.png", "p2/c 1.png"]
TRUTH = ["glioma", "notumor", "meningioma", ""]
TIMES = {"created_at": "2026-01-02T10:30:00Z", "updated_at": "2026-01-02T10:31:00Z"}


def write_scans(folder: Path, names=FILES) -> Path:
    """Write different noise under every name."""
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (12, 16), dtype=np.uint8)).save(folder / name)
    return folder


def min_rows(tasks: list[dict], chosen: list[str], control: str = "choice") -> list[dict]:
    """Return what JSON-MIN, CSV and TSV hold of tasks: an annotation each."""
    return [{**task, "id": k, "annotator": 1, "annotation_id": 10 + k, **TIMES, "lead_time": 3.2,
             **({control: choice} if choice else {})}
            for k, (task, choice) in enumerate(zip(tasks, chosen))]


def full_tasks(tasks: list[dict], chosen: list[str], control: str = "choice") -> list[dict]:
    """Return what JSON holds of tasks: annotations inside, skipped ones too, and predictions."""
    result = lambda choice: [{"id": "r", "from_name": control, "to_name": "image",
                              "type": "choices", "origin": "manual",
                              "value": {"choices": [choice]}}]
    annotation = lambda k, choice: {
        "id": 10 + k, "completed_by": {"id": 1, "email": "anna@host"}, "lead_time": 3.2, **TIMES,
        "result": result(choice) if choice else [], "was_cancelled": not choice,
        "ground_truth": False}
    return [{"id": k, "data": task, "annotations": [annotation(k, choice)], "drafts": [],
             "predictions": [{"result": result("pituitary"), "score": .4}], **TIMES}
            for k, (task, choice) in enumerate(zip(tasks, chosen))]


def write_export(folder: Path, kind: str, tasks: list[dict], chosen: list[str],
                 control: str = "choice") -> Path:
    """Write an export of one of the four formats as the label file of a folder."""
    if kind.startswith("JSON"):
        content = (full_tasks if kind == "JSON" else min_rows)(tasks, chosen, control)
        (folder / "labels.json").write_text(json.dumps(content))
        return folder / "labels.json"
    path = folder / f"labels.{kind.lower()}"
    rows = min_rows(tasks, chosen, control)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, sorted({key for row in rows for key in row}),
                                quoting=csv.QUOTE_NONNUMERIC,
                                delimiter="\t" if kind == "TSV" else ",")
        writer.writeheader()
        writer.writerows(rows)
    return path


ADDRESSES = {
    "local files": lambda name: f"/data/local-files/?d={quote('scans/' + name)}",
    "local files of Windows": lambda name: "/data/local-files/?d=C%3A%5Cscans%5C" + quote(
        name.replace("/", "\\")),
    "server": lambda name: f"http://host:8080/static/{quote(name)}?token=a/b",
    "bucket": lambda name: f"s3://bucket/some/where/{name}",
    "presigned": lambda name: "/tasks/3/resolve/?fileuri=" + base64.urlsafe_b64encode(
        f"gs://bucket/{name}".encode()).decode().rstrip("="),
    "absolute": lambda name: f"/home/anna/scans/{name}"}


@pytest.mark.parametrize("kind", ["CSV", "TSV", "JSON", "JSON-MIN"])
@pytest.mark.parametrize("address", list(ADDRESSES))
def test_every_format_and_address_gives_the_labels(kind, address, tmp_path):
    """Read the same labels from each format, wherever the images were served."""
    write_scans(tmp_path)
    write_export(tmp_path, kind, [{"image": ADDRESSES[address](name)} for name in FILES], TRUTH)
    table, left_out = scan_table.read_scan_table(tmp_path)
    found = {Path(p).relative_to(tmp_path).as_posix(): c
             for p, c in zip(table["path"], table["class_name"])}
    assert found == dict(zip(FILES, TRUTH))
    assert left_out.empty


@pytest.mark.parametrize("kind", ["CSV", "TSV", "JSON", "JSON-MIN"])
@pytest.mark.parametrize("control", ["choice", "tumour", "Diagnosis", "finding_2"])
def test_uploads_and_controls_of_any_name_are_read(kind, control, tmp_path):
    """Remove the digits of an upload, and find the choices by what they hold."""
    names = ["slice.png", "Slice (2).png", "骨 3.png", "1a2b3c4d-kept.png"]
    write_scans(tmp_path, names)
    stored = ["slice.png", "Slice_2.png", "骨_3.png", "kept.png"]
    tasks = [{"image": f"/data/upload/7/1a2b3c4d-{quote(name)}", "site": "A"} for name in stored]
    write_export(tmp_path, kind, tasks, TRUTH, control)
    table = scan_table.read_scan_table(tmp_path)[0].set_index("path")["class_name"]
    assert [table[str(tmp_path / name)] for name in names] == TRUTH


def test_excel_has_saved_the_table_with_semicolons(tmp_path):
    """Read an export that a spreadsheet has written again, with a mark of byte order."""
    write_scans(tmp_path)
    (tmp_path / "labels.csv").write_text(
        "\ufeffAnnotation_ID;Annotator;Choice;Image;Lead_Time\n"
        + "".join(f"1;1;{c};s3://b/{n};1,5\n" for n, c in zip(FILES, TRUTH)), encoding="utf-8")
    assert list(scan_table.read_scan_table(tmp_path)[0]["class_name"]) == TRUTH


def read(folder: Path, rows: list[dict]) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Read a folder with these rows as a JSON-MIN export; the last part is the warnings."""
    (folder / "labels.json").write_text(json.dumps(rows))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table, left_out = scan_table.read_scan_table(folder)
    return table, left_out, [str(w.message) for w in caught]


def row(name: str, choice, who: object = 1, **more) -> dict:
    """Return an annotation as in JSON-MIN."""
    return {"image": name, "choice": choice, "annotator": who, "annotation_id": 1,
            "lead_time": 1.5, **TIMES, **more}


@pytest.mark.parametrize(("choices", "label"), [
    (["glioma", "glioma"], "glioma"), (["glioma", "meningioma"], None),
    (["glioma", "glioma", "notumor"], None), (["glioma", ""], "glioma"), (["", ""], "")])
def test_annotators_who_disagree_are_named(choices, label, tmp_path):
    """Leave an image out on which annotators disagree, and say so with names and number."""
    write_scans(tmp_path)
    rows = [row("s3://b/p1/a.png", choice, f"reader{k}@host") for k, choice in enumerate(choices)]
    table, left_out, said = read(tmp_path, [*rows, row("s3://b/p1/b.png", "notumor")])
    found = dict(zip((Path(p).relative_to(tmp_path).as_posix() for p in table["path"]),
                     table["class_name"]))
    reasons = [why for why in left_out["reason"] if why.startswith("labels disagree")]
    assert found.get("p1/a.png") == label
    assert len(reasons) == (label is None)
    if label is None:
        assert "reader0@host" in reasons[0] and f"'{choices[-1]}'" in reasons[0]
        assert any("1 of the 2 images" in s and "p1/a.png" in s and "nothing is trained" in s
                   for s in said)


def test_the_ground_truth_settles_a_disagreement(tmp_path):
    """Take the annotation that Label Studio marks as ground truth."""
    write_scans(tmp_path)
    (one,) = full_tasks([{"image": "s3://b/p1/a.png"}], ["glioma"])
    (other,) = full_tasks([{"image": "s3://b/p1/a.png"}], ["notumor"])
    other["annotations"][0]["ground_truth"] = True
    one["annotations"] += other["annotations"]
    table, left_out, _ = read(tmp_path, [one])
    assert list(table["class_name"]) == ["notumor"]


@pytest.mark.parametrize(("rows", "words"), [
    ([row("p1/a.png", "cyst")], "got 'cyst'"),
    ([row("p1/a.png", "cyst"), row("p1/b.png", "glioma")], "got 'cyst'"),
    ([row("p1/a.png", {"choices": ["glioma", "notumor"]})], "one choice per image"),
    ([row("/data/upload/1/00112233-a.png", "glioma")], "must tell files of one name apart"),
    ([row("p9/z.png", "glioma")], "must name images that lie in its folder"),
    ([row("p1/a.png", "glioma"), row("p9/z.png", "glioma")], "must name files that exist"),
    ([row("p1/a.png", [{"x": 1, "rectanglelabels": ["glioma"]}])], "must have one column of choic"),
    ([row("p1/a.png", "", guess="glioma", second="notumor")], "must have one column of choices"),
    ([row("p1/a.png", "glioma", split="later")], "must hold train, test")])
def test_rows_that_cannot_be_understood_are_named(rows, words, tmp_path):
    """Refuse unknown, several and unreadable choices, and images that are not there."""
    write_scans(tmp_path)
    with pytest.raises(ValueError, match=words) as error:
        read(tmp_path, rows)
    one_sentence(error.value)


def test_a_control_of_yes_and_no_is_not_one_of_classes(tmp_path):
    """Tell a second control from the classes, although *no* is the name of a class."""
    write_scans(tmp_path)
    rows = [{**row(f"s3://b/{name}", ""), "tumour": label, "artefact": other}
            for name, label, other in zip(FILES, ["glioma", "no", "Glioma", ""], ["yes", "no"] * 2)]
    assert list(read(tmp_path, rows)[0]["class_name"]) == ["glioma", "notumor", "glioma", ""]


def test_fifty_thousand_annotations_are_read_in_seconds(tmp_path):
    """Read a large export, with disagreements."""
    files = [Path(f"p{k % 500}/{k}.png") for k in range(25_000)]
    table = pd.DataFrame({"image": [f"s3://b/{f.as_posix()}" for f in files] * 2,
                          "choice": ["glioma"] * 49_000 + ["notumor"] * 1000,
                          "annotator": "a", "annotation_id": "1", "lead_time": "1"})
    table.to_csv(tmp_path / "labels.csv", index=False)
    with time_limit(60), pytest.warns(UserWarning, match="1000 of the 25000 images"):
        rows = label_studio.read_export_labels(tmp_path / "labels.csv", files)
    assert (rows["label"] == "glioma").sum() == 24_000


def test_patients_and_splits_of_tasks_are_kept(tmp_path):
    """Read patient and split that a task holds beside its image."""
    write_scans(tmp_path)
    rows = [row(f"s3://b/{name}", "glioma", patient=f"P{k // 2}", split=split)
            for k, (name, split) in enumerate(zip(FILES, ["train", "train", "test", "test"]))]
    table = read(tmp_path, rows)[0]
    assert list(table["group"]) == ["P0", "P0", "P1", "P1"]
    assert list(table["split"]) == ["train", "train", "test", "test"]


def test_the_audit_reads_the_same_labels(tmp_path):
    """Audit a folder with an export as one with a table of labels."""
    from brainclust.data.audit import infer_classes, place_files
    write_scans(tmp_path)
    write_export(tmp_path, "CSV", [{"image": f"s3://b/{n}"} for n in FILES], TRUTH, "choice")
    assert infer_classes(tmp_path) == ("glioma", "meningioma", "notumor")
    placed = place_files(tmp_path, [Path(n) for n in FILES])
    assert list(placed["class_name"]) == TRUTH


def test_ordinary_tables_and_other_json_files_stay_what_they_are(tmp_path):
    """Recognise exports by their content, not by their name."""
    write_scans(tmp_path)
    (tmp_path / "labels.json").write_text(json.dumps({"images": [], "annotations": []}))
    assert label_studio.label_file(tmp_path) is None
    (tmp_path / "labels.tsv").write_text("path\tlabel\tannotator\np1/a.png\tglioma\tAnna\n")
    assert label_studio.label_file(tmp_path).name == "labels.tsv"
    assert not label_studio.is_export(["path", "label", "annotator"])
    assert label_studio.read_export(tmp_path / "labels.tsv") is None
    table, left_out = scan_table.read_scan_table(tmp_path)
    assert list(table["class_name"]) == ["glioma"]
    assert "not listed: labels.tsv has no row for it" in set(left_out["reason"])


@pytest.mark.parametrize("kind", ["CSV", "TSV", "JSON", "JSON-MIN"])
def test_predictions_return_as_labels(kind, tmp_path):
    """Write tasks, export their labels as Label Studio does, and read them in both folders."""
    scans = write_scans(tmp_path / "my scans")
    names = list(CLASSES)
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(4), len(FILES))
    table = pd.DataFrame({"path": [str(scans / n) for n in FILES],
                          "class": np.array(names)[p.argmax(1)],
                          **{f"prob_{c}": p[:, k] for k, c in enumerate(names)},
                          "patient": [n[:2] for n in FILES], "plane": "", "frame": -1})
    table.to_csv(tmp_path / "predictions.csv", index=False)
    out = tmp_path / "to label"
    other_programs.check_exports([scans], out, None)
    other_programs.write_exports(tmp_path / "predictions.csv", [scans], names, "run", out, None)
    tasks = json.loads((out / "tasks.json").read_text())
    config = ElementTree.parse(out / "labelling.xml")
    control = config.find("Choices")
    for task in tasks:
        (prediction,) = task["predictions"]
        (result,) = prediction["result"]
        assert (result["from_name"], result["to_name"]) == (control.get("name"),
                                                            control.get("toName"))
        assert result["value"]["choices"][0] in [c.get("value") for c in control]
        assert config.find("Image").get("value") == "$image" and "image" in task["data"]
        assert 0 <= prediction["score"] <= 1 and prediction["model_version"] == "run"
    uncertain = [task["data"]["uncertainty"] for task in tasks]
    assert uncertain == sorted(uncertain, reverse=True)
    truth = dict(zip(FILES, TRUTH))
    chosen = [truth[task["data"]["path"]] for task in tasks]
    for folder in (scans, out):
        path = write_export(folder, kind, [task["data"] for task in tasks], chosen)
        read_back = scan_table.read_scan_table(folder)[0]
        path.unlink()
        assert sorted(zip(read_back["class_name"], read_back["group"])) == sorted(
            (truth[n], n[:2]) for n in FILES)


def test_labels_of_slices_do_not_become_those_of_a_volume(tmp_path):
    """Refuse labels of single slices beside the volume, and name the folder to use."""
    write_scans(tmp_path, ["v.png"])
    rows = [{**row("", "glioma"), "path": "v.png", "frame": "80"}]
    with pytest.raises(ValueError, match="label single slices of volumes"):
        read(tmp_path, rows)


@given(names=st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=5, unique=True))
def test_any_class_name_fits_the_interface(names):
    """Write XML that reads as the same names, or refuse none but control characters."""
    kept = ["".join(c for c in name if c.isprintable()) or "x" for name in names]
    config = ElementTree.fromstring(label_tasks.labelling_config(kept))
    assert [c.get("value") for c in config.iter("Choice")] == kept


def test_unlikely_names_of_classes_and_files_become_tasks():
    """Describe a slice of any name."""
    for k, name in enumerate(class_names(12)):
        found = {"path": f"/x/{name.replace('/', '-')[:60]}.png", "frame": k, "class": name,
                 f"prob_{name}": .5, "uncertainty": 1., "patient": "", "plane": ""}
        task = label_tasks.label_task(found, "out", Path("/x"), [name], "run")
        assert json.loads(json.dumps(task)) == task
        assert label_tasks.picture_name(found["path"], k).endswith(".png")


@given(p=st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=5))
def test_uncertainty_lies_between_none_and_all(p):
    """Keep uncertainty in [0, 1], whatever the probabilities."""
    found = label_tasks.uncertainties(np.array(p))
    assert ((found >= 0) & (found <= 1)).all()


@given(address=st.text(max_size=40), column=st.text(max_size=20))
def test_any_address_and_choice_is_understood_or_not(address, column):
    """Find one file, none or several by any text, and choices or none."""
    index = label_studio.FileIndex([Path("a/b.png"), Path("b.png"), Path("骨.dcm")])
    assert len(index.find(address)) <= 3
    assert all(label_studio.address_candidates(address))
    found = label_studio.choices_of(column)
    assert found is None or all(isinstance(choice, str) for choice in found)


@given(content=st.recursive(
    st.none() | st.booleans() | st.text(max_size=5) | st.integers(-2, 2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["data", "annotations", "result", "value", "choices", "from_name", "image",
                         "annotation_id", "lead_time", "annotator", "choice", "completed_by"]),
        inner, max_size=5), max_leaves=30))
@example(content={"annotation_id": None, "lead_time": None})  # no column but bookkeeping
def test_any_json_is_read_refused_or_passed_over(content):
    """Read an export of any content, or refuse it in one sentence."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "labels.json"
        path.write_text(json.dumps([content]))
        accepted(label_studio.label_file, Path(name), refuses=(ValueError,))
        accepted(label_studio.read_export, path, refuses=(ValueError,))
        accepted(label_studio.read_export_labels, path, [Path("a.png")], refuses=(ValueError,))
        accepted(labels.read_label_rows, path, [Path("a.png")], refuses=(ValueError,))


def test_columns_of_images_and_choices_are_found():
    """Prefer the column that leads to files, and the choices that hold classes."""
    table = pd.DataFrame({"image": ["x/a.png"], "thumb": ["y/z.png"], "choice": ["glioma"],
                          "annotation_id": ["1"]})
    index = label_studio.FileIndex([Path("a.png")])
    assert label_studio.file_column(Path("labels.csv"), table, index) == "image"
    assert label_studio.choice_column(Path("labels.csv"), table) == "choice"
    for wrong in (Path("scans"), Path("scans/out")):
        accepted(label_tasks.check_outside, wrong, [Path("scans")], "--label-studio")


def test_a_volume_gives_pictures_of_its_slices(tmp_path):
    """Write the slices of a NIfTI volume as pictures, the most uncertain first."""
    import nibabel
    rng = np.random.default_rng(0)
    volume = rng.integers(0, 1000, (20, 22, 18)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "sub-01_T1w.nii.gz")
    table = pd.DataFrame({"path": str(tmp_path / "sub-01_T1w.nii.gz"), "class": "a",
                          "prob_a": [.9, .6, .5], "prob_b": [.1, .4, .5], "patient": "sub-01",
                          "plane": "axial", "frame": [3, 4, 5]})
    table.to_csv(tmp_path / "p.csv", index=False)
    counts = label_tasks.write_label_tasks(tmp_path / "p.csv", tmp_path / "out", ["a", "b"], "run",
                                           tmp_path / "cache", maximum=2)
    tasks = json.loads((tmp_path / "out/tasks.json").read_text())
    assert counts == (2, 3)
    assert [task["data"]["frame"] for task in tasks] == ["5", "4"]
    assert len(list((tmp_path / "out/images").glob("sub-01_T1w-*.png"))) == 2
