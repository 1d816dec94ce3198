"""Names with HTML in the pieces of the web app."""

import pandas as pd
from assertions import harmless
from examples import UNLIKELY_NAMES, stub_workbench
from hypothesis import given, strategies as st
from strategies import seeds

from brainclust.app import pieces, views
from brainclust.core.files import save_json
from brainclust.runs import run as run_module


@given(n=st.integers(1, 15), named=st.booleans(), seed=seeds(), classes=st.sampled_from((1, 4, 40)))
def test_pieces_of_the_web_app_are_escaped(n, named, seed, classes):
    """Escape every name in the cards, pairs and label errors of the web app."""
    bench = stub_workbench(n, named, seed, classes)
    (bench.run / "tables").mkdir()
    pd.DataFrame(
        {
            "path": bench.collection.table.path,
            "label_error": True,
            "given": UNLIKELY_NAMES[6],
            "suggested": UNLIKELY_NAMES[6],
        }
    ).to_csv(bench.run / "tables" / "label_errors.csv", index=False)
    save_json(bench.run / "run.json", {"files": run_module.written_files(bench.run)})
    for piece in (pieces.render_template("banner", words=UNLIKELY_NAMES[6]),
                  pieces.groups_html(bench), pieces.pairs_html(bench),
                  pieces.label_errors_html(bench),
                  pieces.label_html(bench, 0, True), pieces.label_html(bench, None)):
        harmless(piece)
    known = (bench.collection.table.label >= 0).sum()
    assert f"{known} labels look wrong" in pieces.label_errors_html(bench)
    assert f"{n} pairs of duplicates" in pieces.pairs_html(bench)
    harmless(views.headline(bench))
