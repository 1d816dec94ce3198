"""Rubbish for the property tests: pictures, numbers and tables as nobody should hand them over, and a judge of what comes back."""
import os
import signal
from contextlib import contextmanager

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, settings, strategies as st

# A few inputs on every change, many at night: HYPOTHESIS_PROFILE=nightly.
COMMON = dict(deadline=None, derandomize=True, print_blob=False,
              suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture,
                                     HealthCheck.data_too_large])
settings.register_profile("brief", max_examples=15, **COMMON)
settings.register_profile("nightly", max_examples=300, **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "brief"))

# outside the documented domain
DEFINED = (ValueError, TypeError, OSError, IndexError, KeyError, RuntimeError, AttributeError)


@contextmanager
def at_most(seconds: int = 60):
    """Fail when the block hangs."""
    def too_long(*_):
        raise AssertionError(f"no answer within {seconds} seconds")
    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def sentence(error: BaseException) -> str:
    """The one sentence of an error that a user meets."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    assert 10 < len(text) < 600 and "\n" not in text, f"not one sentence: {text!r}"
    return text


def answer(function, *arguments, refuses: tuple = (), seconds: int = 60, **named):
    """What `function` returns, or None where it refuses with one of the errors `refuses` in one
    sentence; anything else fails the test.
    """
    with at_most(seconds):
        try:
            return function(*arguments, **named)
        except refuses as error:
            sentence(error)


def survives(function, *arguments, seconds: int = 60, **named):
    """What `function` makes of what its documentation excludes.

    An answer, or any ordinary error; it neither hangs nor takes the process down.
    """
    with at_most(seconds):
        try:
            return function(*arguments, **named)
        except DEFINED as error:
            return error


# --- pictures ---------------------------------------------------------------------------------------------------------

def seeds() -> st.SearchStrategy:
    return st.integers(0, 2 ** 31 - 1)


def untidy(array: np.ndarray, how: str) -> np.ndarray:
    """The same values, laid out otherwise in memory."""
    if how == "fortran": return np.asfortranarray(array)
    if how == "strided" and array.ndim: return np.repeat(array, 2, axis=-1)[..., ::2]
    if how == "reversed" and array.ndim: return np.ascontiguousarray(array[..., ::-1])[..., ::-1]
    if how == "read-only":
        array = array.copy()
        array.flags.writeable = False
    return array

LAYOUTS = ("plain", "fortran", "strided", "reversed", "read-only")


@st.composite
def pictures(draw, smallest: int = 1, largest: int = 80, dtype=np.uint8) -> np.ndarray:
    """uint8 (H, W).

    Constant, noise, a ramp, a disc, one bright pixel, a checkerboard; of any shape down to 1 x 1
    and any layout.
    """
    height, width = draw(st.integers(smallest, largest)), draw(st.integers(smallest, largest))
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
    return untidy(image.astype(dtype), draw(st.sampled_from(LAYOUTS)))


@st.composite
def no_pictures(draw) -> object:
    """What is not a grey 8-bit picture: other types, channels, no pixels, NaN, text, None."""
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
def stacks(draw, most: int = 6, side: int | None = None) -> np.ndarray:
    """uint8 (N, 1, S, S), also with equal or constant slices."""
    n, size = draw(st.integers(1, most)), side or draw(st.sampled_from([1, 2, 8, 31, 32]))
    rng = np.random.default_rng(draw(seeds()))
    images = rng.integers(0, 256, (n, 1, size, size)).astype(np.uint8)
    kind = draw(st.sampled_from(["noise", "equal", "constant", "one constant"]))
    if kind == "equal":
        images[:] = images[:1]
    if kind == "constant":
        images[:] = 7
    if kind == "one constant":
        images[0] = 0
    return untidy(images, draw(st.sampled_from(LAYOUTS)))


# --- numbers ----------------------------------------------------------------------------------------------------------

@st.composite
def points(
    draw,
    least: int = 1,
    most: int = 40,
    dimensions: int = 8,
    dtype=np.float32,
) -> np.ndarray:
    """Finite (N, D): noise, all equal, equal columns, clusters, tiny, large, of any layout."""
    n, d = draw(st.integers(least, most)), draw(st.integers(1, dimensions))
    rng = np.random.default_rng(draw(seeds()))
    x = rng.normal(size=(n, d))
    kind = draw(st.sampled_from(
                    ["noise", "equal", "zero", "equal columns", "clusters", "tiny", "large", "far",
                     "integers"]))
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
    return untidy(x.astype(dtype), draw(st.sampled_from(LAYOUTS)))


@st.composite
def broken_points(draw) -> np.ndarray:
    """(N, D) with NaN or infinite values, or none at all."""
    x = np.array(draw(points(least=2)), dtype=np.float64)
    kind = draw(st.sampled_from(["one nan", "all nan", "infinite", "no rows", "no columns"]))
    if kind == "one nan":
        x[0, 0] = np.nan
    if kind == "all nan":
        x[:] = np.nan
    if kind == "infinite":
        x[-1, -1] = draw(st.sampled_from([np.inf, -np.inf]))
    return x[:0] if kind == "no rows" else x[:, :0] if kind == "no columns" else x


@st.composite
def shares(draw, n: int | None = None, k: int | None = None) -> np.ndarray:
    """float32 (N, K), rows sum to 1: even, certain, or anything between."""
    n, k = n or draw(st.integers(1, 40)), k or draw(st.integers(1, 6))
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
def ids(draw, n: int, classes: int = 4, hidden: bool = True) -> np.ndarray:
    """int64 (N,): class ids, with -1 for what is hidden; also one class only, or all hidden."""
    rng = np.random.default_rng(draw(seeds()))
    labels = rng.integers(-1 if hidden else 0, classes, n)
    kind = draw(st.sampled_from(["any", "any", "one class", "all hidden" if hidden else "any"]))
    if kind == "one class":
        labels[:] = classes - 1
    if kind == "all hidden":
        labels[:] = -1
    return labels.astype(np.int64)


# --- tables -----------------------------------------------------------------------------------------------------------

@st.composite
def scan_tables(
    draw,
    least: int = 1,
    most: int = 30,
    classes: tuple = ("glioma", "meningioma", "notumor", "pituitary"),
) -> pd.DataFrame:
    """A scan table whose files need not exist.

    Labels missing, of one class, or many; groups unknown, shared or all one; all copies; no test
    part.
    """
    n, rng = draw(st.integers(least, most)), np.random.default_rng(draw(seeds()))
    labels = draw(ids(n, len(classes)))
    copies = draw(st.sampled_from(["none", "some", "all"]))
    content = (np.arange(n) if copies == "none" else rng.integers(0, max(1, n // 2), n)
               if copies == "some" else np.zeros(n, int))
    groups = {
        "unknown": lambda: [""] * n,
        "one": lambda: ["p"] * n,
        "own": lambda: [f"p{i}" for i in range(n)],
        "some": lambda: [f"p{i}" if i % 3 else "" for i in rng.integers(0, max(1, n // 2), n)],
    }[draw(st.sampled_from(["unknown", "one", "own", "some"]))]()
    splits = {
        "both": lambda: rng.choice(["train", "test"], n), "train": lambda: np.full(n, "train"),
        "test": lambda: np.full(n, "test")}[draw(st.sampled_from(["both", "train", "test"]))]()
    strange = draw(st.sampled_from(["slice", "schädel <b>", "=1+1", "a b'c\"d", "骨"]))
    index = draw(st.sampled_from([0, 100]))
    return pd.DataFrame(
        {"path": [f"/scans/{strange} {i}.png" for i in range(n)], "label": labels,
         "class_name": np.array([*classes, ""])[labels], "split": splits, "group": groups,
         "sha256": [f"{c:064x}" for c in content], "pixels_sha256": [f"{c:064x}" for c in content],
         "grey_std": rng.choice([0.0, 3.0, 30.0, 60.0], n), "width": 64, "height": 64,
         "source": "folder"}, index=np.arange(n) + index)
