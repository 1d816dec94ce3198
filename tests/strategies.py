"""Hypothesis strategies: slices, points, probabilities, ids and tables, valid and invalid."""
import os
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from examples import UNLIKELY_NAMES, class_names, find_test_pairs
from hypothesis import HealthCheck, settings, strategies as st

from brainclust.data import duplicates

# Few examples on every change, many in the nightly job: HYPOTHESIS_PROFILE=nightly.
COMMON = dict(deadline=None, derandomize=True, print_blob=False,
              suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture,
                                     HealthCheck.data_too_large])
settings.register_profile("brief", max_examples=8, **COMMON)
settings.register_profile("nightly", max_examples=300, **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "brief"))
# Fewer examples for slow tests.
TENTH_OF_EXAMPLES = settings(max_examples=max(3, settings().max_examples // 10))
FIFTH_OF_EXAMPLES = settings(max_examples=max(3, settings().max_examples // 5))
THIRD_OF_EXAMPLES = settings(max_examples=max(3, settings().max_examples // 3))

LAYOUTS = ("plain", "fortran", "strided", "reversed", "read-only")


def seeds() -> st.SearchStrategy:
    """Draw seeds that NumPy and PyTorch accept."""
    return st.integers(0, 2 ** 31 - 1)


def with_layout(array: np.ndarray, how: str) -> np.ndarray:
    """Return the same values in another memory layout."""
    if how == "fortran": return np.asfortranarray(array)
    if how == "strided" and array.ndim: return np.repeat(array, 2, axis=-1)[..., ::2]
    if how == "reversed" and array.ndim: return np.ascontiguousarray(array[..., ::-1])[..., ::-1]
    if how == "read-only":
        array = array.copy()
        array.flags.writeable = False
    return array


@st.composite
def slice_images(draw, min_side: int = 1, max_side: int = 80, dtype=np.uint8) -> np.ndarray:
    """Draw a slice: uint8 (H, W) of any shape down to 1 x 1, in any memory layout.

    Constant, noise, a ramp, a disc, one bright pixel or a checkerboard.
    """
    height = draw(st.integers(min_side, max_side))
    width = draw(st.integers(min_side, max_side))
    kind = draw(
        st.sampled_from(["black", "white", "grey", "noise", "ramp", "disc", "pixel", "checks"]))
    rng = np.random.default_rng(draw(seeds()))
    y, x = np.mgrid[:height, :width]
    image = {
        "black": lambda: 0 * x, "white": lambda: 0 * x + 255,
        "grey": lambda: 0 * x + int(rng.integers(1, 255)),
        "noise": lambda: rng.integers(0, 256, x.shape), "ramp": lambda: (x + y) % 256,
        "checks": lambda: (x + y) % 2 * 255,
        "disc": lambda: (
            200 * ((x - width / 2) ** 2 + (y - height / 2) ** 2 < min(height, width) ** 2 / 9)),
        "pixel": lambda: 255 * ((x == width // 2) & (y == height // 2))}[kind]()
    return with_layout(image.astype(dtype), draw(st.sampled_from(LAYOUTS)))


@st.composite
def invalid_images(draw) -> object:
    """Draw an input that is not a uint8 slice: other types, shapes, NaN, text, None."""
    rng = np.random.default_rng(draw(seeds()))
    kind = draw(
        st.sampled_from(
            ["float", "nan", "infinite", "int64", "uint16", "bool", "three channels", "one channel",
             "one dimension", "empty", "no rows", "text", "none", "object", "complex", "list"]))
    noise = rng.integers(0, 256, (12, 9))
    return {"float": noise / 255, "nan": np.full((8, 8), np.nan),
            "infinite": np.full((8, 8), np.inf), "int64": noise - 100,
            "uint16": noise.astype(np.uint16) * 200, "bool": noise > 99,
            "three channels": np.stack([noise] * 3, axis=-1).astype(np.uint8),
            "one channel": noise[..., None].astype(np.uint8),
            "one dimension": noise.ravel().astype(np.uint8), "empty": np.zeros((0, 0), np.uint8),
            "no rows": np.zeros((0, 7), np.uint8), "text": "scan.png", "none": None,
            "object": np.array([[None, "a"]], dtype=object), "complex": noise * 1j,
            "list": noise.tolist()}[kind]


@st.composite
def slice_stacks(draw, max_slices: int = 6, side: int | None = None) -> np.ndarray:
    """Draw slices: uint8 (N, 1, S, S), also equal or constant ones."""
    n = draw(st.integers(1, max_slices))
    size = side or draw(st.sampled_from([1, 2, 8, 31, 32]))
    rng = np.random.default_rng(draw(seeds()))
    images = rng.integers(0, 256, (n, 1, size, size)).astype(np.uint8)
    kind = draw(st.sampled_from(["noise", "equal", "constant", "one constant"]))
    if kind == "equal":
        images[:] = images[:1]
    if kind == "constant":
        images[:] = 7
    if kind == "one constant":
        images[0] = 0
    return with_layout(images, draw(st.sampled_from(LAYOUTS)))


@st.composite
def points(
    draw,
    min_points: int = 1,
    max_points: int = 40,
    dimensions: int = 8,
    dtype=np.float32,
) -> np.ndarray:
    """Draw finite points (N, D): noise, equal, clustered, tiny, large or far, in any layout."""
    n = draw(st.integers(min_points, max_points))
    d = draw(st.integers(1, dimensions))
    rng = np.random.default_rng(draw(seeds()))
    x = rng.normal(size=(n, d))
    kind = draw(st.sampled_from(["noise", "equal", "zero", "equal columns", "clusters", "tiny",
                                 "large", "far", "integers"]))
    if kind == "equal":
        x[:] = x[:1]
    if kind == "zero":
        x[:] = 0
    if kind == "equal columns":
        x[:] = x[:, :1]
    if kind == "clusters":
        x = x / 50 + rng.integers(0, 3, (n, 1)) * 5
    if kind == "tiny":
        x *= 1e-12
    if kind == "large":
        x *= 1e6
    if kind == "far":
        x += 1e4
    if kind == "integers":
        x = np.round(x)
    return with_layout(x.astype(dtype), draw(st.sampled_from(LAYOUTS)))


@st.composite
def invalid_points(draw) -> np.ndarray:
    """Draw points (N, D) with NaN or infinite values, or without rows or columns."""
    x = np.array(draw(points(min_points=2)), dtype=np.float64)
    kind = draw(st.sampled_from(["one nan", "all nan", "infinite", "no rows", "no columns"]))
    if kind == "one nan":
        x[0, 0] = np.nan
    if kind == "all nan":
        x[:] = np.nan
    if kind == "infinite":
        x[-1, -1] = draw(st.sampled_from([np.inf, -np.inf]))
    return x[:0] if kind == "no rows" else x[:, :0] if kind == "no columns" else x


@st.composite
def probabilities(draw, n: int | None = None, k: int | None = None) -> np.ndarray:
    """Draw float32 probabilities (N, K): uniform, certain, or anything between."""
    n = n or draw(st.integers(1, 40))
    k = k or draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(seeds()))
    p = rng.dirichlet(np.full(k, draw(st.sampled_from([1e-2, .3, 1., 50.]))), n)
    kind = draw(st.sampled_from(["any", "even", "certain", "one column"]))
    if kind == "even":
        p[:] = 1 / k
    if kind == "certain":
        p = np.eye(k)[rng.integers(0, k, n)]
    if kind == "one column":
        p = np.eye(k)[np.zeros(n, int)]
    return p.astype(np.float32)


@st.composite
def class_ids(draw, n: int, classes: int = 4, hidden: bool = True) -> np.ndarray:
    """Draw int64 class ids (N,), hidden ones as -1; also of one class only, or all hidden."""
    rng = np.random.default_rng(draw(seeds()))
    labels = rng.integers(-1 if hidden else 0, classes, n)
    kind = draw(st.sampled_from(["any", "any", "one class", "all hidden" if hidden else "any"]))
    if kind == "one class":
        labels[:] = classes - 1
    if kind == "all hidden":
        labels[:] = -1
    return labels.astype(np.int64)


@st.composite
def scan_tables(
    draw,
    min_slices: int = 1,
    max_slices: int = 30,
    classes: tuple = ("glioma", "meningioma", "notumor", "pituitary"),
) -> pd.DataFrame:
    """Draw a scan table, whose files do not exist.

    Labels are missing, of one class or of many; groups are unknown, shared or one; slices may all
    be duplicates, and a test set may be missing.
    """
    n = draw(st.integers(min_slices, max_slices))
    rng = np.random.default_rng(draw(seeds()))
    labels = draw(class_ids(n, len(classes)))
    duplicated = draw(st.sampled_from(["none", "some", "all"]))
    content = {"none": lambda: np.arange(n), "some": lambda: rng.integers(0, max(1, n // 2), n),
               "all": lambda: np.zeros(n, int)}[duplicated]()
    groups = {
        "unknown": lambda: [""] * n,
        "one": lambda: ["p"] * n,
        "own": lambda: [f"p{i}" for i in range(n)],
        "some": lambda: [f"p{i}" if i % 3 else "" for i in rng.integers(0, max(1, n // 2), n)],
    }[draw(st.sampled_from(["unknown", "one", "own", "some"]))]()
    splits = {
        "both": lambda: rng.choice(["train", "test"], n), "train": lambda: np.full(n, "train"),
        "test": lambda: np.full(n, "test")}[draw(st.sampled_from(["both", "train", "test"]))]()
    unusual = draw(st.sampled_from(["slice", "schädel <b>", "=1+1", "a b'c\"d", "骨"]))
    index = draw(st.sampled_from([0, 100]))
    return pd.DataFrame(
        {"path": [f"/scans/{unusual} {i}.png" for i in range(n)], "label": labels,
         "class_name": np.array([*classes, ""])[labels], "split": splits, "group": groups,
         "sha256": [f"{c:064x}" for c in content], "pixels_sha256": [f"{c:064x}" for c in content],
         "grey_std": rng.choice([0.0, 3.0, 30.0, 60.0], n), "width": 64, "height": 64,
         "source": "folder"}, index=np.arange(n) + index)


def invalid_ids() -> st.SearchStrategy:
    """Draw an array that is not a list of three class ids."""
    return st.sampled_from(
        [np.array(["a", "b", "a"]), np.array([0.0, 1.0, np.nan]), np.array([0.5, 1.0, 2.0]),
         np.zeros((3, 2), int), np.array([None, 1, 2]), np.array([0, 1]), np.array([0, 1, -2]),
         np.zeros(3, complex)])


@st.composite
def standardised_batches(draw, max_images: int = 4, sizes=(32, 64)) -> torch.Tensor:
    """Draw batches (B, 1, S, S), B from 0: noise, constants or zeros in any memory layout."""
    batch = draw(st.integers(0, max_images))
    side = draw(st.sampled_from(sizes))
    x = torch.randn(
        batch, 1, side, side, generator=torch.Generator().manual_seed(draw(seeds()))
    ) * draw(st.sampled_from([0.0, 1.0, 100.0]))
    return draw(
        st.sampled_from(
            [x, x.transpose(2, 3), x.flip(-1), x.contiguous(memory_format=torch.channels_last),
             x.repeat(1, 1, 1, 2)[..., ::2]]))


@st.composite
def invalid_probabilities(draw) -> np.ndarray:
    """Draw an array (3, 3) whose rows are not probabilities."""
    p = np.eye(3) * .7 + .1
    kind = draw(
        st.sampled_from(
            ["nan", "logits", "negative", "infinite", "half", "text", "flat", "no classes", "none",
             "complex"]))
    if kind == "nan":
        p[1, 1] = np.nan
    if kind == "infinite":
        p[0, 2] = np.inf
    if kind == "negative":
        p[0] = (-1, 1, 1)
    return {"logits": np.log(p), "half": p / 2, "text": p.astype(str), "flat": p.ravel(),
            "no classes": p[:, :0], "none": None, "complex": p * 1j}.get(kind, p)


@st.composite
def logits_and_labels(draw):
    """Draw logits (B, C) with a gradient, B from 0, and class ids (B,)."""
    b = draw(st.integers(0, 9))
    c = draw(st.sampled_from([1, 2, 5]))
    generator = torch.Generator().manual_seed(draw(seeds()))
    logits = torch.randn(b, c, generator=generator) * draw(st.sampled_from([0., 1., 1e4]))
    return logits.requires_grad_(), torch.randint(0, c, (b,), generator=generator)


@st.composite
def damaged_bytes(draw, content: bytes) -> bytes:
    """Draw damaged bytes: flipped, overwritten, removed, doubled, inserted or cut off.

    Most of the damage is near the beginning, where headers are.
    """
    broken = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        end = draw(st.sampled_from([40, 400, len(content)]))
        place = draw(st.integers(0, max(0, min(end, len(broken)) - 1)))
        kind = draw(
            st.sampled_from(
                ["flip", "flip", "value", "word", "cut out", "double", "put in", "cut off"]))
        if kind == "flip" and broken:
            broken[place] ^= 1 << draw(st.integers(0, 7))
        if kind == "value" and broken:
            broken[place] = draw(st.sampled_from([0, 1, 127, 128, 255]))
        if kind == "word":
            broken[place : place + 4] = draw(
                st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"]))
        if kind == "cut out":
            del broken[place:place + draw(st.integers(1, 64))]
        if kind == "double":
            broken[place:place] = broken[place:place + draw(st.integers(1, 64))]
        if kind == "put in":
            broken[place:place] = draw(st.binary(min_size=1, max_size=16))
        if kind == "cut off":
            del broken[place + 1:]
    return bytes(broken)


@st.composite
def thumbnails(
    draw,
    min_images: int = 1,
    max_images: int = 12,
    side: int | None = None,
) -> np.ndarray:
    """Draw thumbnails (N, S, S), S even: noise, constants, duplicates, also turned ones."""
    n = draw(st.integers(min_images, max_images))
    size = side or draw(st.sampled_from([2, 8, 32]))
    rng = np.random.default_rng(draw(seeds()))
    images = rng.integers(0, 256, (n, size, size)).astype(float)
    for i in range(1, n):
        kind = draw(
            st.sampled_from(["own", "own", "duplicate", "turned", "constant", "almost", "lighter"]))
        if kind == "duplicate":
            images[i] = images[i - 1]
        if kind == "turned":
            images[i] = duplicates.orient(images[i - 1],
                                          draw(st.sampled_from(duplicates.ORIENTATIONS)))
        if kind == "constant":
            images[i] = draw(st.sampled_from([0, 7, 255]))
        if kind == "almost":
            images[i] = images[i - 1] + rng.normal(0, 3, (size, size))
        if kind == "lighter":
            images[i] = images[i - 1] * .5 + 40
    return with_layout(
        images.astype(draw(st.sampled_from([np.float16, np.float32, np.float64, np.int16]))),
        draw(st.sampled_from(LAYOUTS)))


@st.composite
def unit_batches(draw) -> torch.Tensor:
    """Draw batches (B, 1, H, W) in [0, 1]: also empty, constant or one pixel wide."""
    shape = (draw(st.integers(0, 4)), 1, draw(st.sampled_from([1, 2, 7, 32])),
             draw(st.sampled_from([1, 2, 7, 32])))
    x = torch.rand(shape, generator=torch.Generator().manual_seed(draw(seeds())))
    kind = draw(st.sampled_from(["noise", "black", "white", "checks"]))
    x = {"noise": x, "black": x * 0, "white": x * 0 + 1, "checks": x.round()}[kind].to(
        draw(st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16])))
    how = draw(st.sampled_from(["plain", "channels last", "strided"]))
    return (x.contiguous(memory_format=torch.channels_last) if how == "channels last"
            else x.repeat_interleave(2, -1)[..., ::2] if how == "strided" else x)


@st.composite
def audited_tables(draw) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw a table as `read_images` returns it, with its pairs; classes and splits of any name."""
    table = draw(scan_tables())
    names = draw(
        st.sampled_from(
            [("", "a", "b", "c", "d"), ("", "<b>", "(x)", "骨", "=1+1"), ("",) * 5, ("a",) * 5]))
    splits = draw(
        st.sampled_from([("train", "test"), ("", ""), ("val", "test"), ("train", "site <b>")]))
    table = table.reset_index(drop=True).assign(
        class_name=[names[label + 1] for label in table["label"]], grey_std=40.0, mode="L",
        frame=-1, split=[splits[s == "test"] for s in table["split"]])
    table["name"] = [Path(path).name for path in table["path"]]
    found = find_test_pairs(table, draw(seeds()))
    row = {path: i for i, path in enumerate(table["path"])}
    return table, found.assign(
        a=found["path_a"].map(row).astype(int), b=found["path_b"].map(row).astype(int)
    ).drop(columns=["path_a", "path_b"])


@st.composite
def mask_pairs(draw, n: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Draw two stacks of masks (N, H, W): empty, full, equal, disjoint or noise."""
    n = draw(st.integers(0, 4)) if n is None else n
    height = draw(st.integers(1, 20))
    width = draw(st.integers(1, 20))
    rng = np.random.default_rng(draw(seeds()))
    masks, truths = (
        rng.random((n, height, width)) < rng.choice([0, 0.1, 0.6, 1], (n, 1, 1)) for _ in range(2))
    kind = draw(st.sampled_from(["any", "equal", "disjoint"]))
    truths = masks.copy() if kind == "equal" else ~masks if kind == "disjoint" else truths
    return tuple(with_layout(part, draw(st.sampled_from(LAYOUTS))) for part in (masks, truths))


@st.composite
def brain_slices(draw) -> tuple[np.ndarray, np.ndarray]:
    """Draw a slice and its brain mask: a disc, full, empty or the bright pixels."""
    image = draw(slice_images(max_side=48))
    y, x = np.mgrid[:image.shape[0], :image.shape[1]]
    disc = (x - image.shape[1] / 2) ** 2 + (y - image.shape[0] / 2) ** 2 < min(image.shape) ** 2 / 5
    return image, {"disc": disc, "full": np.ones(image.shape, bool),
                   "empty": np.zeros(image.shape, bool),
                   "bright": image > 0}[draw(st.sampled_from(["disc", "full", "empty", "bright"]))]


@st.composite
def run_outputs(
    draw,
    min_slices: int = 1,
) -> tuple[pd.DataFrame, dict, np.ndarray | None, list[str]]:
    """Draw the test slices of a run, its outputs, the supervised baseline's and the classes.

    Labels are known, missing or of one class; all, some or no slices are clean.
    """
    n = draw(st.integers(min_slices, 25))
    k = draw(st.integers(1, 5))
    c = draw(st.sampled_from((2, 4, 40)))
    rng = np.random.default_rng(draw(seeds()))
    scans = pd.DataFrame(
        {"path": [f"{UNLIKELY_NAMES[i % len(UNLIKELY_NAMES)]} {i}" for i in range(n)],
         "true_label": draw(class_ids(n, c)), "group": rng.choice(["p", "q", "r"], n),
         "clean": draw(
             st.sampled_from([np.ones(n, bool), np.zeros(n, bool), rng.random(n) < 0.5]))})
    unlabelled = draw(st.booleans())
    outputs = {"head": rng.dirichlet(np.ones(c), n),
               "clusters": np.full((n, c), np.nan) if unlabelled else rng.dirichlet(np.ones(c), n),
               "responsibilities": rng.dirichlet(np.ones(k), n)}
    return (scans, outputs,
            None if unlabelled or draw(st.booleans()) else rng.dirichlet(np.ones(c), n),
            class_names(c))
