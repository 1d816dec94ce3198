"""Properties of brainclust.core.config."""

import math
from dataclasses import asdict

import numpy as np
from assertions import REFUSALS, accepted
from hypothesis import given, strategies as st

from brainclust.core import config
from brainclust.core.untrusted import check_known, did_you_mean

SETTINGS = sorted(config.PRESETS["best"].keys() | asdict(config.Config()).keys())


ANY_VALUE = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6),
                      st.lists(st.floats(), max_size=3), st.binary(max_size=3),
                      st.sampled_from(["1e-3", "nan", "inf", "true", 10**400, ("a", ""), ("a", "a"),
                                       (10.0, 90.0), np.float64("nan"), np.zeros(3)]))


@given(preset=st.sampled_from(list(config.PRESETS)), name=st.sampled_from(SETTINGS),
       value=ANY_VALUE)
def test_a_config_is_still_valid_after_a_round_trip(preset, name, value):
    """Validate the settings of a config to the same config."""
    made = accepted(config.make_config, preset, {name: value}, refuses=REFUSALS)
    if made is None: return
    assert config.validate(asdict(made)) == made


@given(preset=st.sampled_from(list(config.PRESETS)), name=st.sampled_from(SETTINGS),
       value=ANY_VALUE)
def test_settings_that_must_be_positive_are_positive(preset, name, value):
    """Keep epochs, number of clusters, seed and learning rate in their ranges."""
    made = accepted(config.make_config, preset, {name: value}, refuses=REFUSALS)
    if made is None: return
    assert made.epochs >= 1
    assert made.n_clusters >= 2
    assert made.seed >= 0
    assert made.learning_rate > 0


@given(preset=st.sampled_from(list(config.PRESETS)), name=st.sampled_from(SETTINGS),
       value=ANY_VALUE)
def test_image_sizes_are_multiples_of_32(preset, name, value):
    """Keep image and phantom sizes at multiples of 32, from 32 to 1,024 pixels."""
    made = accepted(config.make_config, preset, {name: value}, refuses=REFUSALS)
    if made is None: return
    assert made.image_size % 32 == made.phantom_size % 32 == 0
    assert 32 <= made.image_size <= 1024


@given(preset=st.sampled_from(list(config.PRESETS)), name=st.sampled_from(SETTINGS),
       value=ANY_VALUE)
def test_fractions_lie_in_their_ranges(preset, name, value):
    """Keep the label fraction, test fraction and EMA decay in their ranges."""
    made = accepted(config.make_config, preset, {name: value}, refuses=REFUSALS)
    if made is None: return
    assert 0 <= made.label_fraction <= 1
    assert 0 < made.test_fraction < 1
    assert 0 <= made.ema_decay < 1


@given(preset=st.sampled_from(list(config.PRESETS)), name=st.sampled_from(SETTINGS),
       value=ANY_VALUE)
def test_window_percentiles_are_ordered(preset, name, value):
    """Keep window percentiles ordered and between 0 and 100, or leave them out."""
    made = accepted(config.make_config, preset, {name: value}, refuses=REFUSALS)
    if made is None: return
    assert (made.window_percentiles is None or 0 <= made.window_percentiles[0]
            < made.window_percentiles[1] <= 100)


@given(preset=st.sampled_from(list(config.PRESETS)), name=st.sampled_from(SETTINGS),
       value=ANY_VALUE)
def test_numbers_of_a_config_are_finite(preset, name, value):
    """Accept no setting that is NaN or infinite."""
    made = accepted(config.make_config, preset, {name: value}, refuses=REFUSALS)
    if made is None: return
    assert all(
        math.isfinite(number) for number in asdict(made).values() if isinstance(number, float)
    )


@given(preset=st.sampled_from(list(config.PRESETS)), name=st.sampled_from(SETTINGS),
       value=ANY_VALUE)
def test_a_config_holds_the_value_that_was_given(preset, name, value):
    """Store a given value unchanged, except that lists become tuples."""
    made = accepted(config.make_config, preset, {name: value}, refuses=REFUSALS)
    if made is None: return
    assert (getattr(made, name) == (tuple(value) if isinstance(value, list) else value)
            or isinstance(value, str) or name == "preset")


@given(preset=st.sampled_from(list(config.PRESETS)),
       changes=st.dictionaries(st.sampled_from(["epochs", "supervised_epochs", "round_epochs"]),
                               st.integers(0, 99)))
def test_fitted_rounds_leave_given_settings_alone(preset, changes):
    """Fit self-training rounds without changing the settings that were given."""
    fitted = config.fit_rounds(preset, changes)
    assert not set(fitted) & set(changes)


@given(preset=st.sampled_from(list(config.PRESETS)),
       changes=st.dictionaries(st.sampled_from(["epochs", "supervised_epochs", "round_epochs"]),
                               st.integers(0, 99)))
def test_fitted_rounds_are_whole_epochs(preset, changes):
    """Fit rounds of at least one epoch and a warm-up of whole epochs."""
    fitted = config.fit_rounds(preset, changes)
    assert all(type(value) is int for value in fitted.values())
    assert fitted.get("round_epochs", 1) >= 1
    assert fitted.get("supervised_epochs", 0) >= 0


@given(names=st.lists(st.sampled_from(["epohcs", "seed", "moon", "lable_fraction", "epochs"]),
                      unique=True))
def test_unknown_settings_are_named_with_the_nearest(names):
    """Refuse what does not exist, suggest what is near, and accept what exists."""
    known = {"epochs", "seed", "label_fraction"}
    near = {"epohcs": "epochs", "lable_fraction": "label_fraction"}
    wrong = sorted(set(names) - known)
    try:
        check_known(names, known)
        assert not wrong
    except ValueError as error:
        assert f"Unknown setting {', '.join(map(repr, wrong))}" in str(error)
        for name in names:
            assert name not in near or near[name] in str(error).partition("?")[0]


@given(name=st.sampled_from(["label_fraction", "epochs", "image_size"]), at=st.integers(0, 4))
def test_a_letter_too_few_suggests_the_setting(name, at):
    """End the sentence with the nearest name, and with a point where none is near."""
    known = {"epochs", "label_fraction", "image_size", "seed"}
    assert did_you_mean([name[:at] + name[at + 1:]], known) == f"; did you mean {name}?"
    assert did_you_mean(["zzz"], known) == did_you_mean([], known) == "."
