"""Boxes of heads: true ones on phantoms, on any background, and what is cut by them."""

from functools import cache

import cv2
import numpy as np
import pytest
from assertions import ignores_layout, refused
from examples import small_predictor
from hypothesis import given, strategies as st
from PIL import Image
from strategies import invalid_images, slice_images

from brainclust.app import reading
from brainclust.imaging import head_crop, preprocessing
from brainclust.synthetic import anatomy, phantoms

CLASSES = ("glioma", "meningioma", "notumor", "pituitary")
SIZE = 160


@cache
def heads() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Render eight slices with the masks of their head and tumour, from noise-free signals."""
    atlas = anatomy.load_atlas()
    made = []
    for number in range(8):
        patient, rng = phantoms.draw_patient(11, CLASSES[number % 4], number, atlas)
        points, width = anatomy.slice_points(rng, anatomy.PLANES[number % 3], patient.focus, SIZE)
        signal, tumour, _ = phantoms.render_patient(
            patient, atlas, anatomy.to_atlas(patient.anatomy, points), width)
        bias = phantoms.bias_field(patient.coil, points, patient.coil_strength)
        image = phantoms.simulate_scanner(rng, signal, bias, patient.noise)
        made.append((image, signal > patient.contrast["air"] + .03, tumour))
    return made


def true_box(mask: np.ndarray) -> head_crop.Box:
    """Return the box of a mask."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return head_crop.Box(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)


def overlap(found: head_crop.Box, truth: head_crop.Box) -> float:
    """Return the intersection over union of two boxes."""
    sides = [max(0, min(found[i + 1], truth[i + 1]) - max(found[i], truth[i])) for i in (0, 2)]
    both = sides[0] * sides[1]
    return both / (np.prod(found.shape) + np.prod(truth.shape) - both)


def on_background(image: np.ndarray, head: np.ndarray, level: float, noise: float) -> np.ndarray:
    """Replace what is not head."""
    visible = cv2.GaussianBlur(head.astype(np.float32), (0, 0), .6)
    air = level + np.random.default_rng(0).normal(0, noise, image.shape)
    return np.clip(image * visible + air * (1 - visible), 0, 255).astype(np.uint8)


def lettered(image: np.ndarray, grey: int = 255) -> np.ndarray:
    """Burn in text in two corners, and a ruler."""
    image = image.copy()
    for x, y, text in ((2, 10, "R 12:08"), (2, len(image) - 4, "SE 3/14")):
        cv2.putText(image, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, .3, grey, 1)
    cv2.line(image, (len(image) - 4, 20), (len(image) - 4, len(image) - 20), grey, 1)
    return image


def compressed(image: np.ndarray) -> np.ndarray:
    """Compress and decompress as JPEG."""
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 0)


SHOWN = {
    "as rendered": lambda i, h: (i, h),
    "black": lambda i, h: (on_background(i, h, 0, 0), h),
    "grey": lambda i, h: (on_background(i, h, 150, 0), h),
    "grey with noise, JPEG": lambda i, h: (compressed(on_background(i, h, 150, 3)), h),
    "white": lambda i, h: (on_background(i, h, 255, 0), h),
    "white, JPEG": lambda i, h: (compressed(on_background(i, h, 255, 0)), h),
    "inverted": lambda i, h: (255 - i, h),
    "text and ruler": lambda i, h: (lettered(i), h),
    "grey frame": lambda i, h: (np.pad(i, 25, constant_values=60), np.pad(h, 25)),
    "white frame with text": lambda i, h: (
        lettered(np.pad(i, 25, constant_values=255), 0), np.pad(h, 25)),
    "far away": lambda i, h: (np.pad(i, 120), np.pad(h, 120)),
    "two slices": lambda i, h: (np.hstack([i, i]), np.hstack([h, h])),
    "cut at three borders": lambda i, h: (cut_inside(i, h), np.ones_like(cut_inside(i, h), bool)),
}


def cut_inside(image: np.ndarray, head: np.ndarray) -> np.ndarray:
    """Cut a slice so that its head touches three borders."""
    box = true_box(head)
    return image[box.top + 8:box.bottom, box.left + 8:box.right - 8]


@pytest.mark.parametrize("name", SHOWN)
def test_boxes_of_phantoms_are_true(name):
    """Find the box of a head on any background, whatever stands beside it."""
    scores = []
    for image, head, _ in heads():
        shown, mask = SHOWN[name](image, head)
        scores.append(overlap(head_crop.head_box(shown), true_box(mask)))
    assert np.median(scores) > .94, scores
    assert min(scores) > .86, scores


def test_a_head_of_several_borders_touches_them_still():
    """Keep the box at every border that cuts the head."""
    touching = 0
    for image, head, _ in heads():
        truth = true_box(head)
        found = head_crop.head_box(image)
        for side, border in enumerate((0, SIZE, 0, SIZE)):
            touching += truth[side] == border
            assert truth[side] != border or abs(found[side] - border) <= 2
    assert touching >= 4


@pytest.mark.parametrize("grey", [0, 150, 255])
def test_a_border_of_the_background_moves_the_box_by_its_width(grey):
    """Find the same head in a wider field."""
    for image, head, _ in heads():
        shown = on_background(image, head, grey, 0)
        wide = np.pad(shown, ((60, 7), (0, 33)), constant_values=grey)
        box = head_crop.head_box(shown)
        assert head_crop.head_box(wide) == (box.top + 60, box.bottom + 60, box.left, box.right)


def test_a_black_border_does_not_change_a_prepared_slice():
    """Prepare the same picture with 60 pixels of border, or none."""
    for image, _, _ in heads():
        if head_crop.crop_box(image) is None: continue
        prepared, bordered = (
            preprocessing.preprocess_slice(shown, 96, "none", crop="head").astype(int)
            for shown in (image, np.pad(image, 60)))
        assert np.abs(prepared - bordered).mean() < 1
        whole = preprocessing.preprocess_slice(np.pad(image, 60), 96, "none").astype(int)
        assert np.abs(prepared - whole).mean() > 10  # without the crop it does


def test_what_strips_sees_the_whole_slice():
    """Strip first, with lengths in pixels of the original slice, and cut then."""
    for image, _, _ in heads()[:3]:
        box = head_crop.crop_box(image)
        for method in ("paper", "filled", "synth"):
            stripped = preprocessing.skull_strip_2d(image, method)[0]
            np.testing.assert_array_equal(
                preprocessing.preprocess_slice(image, 64, method, crop="head"),
                preprocessing.prepare_slice(stripped, 64, None, box))


def test_masks_stay_on_the_tumours_of_cropped_slices(tmp_path):
    """Cut a mask by the box of its slice, and bring it back to its place."""
    rows = [(image, tumour) for image, _, tumour in heads() if tumour.any()]
    files = {"images": [], "masks": []}
    for number, (image, tumour) in enumerate(rows):
        for folder, pixels in (("images", image), ("masks", tumour * np.uint8(255))):
            files[folder].append(str(tmp_path / f"{folder}{number}.png"))
            Image.fromarray(pixels).save(files[folder][-1])
    boxes = head_crop.read_boxes(files["images"], "head", workers=1)
    assert boxes == [head_crop.crop_box(image) for image, _ in rows]
    assert head_crop.read_boxes(files["images"], "none") == [None] * len(rows)
    small = preprocessing.prepare_masks(files["masks"], 128, 1, boxes=boxes)
    for (image, tumour), mask, box in zip(rows, small, boxes):
        # the mask as a channel of its slice: prepared together, they agree
        marked = np.where(tumour, 255, 0).astype(np.uint8)
        together = preprocessing.prepare_slice(marked, 128, None, box) >= 128
        np.testing.assert_array_equal(mask, together)
        back = preprocessing.restore_geometry(mask, *image.shape, box)
        assert 2 * (back & tumour).sum() / (back.sum() + tumour.sum()) > .93


@pytest.mark.parametrize("crop", head_crop.CROPS)
def test_a_reading_of_a_cropped_slice_lies_on_it(crop, monkeypatch):
    """Show maps and masks of a reading at their place in the slice, at any size of the screen."""
    predictor = small_predictor()
    monkeypatch.setitem(predictor.settings, "crop", crop)
    monkeypatch.setattr(type(predictor), "explain",
                        lambda self, prepared, targets: np.ones(prepared.shape, np.float32))
    monkeypatch.setattr(reading, "brain_and_tumour",
                        lambda image, cam, find: (image > 170, image > 170))
    image = np.zeros((300, 400), np.uint8)
    cv2.ellipse(image, (250, 140), (90, 110), 0, 0, 360, 90, -1)
    cv2.circle(image, (290, 100), 30, 255, -1)
    found = reading.look(predictor, image)
    large = cv2.resize(image, found.brain.shape[::-1]) > 170
    assert 2 * (found.brain & large).sum() / (found.brain.sum() + large.sum()) > .85
    outside = cv2.resize(image, found.brain.shape[::-1]) == 0
    assert (found.cam[outside].mean() < .5) == (crop == "head")


@given(image=slice_images())
def test_any_slice_has_a_box_inside_it(image):
    """Return a box with pixels of the slice; of one without a head, the whole."""
    box = head_crop.head_box(image)
    assert 0 <= box.top < box.bottom <= image.shape[0]
    assert 0 <= box.left < box.right <= image.shape[1]
    ignores_layout(head_crop.head_box, image)
    if image.min() == image.max():
        assert box == head_crop.whole_box(image.shape)
        assert head_crop.crop_box(image) is None


@given(image=invalid_images())
def test_other_inputs_are_refused(image):
    """Refuse what is not a grey slice in a sentence."""
    refused(head_crop.head_box, image)


@given(image=slice_images(max_side=40), top=st.integers(-9, 30), left=st.integers(-9, 30),
       height=st.integers(1, 50), width=st.integers(1, 50))
def test_what_is_cut_returns_to_its_place(image, top, left, height, width):
    """Cut and paste any box, also beyond the slice."""
    box = head_crop.Box(top, top + height, left, left + width)
    cut = head_crop.cut_box(image, box)
    assert cut.shape == box.shape == (height, width)
    back = head_crop.paste_box(cut, box, image.shape)
    inside = head_crop.paste_box(np.ones(box.shape, bool), box, image.shape)
    np.testing.assert_array_equal(back, np.where(inside, image, 0))
    same = head_crop.scale_box(box, image.shape, image.shape)
    assert same == box
    wide = head_crop.widen_box(box, .1)
    assert wide.shape == tuple(side + 2 * round(.1 * max(height, width)) for side in box.shape)
    small = preprocessing.prepare_slice(image, 16, None, box)
    for restored in (preprocessing.restore_geometry(small, *image.shape, box),
                     preprocessing.restore_scaled(small, image.shape, image.shape, box)):
        assert restored.shape == image.shape and not restored[~inside].any()


def test_flat_edges_are_trimmed_to_the_last():
    """Trim frames within frames, and nothing else."""
    rng = np.random.default_rng(0)
    inner = rng.integers(0, 256, (30, 20), np.uint8)
    framed = inner
    for width, grey in ((3, 0), (2, 255), (5, 40)):
        framed = np.pad(framed, width, constant_values=grey)
    whole = head_crop.whole_box(framed.shape)
    assert head_crop.trim_flat_edges(framed, whole) == (10, 40, 10, 30)
    flat = np.full((9, 9), 7, np.uint8)
    assert head_crop.trim_flat_edges(flat, head_crop.Box(0, 9, 0, 9)) is None


def test_lines_and_letters_are_no_head():
    """Remove what annotates a slice, and leave the head as it is."""
    disc = cv2.circle(np.zeros((90, 90), np.uint8), (45, 45), 30, 1, -1)
    marked = cv2.rectangle(disc.copy(), (1, 1), (88, 88), 1, 2)
    marked[6:11, 10:60] = 1
    left = head_crop.remove_letters(head_crop.remove_lines(marked))
    np.testing.assert_array_equal(left, disc)
    background = head_crop.find_background(disc * np.uint8(200) + 20)
    assert background == head_crop.Background(20, 0, 1)
    head, shown = head_crop.head_mask(disc * np.uint8(200) + 20, background)
    np.testing.assert_array_equal(shown, disc)
    assert head.sum() > .97 * disc.sum()
