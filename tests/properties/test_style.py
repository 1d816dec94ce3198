"""Properties of brainclust.core.style."""

import numpy as np
import pandas as pd
from assertions import drawn_figure, figure_text, refused
from examples import NUMBERS_OF_CLASSES, UNLIKELY_NAMES, class_names
from hypothesis import given, strategies as st
from matplotlib import pyplot
from matplotlib.figure import Figure
from strategies import FIFTH_OF_EXAMPLES, slice_images, with_layout

from brainclust.core import style


@given(n=st.sampled_from(NUMBERS_OF_CLASSES), unknown=st.booleans())
def test_every_class_has_its_own_colour(n, unknown):
    """Give every class a colour of its own, and unknown ones a shared colour."""
    names = class_names(n) + ["x"] * unknown
    palette = style.class_palette(names)
    assert list(palette) == list(dict.fromkeys(names))
    assert all(len(colour) == 7 and int(colour[1:], 16) >= 0 for colour in palette.values())
    assert len({colour for name, colour in palette.items() if name not
                in style.UNKNOWN_NAMES}) == len(set(names) - set(style.UNKNOWN_NAMES))


@given(image=slice_images())
def test_a_grey_slice_is_shown_unchanged(image):
    """Show a slice unchanged, with or without a channel."""
    assert (style.as_picture(image) == image).all()
    assert (style.as_picture(with_layout(image[None], "reversed")) == image).all()


@given(image=slice_images())
def test_a_colour_slice_has_channels_last(image):
    """Move three channels last, in [0, 1]."""
    coloured = style.as_picture(np.stack([image] * 3))
    assert coloured.shape == (*image.shape, 3)
    assert coloured.min() >= 0
    assert coloured.max() <= 1
    if len(image) not in (1, 3):
        assert (style.as_picture(np.stack([image] * 3, -1)) == coloured).all()


@given(names=st.lists(st.one_of(st.sampled_from(UNLIKELY_NAMES), st.text(max_size=60))),
       width=st.integers(1, 30))
def test_wrapped_names_keep_every_letter(names, width):
    """Wrap names within the width without losing a letter."""
    wrapped = style.wrap_names(names, width)
    assert ["".join(name.split()) for name in wrapped] == ["".join(name.split()) for name in names]
    assert all(len(line) <= width for name in wrapped for line in name.split("\n"))


@given(values=st.lists(st.sampled_from([0.0, 0.5, 1e300, np.nan, np.inf, -np.inf]), max_size=9))
def test_a_finite_series_keeps_finite_values(values):
    """Return the epochs and values that are finite."""
    table = pd.DataFrame({"epoch": np.arange(len(values)), "loss": np.array(values, float)})
    epochs, measured = style.finite_series(table, "loss")
    assert epochs.tolist() == [k for k, value in enumerate(values) if np.isfinite(value)]
    assert measured.tolist() == [value for value in values if np.isfinite(value)]


@given(values=st.lists(st.sampled_from([0.0, 0.5, 1e300, np.nan, np.inf, -np.inf]), max_size=9))
def test_a_table_with_its_columns_is_accepted(values):
    """Accept a table with rows and columns, and refuse an empty one."""
    table = pd.DataFrame({"epoch": np.arange(len(values)), "loss": np.array(values, float)})
    if values:
        style.check_table(table, ["epoch", "loss"])
    else:
        assert "no rows" in refused(style.check_table, table, ["epoch"])


@FIFTH_OF_EXAMPLES
@given(image=slice_images(), n=st.sampled_from(NUMBERS_OF_CLASSES),
       name=st.sampled_from(UNLIKELY_NAMES), side=st.sampled_from(["upper", "lower"]),
       outlined=st.booleans())
def test_pieces_of_a_figure_show_their_words(image, n, name, side, outlined):
    """Draw palette, names, axes and notes with all their words."""
    palette = style.class_palette(class_names(n))

    def pieces() -> Figure:
        figure = style.show_row([image] * 3, [name] * 3, [image > 0] * 3 if outlined else None)
        first, second, third = figure.axes
        style.show_slice(first, image, name)
        style.frame_slice(second, image[None], "#ff0000", "framed")
        style.label_epochs(third)
        style.add_legend(figure, palette, side, "classes")
        style.add_note(figure, ["Left out."])
        return figure

    figure = drawn_figure(style.house_style(pieces))
    words = "".join((figure_text(figure) + "".join(text.get_text() for legend in figure.legends
                                                   for text in legend.get_texts())).split())
    for word in (*palette, name, "framed", "epoch", "classes", "Left out."):
        assert "".join(word.split()) in words


@FIFTH_OF_EXAMPLES
@given(image=slice_images(), n=st.sampled_from(NUMBERS_OF_CLASSES),
       name=st.sampled_from(UNLIKELY_NAMES), side=st.sampled_from(["upper", "lower"]),
       outlined=st.booleans())
def test_figures_have_no_small_text(image, n, name, side, outlined):
    """Report text faults, none of which is small text."""
    palette = style.class_palette(class_names(n))

    def pieces() -> Figure:
        figure = style.show_row([image] * 3, [name] * 3, [image > 0] * 3 if outlined else None)
        first, second, third = figure.axes
        style.show_slice(first, image, name)
        style.frame_slice(second, image[None], "#ff0000", "framed")
        style.label_epochs(third)
        style.add_legend(figure, palette, side, "classes")
        style.add_note(figure, ["Left out."])
        return figure

    figure = drawn_figure(style.house_style(pieces))
    faults = style.text_faults(figure)
    assert list(faults) == ["small", "clipped", "on_other"]
    assert not faults["small"]


def test_figures_have_a_grid_of_axes():
    """Return a grid of axes that pyplot does not know."""
    figure, axes = style.new_figure(2, 2, 1, 2)
    assert axes.shape == (1, 2)
    assert pyplot.get_fignums() == []


def test_figures_are_saved_in_every_format(tmp_path):
    """Save PNG, PDF and SVG under any name."""
    figure, axes = style.new_figure(2, 2, 1, 2)
    axes[0, 0].set_title(r"$\frac{$")
    for suffix in (".png", ".pdf", ".svg"):
        figure = style.house_style(lambda figure=figure: figure)()
        assert style.save_figure(figure, tmp_path / f"骨 <b>{suffix}").stat().st_size > 100


def test_a_figure_is_shown_as_png():
    """Show a figure in a notebook as PNG."""
    figure, axes = style.new_figure(2, 2, 1, 2)
    axes[0, 0].set_title(r"$\frac{$")
    figure = style.house_style(lambda: figure)()
    assert style.PlotFigure._repr_png_(figure)[:4] == b"\x89PNG"
