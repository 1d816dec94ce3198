"""Invalid and damaged input for brainclust.core.config."""

from assertions import REFUSALS, one_sentence, refused
from hypothesis import given, strategies as st

from brainclust.core import config


@given(
    text=st.one_of(
        st.text(max_size=30),
        st.sampled_from(
            [
                "{epochs: [3",
                "{3: 4}",
                "{epochs: 3, epochs: 4}",
                "[1]",
                "a: !!python/object:os.system x",
                "- a\n- b",
                "{preset: paper}",
                "{? [1]: 2}",
                "{epochs: .nan}",
                "{learning_rate: .inf}",
                "{1: 2, a: 3}",
                "\x00",
            ]
        ),
    )
)
def test_overrides_of_any_text_are_read_or_refused(text):
    """Read overrides from any text, or refuse them in one sentence."""
    try:
        assert config.make_config("demo", text).preset == "demo"
    except REFUSALS as error:
        one_sentence(ValueError(str(error).split(" The settings are: ")[0]))  # it names them all


def test_a_setting_given_twice_is_refused():
    """Refuse a preset or an epoch count that two sources set."""
    assert "preset" in refused(config.make_config, "demo", {"preset": "paper"})
    assert "epochs" in refused(config.make_config, "demo", {"epochs": 3}, epochs=4)


def test_a_single_cluster_is_refused():
    """Refuse fewer than two clusters and name the setting."""
    assert "n_clusters" in refused(config.make_config, "paper", n_clusters=1)


def test_an_unknown_preset_is_refused():
    """Refuse a preset that is not a known name."""
    for preset in (["demo"], None, 3, "Demo"):
        assert "preset" in refused(config.make_config, preset)
