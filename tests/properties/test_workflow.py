"""Properties of brainclust.runs.workflow."""

from assertions import drawn_figure, figure_text, refused
from hypothesis import given, strategies as st
from strategies import FIFTH_OF_EXAMPLES

from brainclust.core.config import PRESETS, make_config
from brainclust.runs import workflow

CONFIGS = st.builds(
    make_config, st.sampled_from(list(PRESETS)), epochs=st.integers(1, 40),
    reinitialise=st.booleans(), cluster_weight=st.sampled_from([0., .01, 2.]),
    distribution_alignment=st.sampled_from([0., .5, 1.]),
    teacher_clusters=st.sampled_from(["mixture", "sharpened"]),
    teacher_cluster_weight=st.sampled_from([0., .5, 1.]),
    rehearsal_batch_size=st.sampled_from([0, 24]),
    lesion_map_weight=st.sampled_from([0., .5]))


@FIFTH_OF_EXAMPLES
@given(config=CONFIGS, labelled=st.booleans(), teacher=st.booleans(), decoder=st.booleans())
def test_a_term_of_weight_0_is_neither_told_nor_drawn(config, labelled, teacher, decoder):
    """Name and draw the terms that take part, and no other."""
    terms = workflow.active_terms(config, labelled, teacher, decoder)
    told = " ".join(workflow.method_sentences(config, labelled, teacher, decoder))
    assert workflow.loss_words(terms) in told
    counts = {name: 12_345 * labelled if name == "n_labelled" else 12_345
              for name in workflow.COUNTS}
    text = figure_text(drawn_figure(workflow.plot_workflow, config, counts, terms))
    assert ("Cross-entropy" in text) == labelled
    assert ("Pseudo-labels" in text) == ("pseudo-labels" in terms)
    assert ("· distance" in text) == ("distance" in terms and terms["distance"] != 1)
    assert ("phantoms" in text) == ("phantoms" in terms)
    assert ("labelled means" in text.lower()) == (
        "pseudo-labels" in terms and labelled and config.teacher_clusters == "sharpened"
        and not config.distribution_alignment)


@FIFTH_OF_EXAMPLES
@given(config=CONFIGS, teacher=st.booleans())
def test_rounds_and_arrows_fit_the_config(config, teacher):
    """Count whole rounds of all epochs, and join boxes that exist."""
    rounds = workflow.student_rounds(config)
    alone = config.epochs - config.supervised_epochs
    assert (rounds - 1) * config.round_epochs < max(1, alone) <= max(1, rounds
                                                                   * config.round_epochs)
    counts = dict.fromkeys(workflow.COUNTS, 1)
    boxes = workflow.workflow_boxes(config, counts, workflow.active_terms(config, True, teacher))
    arrows = workflow.workflow_arrows(boxes)
    assert {key for arrow in arrows for key in arrow} <= set(boxes)
    assert len(set(arrows)) == len(arrows)


def test_counts_that_the_workflow_does_not_show_are_refused():
    """Refuse a missing and an unknown count."""
    refused(workflow.workflow_boxes, make_config(), {"n_moons": 3}, {})
