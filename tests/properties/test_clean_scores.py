"""Clean scores: a test slice with a duplicate in the training set counts for none of them."""
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from brainclust.data.cleaning import NO_CLEAN_TEST, prepare_scans
from brainclust.runs.evaluation import claims_table, compare_methods, prediction_table, summarise


def test_no_clean_score_where_nothing_is_clean(tmp_path, phantom_tree):
    """Every test slice is the mirror image of a training slice."""
    tree = Path(shutil.copytree(phantom_tree, tmp_path / "scans"))
    shutil.rmtree(tree / "Testing")
    for file in tree.glob("Training/*/*.png"):
        target = tree / "Testing" / file.parent.name / f"mirrored {file.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.array(Image.open(file))[:, ::-1]).save(target)
    scans, _, sentences, _, _ = prepare_scans(tree, cache_folder=tmp_path)
    test = scans[scans.split == "test"].reset_index(drop=True)
    assert len(test) and not test.clean.any() and NO_CLEAN_TEST in sentences
    assert NO_CLEAN_TEST not in prepare_scans(phantom_tree, cache_folder=tmp_path).sentences

    names = ("glioma", "meningioma", "notumor", "pituitary")
    perfect = np.eye(4, dtype=np.float32)[test.true_label]
    predictions = prediction_table(
        test, {"head": perfect, "clusters": perfect, "responsibilities": perfect}, perfect, names)
    comparison = compare_methods(predictions, {"k_means": test.true_label.to_numpy()}, 50)
    assert (comparison.accuracy == 1).all() and comparison[
        ["clean_accuracy", "clean_low", "clean_high"]].isna().all(axis=None)
    history = pd.DataFrame(
        [{"epoch": 1, "test_accuracy": 1.0, "test_accuracy_hungarian": 1.0, "nmi": 1.0,
          "ari": 1.0, "silhouette": 0.5}])
    results = summarise(history, predictions, comparison, 50)
    assert (results["test_accuracy"] == 1
            and np.isnan([results["test_accuracy_clean"], results["test_accuracy_clusters_clean"],
                          results["supervised_baseline_test_accuracy_clean"]]).all())
    claims = claims_table(history, predictions,
                          test.true_label.map(dict(enumerate(names))).to_numpy(), comparison,
                          names).set_index("claim")
    assert (claims.honest.drop(["accuracy at the last epoch", "silhouette"]).isna().all()
            and np.isnan(claims.honest["accuracy at the last epoch"])
            and claims.reproduced["accuracy"] == 1)
