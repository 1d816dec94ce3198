"""Properties of brainclust.runs.hub: nothing of the scans goes up, and nothing is lost."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from examples import HARMFUL_NAMES, finished_run, small_predictor
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from hypothesis import given, strategies as st

import brainclust
from brainclust.core.config import Config, make_config
from brainclust.core.files import load_arrays, load_json, save_json
from brainclust.runs import hub
from brainclust.runs.predictor import Predictor
from brainclust.runs.run import config_record


class FakeHub:
    """Keeps every commit as a folder, and refuses what the Hub refuses."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.calls = []

    def create_repo(self, repo_id, private, exist_ok):
        validate_repo_id(repo_id)
        self.calls.append(("repo", private, exist_ok))

    def create_branch(self, repo_id, branch, exist_ok):
        self.calls.append(("branch", branch))

    def upload_folder(self, *, repo_id, folder_path, revision, commit_message):
        number = f"{len(list(self.folder.glob('*'))):040x}"
        shutil.copytree(folder_path, self.folder / number)
        self.calls.append(("upload", revision))
        return SimpleNamespace(oid=number)

    def snapshot_download(self, repo_id, *, revision, allow_patterns):
        validate_repo_id(repo_id)
        found = self.folder / (revision or max(path.name for path in self.folder.glob("*")))
        if not found.exists(): raise OSError(f"404 Client Error\nno revision {revision}")
        self.calls.append(("download", revision))
        return str(found)


@pytest.fixture
def run(tmp_path) -> Path:
    """The folder of a small predictor, which may get the record of a run."""
    return Path(shutil.copytree(small_predictor().folder, tmp_path / "the run"))


@pytest.fixture
def fake(tmp_path) -> FakeHub:
    (tmp_path / "hub").mkdir()
    return FakeHub(tmp_path / "hub")


def test_a_published_predictor_predicts_the_same(run, fake):
    """Give the same outputs for every slice, at the revision that is asked for."""
    slices = np.random.default_rng(0).integers(0, 256, (6, 32, 32), dtype=np.uint8)
    own = Predictor(run, "cpu", "32-true")
    first = own.push_to_hub("me/model", api=fake)
    second = own.push_to_hub("me/model", private=False, revision="next", api=fake)
    assert first != second
    assert fake.calls == [("repo", True, True), ("upload", None), ("repo", False, True),
                          ("branch", "next"), ("upload", "next")]
    for revision in (first, None):
        other = brainclust.Predictor.from_pretrained("me/model", revision, "cpu", "32-true",
                                                     api=fake)
        for name, values in own.outputs(slices).items():
            assert np.allclose(values, other.outputs(slices)[name], equal_nan=True), name
    assert other.push_to_hub("me/again", api=fake)  # what was fetched can be published


def test_no_number_of_a_slice_but_its_place_goes_up(run, fake):
    """Leave out rows and embeddings, and shuffle the coordinates."""
    whole = load_arrays(run / "prediction.safetensors")
    Predictor(run, "cpu").push_to_hub("me/model", api=fake)
    kept = load_arrays(next(fake.folder.glob("*/prediction.safetensors")))
    assert set(whole) - set(kept) == {"rows", "embeddings"}
    assert not np.array_equal(kept["points"], whole["points"])
    assert (np.sort(kept["points"], axis=0) == np.sort(whole["points"], axis=0)).all()
    again = hub.public_reference(whole)
    assert np.array_equal(again["points"], hub.public_reference(whole)["points"])
    published = Predictor.from_pretrained("me/model", api=fake, device="cpu")
    with pytest.raises(ValueError, match="published without its training slices"):
        published.similar(np.zeros((1, whole["embeddings"].shape[1])))


@given(place=st.sampled_from(["/home/jane/patients", "C:\\scans", "scans/Jane Doe"]),
       name=st.sampled_from(["data", "out", "cache", "sources", "held_out"]))
def test_a_config_loses_every_path(place, name):
    """Keep the settings of the method, and no place of this machine."""
    config = config_record(make_config("demo", **{name: place}, external=[place]), device="cpu")
    public = hub.public_config(config)
    assert place not in json.dumps(public) and json.dumps(place)[1:-1] not in json.dumps(public)
    assert set(public) <= {*vars(Config()), "device"} and public["epochs"] == config["epochs"]
    assert hub.public_config({"data": "kaggle"})["data"] == "kaggle"


@pytest.mark.parametrize("harmful", HARMFUL_NAMES)
def test_a_card_has_yaml_in_front_and_names_no_scan(run, fake, harmful):
    """Publish the card of the run, in which a note may have named a patient."""
    finished_run(run, harmful)
    record = load_json(run / "run.json")
    record["config"] |= {"sources": "/home/jane/sources.csv", "held_out": "/home/jane/held.csv"}
    record["notes"].append("One group holds 5 of 6 slices: the patient 'Jane O'Hara' connects 5 of "
                           "them.")
    save_json(run / "run.json", record)
    save_json(run / "config.json", record["config"])
    Predictor(run, "cpu").push_to_hub("me/model", api=fake)
    (place,) = fake.folder.glob("*")
    assert sorted(path.name for path in place.iterdir()) == sorted(hub.PUBLISHED)
    card = (place / "README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["library_name"] == "brainclust" and "not-for-diagnosis" in front["tags"]
    assert 'from_pretrained("me/model")' in card and "one patient connects 5" in card
    for path in place.iterdir():
        assert not re.search(rb"Jane|jane|somewhere", path.read_bytes()), path.name


def test_a_card_with_the_path_of_a_scan_is_refused(run, fake):
    """Publish nothing if a note of the run names a file."""
    finished_run(run, "b-class")
    record = load_json(run / "run.json")
    save_json(run / "run.json", record | {"notes": ["b-class 3 is dark."]})
    with pytest.raises(ValueError, match="must hold the path of no scan; got b-class 3"):
        Predictor(run, "cpu").push_to_hub("me/model", api=fake)
    assert not list(fake.folder.glob("*"))


def test_a_model_without_a_record_gets_a_short_card(run, tmp_path):
    """Name classes and encoder of a saved estimator, and that its accuracy is not known."""
    predictor = Predictor(run, "cpu")
    card = hub.public_card(predictor, "me/model")
    assert yaml.safe_load(card.split("---\n")[1])["library_name"] == "brainclust"
    assert "# model" in card and "autoencoder, 32 px" in card and "not recorded" in card
    (tmp_path / "public").mkdir()
    hub.write_published(predictor, tmp_path / "public", "me/model")
    assert not (tmp_path / "public" / "config.json").exists()
    shutil.rmtree(run)
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="they are gone"):
        hub.write_published(predictor, tmp_path / "none", "me/model")


def test_what_the_hub_refuses_is_one_sentence(run, fake, monkeypatch):
    """Name the repository, and what can be done."""
    predictor = Predictor(run, "cpu")
    with pytest.raises(OSError, match=r"a/b/c could not be published .*hf auth login"):
        predictor.push_to_hub("a/b/c", api=fake)
    predictor.push_to_hub("me/model", api=fake)
    for name, revision, sentence in (("a/b/c", None, "neither a folder nor a repository"),
                                     ("me/model", "v9", r"\(404 Client Error\)")):
        with pytest.raises(OSError, match=sentence) as caught:
            Predictor.from_pretrained(name, revision, api=fake)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="revision must be None for a folder"):
        Predictor.from_pretrained(run, "main")
    assert Predictor.from_pretrained(str(run), device="cpu").folder == run
    with pytest.raises(HFValidationError):
        validate_repo_id("a/b/c")
