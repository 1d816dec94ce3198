"""Properties of brainclust.models.mixture."""

import numpy as np
from assertions import accepted, sum_to_one
from hypothesis import assume, given, strategies as st
from strategies import TENTH_OF_EXAMPLES, class_ids, points, probabilities, seeds, slice_stacks

from brainclust.models import mixture as mixture_module


@given(x=points(min_points=2), k=st.integers(1, 4), l2_normalise=st.booleans(), tied=st.booleans(),
       seed=seeds())
def test_responsibilities_are_probabilities(x, k, l2_normalise, tied, seed):
    """Return one float32 row of probabilities per slice."""
    mixture = accepted(mixture_module.fit_mixture, x, k, l2_normalise=l2_normalise,
                       tied_covariance=tied, seed=seed, refuses=ValueError if len(x) < k else ())
    if mixture is None: return
    gamma = mixture.responsibilities(x)
    assert isinstance(mixture, mixture_module.Mixture)
    assert gamma.shape == (len(x), k)
    assert gamma.dtype == np.float32
    assert sum_to_one(gamma)


@given(x=points(min_points=2), k=st.integers(1, 4), l2_normalise=st.booleans(), tied=st.booleans(),
       seed=seeds())
def test_mixture_parameters_are_finite(x, k, l2_normalise, tied, seed):
    """Fit finite means and positive variances."""
    mixture = accepted(mixture_module.fit_mixture, x, k, l2_normalise=l2_normalise,
                       tied_covariance=tied, seed=seed, refuses=ValueError if len(x) < k else ())
    if mixture is None: return
    assert mixture.means.shape == (k, x.shape[1])
    assert all(np.isfinite(value).all() for value in vars(mixture).values())
    assert (mixture.variances > 0).all()


@given(x=points(min_points=2), k=st.integers(1, 4), l2_normalise=st.booleans(), tied=st.booleans(),
       seed=seeds())
def test_a_mixture_ignores_memory_layout(x, k, l2_normalise, tied, seed):
    """Fit the same mixture for any memory layout."""
    mixture = accepted(mixture_module.fit_mixture, x, k, l2_normalise=l2_normalise,
                       tied_covariance=tied, seed=seed, refuses=ValueError if len(x) < k else ())
    if mixture is None: return
    gamma = mixture.responsibilities(x)
    same = mixture_module.fit_mixture(np.ascontiguousarray(x), k, l2_normalise=l2_normalise,
                                      tied_covariance=tied, seed=seed)
    assert np.allclose(same.responsibilities(x), gamma, atol=1e-4)


@given(x=points(min_points=2), k=st.integers(1, 4), l2_normalise=st.booleans(), tied=st.booleans(),
       seed=seeds())
def test_reordered_components_reorder_responsibilities(x, k, l2_normalise, tied, seed):
    """Reorder the columns of the responsibilities with the components."""
    mixture = accepted(mixture_module.fit_mixture, x, k, l2_normalise=l2_normalise,
                       tied_covariance=tied, seed=seed, refuses=ValueError if len(x) < k else ())
    if mixture is None: return
    gamma = mixture.responsibilities(x)
    order = np.random.default_rng(seed).permutation(k)
    assert np.array_equal(mixture.reorder(order).responsibilities(x), gamma[:, order])


@given(x=points(min_points=2), k=st.integers(1, 4), l2_normalise=st.booleans(), tied=st.booleans(),
       seed=seeds())
def test_responsibilities_of_one_slice_and_of_none(x, k, l2_normalise, tied, seed):
    """Return responsibilities for one slice and for none."""
    mixture = accepted(mixture_module.fit_mixture, x, k, l2_normalise=l2_normalise,
                       tied_covariance=tied, seed=seed, refuses=ValueError if len(x) < k else ())
    if mixture is None: return
    assert sum_to_one(mixture.responsibilities(x[:1]))
    assert mixture.responsibilities(x[:0]).shape == (0, k)


@given(x=points(min_points=2), k=st.integers(1, 4), l2_normalise=st.booleans(), tied=st.booleans(),
       seed=seeds())
def test_responsibilities_far_from_the_data_are_probabilities(x, k, l2_normalise, tied, seed):
    """Return probabilities for embeddings far from all fitted ones."""
    mixture = accepted(mixture_module.fit_mixture, x, k, l2_normalise=l2_normalise,
                       tied_covariance=tied, seed=seed, refuses=ValueError if len(x) < k else ())
    if mixture is None: return
    assert sum_to_one(mixture.responsibilities(x * 100 + 1))  # far from everything that was fitted


@given(x=points(min_points=2), k=st.integers(1, 4), l2_normalise=st.booleans(), tied=st.booleans(),
       seed=seeds())
def test_a_collapse_alarm_is_one_line(x, k, l2_normalise, tied, seed):
    """Describe a collapse in one line, or return an empty text."""
    mixture = accepted(mixture_module.fit_mixture, x, k, l2_normalise=l2_normalise,
                       tied_covariance=tied, seed=seed, refuses=ValueError if len(x) < k else ())
    if mixture is None: return
    gamma = mixture.responsibilities(x)
    alarm = mixture_module.collapse_alarm(gamma, mixture_module.effective_rank(x))
    assert isinstance(alarm, str)
    assert "\n" not in alarm


@given(x=points(min_points=4), data=st.data())
def test_anchored_responsibilities_are_probabilities(x, data):
    """Return probabilities of a label-seeded mixture."""
    k = data.draw(st.integers(1, 4))
    anchors = data.draw(class_ids(len(x), k))
    gamma = mixture_module.fit_mixture(x, k, anchors=anchors).responsibilities(x)
    assert gamma.shape == (len(x), k)
    assert sum_to_one(gamma)


def test_a_sample_with_more_labels_than_its_limit_is_fitted(monkeypatch):
    """Fit a sample although more slices are labelled than the sample holds."""
    monkeypatch.setattr(mixture_module, "MAX_FITTED", 20)
    # more labels than are fitted
    x = np.random.default_rng(0).normal(size=(50, 3))
    anchors = np.where(np.arange(50) < 30, np.arange(50) % 2, -1)
    assert sum_to_one(mixture_module.fit_mixture(x, 2, anchors=anchors).responsibilities(x))


@given(x=points(min_points=3), k=st.integers(1, 3), seed=seeds())
def test_m_steps_return_valid_parameters(x, k, seed):
    """Return weights that sum to one and positive variances in each M-step."""
    x = np.asarray(x, np.float64) - np.asarray(x, np.float64).mean(axis=0)
    assume(x.var() > 0)
    x /= x.std()
    gamma = np.random.default_rng(seed).dirichlet(np.ones(k), len(x))
    for _ in range(10):
        weights, means, variances = mixture_module.m_step(x, gamma, 1e-9)
        assert np.isclose(weights.sum(), 1)
        assert means.shape == variances.shape == (k, x.shape[1])
        assert (variances > 0).all()
        gamma, likelihood = mixture_module.e_step(x, weights, means, variances)
        if variances.min() < 1e-4:
            break  # the floor limits variances: the likelihood may fall


@given(x=points(min_points=3), k=st.integers(1, 3), seed=seeds())
def test_e_steps_return_probabilities(x, k, seed):
    """Return probabilities and a finite likelihood in each E-step."""
    x = np.asarray(x, np.float64) - np.asarray(x, np.float64).mean(axis=0)
    assume(x.var() > 0)
    x /= x.std()
    gamma = np.random.default_rng(seed).dirichlet(np.ones(k), len(x))
    for _ in range(10):
        weights, means, variances = mixture_module.m_step(x, gamma, 1e-9)
        gamma, likelihood = mixture_module.e_step(x, weights, means, variances)
        assert mixture_module.log_joint(x, weights, means, variances).shape == (len(x), k)
        assert sum_to_one(gamma)
        assert np.isfinite(likelihood)
        if variances.min() < 1e-4:
            break  # the floor limits variances: the likelihood may fall


@given(x=points(min_points=3), k=st.integers(1, 3), seed=seeds())
def test_the_likelihood_never_falls(x, k, seed):
    """Raise the likelihood with every EM step."""
    x = np.asarray(x, np.float64) - np.asarray(x, np.float64).mean(axis=0)
    assume(x.var() > 0)
    x /= x.std()
    gamma = np.random.default_rng(seed).dirichlet(np.ones(k), len(x))
    last = -np.inf
    for _ in range(10):
        weights, means, variances = mixture_module.m_step(x, gamma, 1e-9)
        gamma, likelihood = mixture_module.e_step(x, weights, means, variances)
        if variances.min() < 1e-4:
            break  # the floor limits variances: the likelihood may fall
        assert likelihood >= last - 1e-6
        last = likelihood


@given(x=points(min_points=3), k=st.integers(1, 3), seed=seeds())
def test_tied_variances_are_equal(x, k, seed):
    """Give all components the same variances when tied."""
    x = np.asarray(x, np.float64) - np.asarray(x, np.float64).mean(axis=0)
    assume(x.var() > 0)
    x /= x.std()
    gamma = np.random.default_rng(seed).dirichlet(np.ones(k), len(x))
    for _ in range(10):
        weights, means, variances = mixture_module.m_step(x, gamma, 1e-9)
        gamma, likelihood = mixture_module.e_step(x, weights, means, variances)
        if variances.min() < 1e-4:
            break  # the floor limits variances: the likelihood may fall
    tied = mixture_module.m_step(x, gamma, 1e-9, tied=True)[2]
    assert (tied == tied[0]).all()


@given(x=points(min_points=3), k=st.integers(1, 3))
def test_empty_components_stay_finite(x, k):
    """Fit finite parameters although components are empty."""
    x = np.asarray(x, np.float64) - np.asarray(x, np.float64).mean(axis=0)
    assume(x.var() > 0)
    x /= x.std()
    # all in one component, the others empty
    parameters = mixture_module.fit_diagonal_mixture(x, np.eye(k)[np.zeros(len(x), int)], 1e-3)
    assert all(np.isfinite(part).all() for part in parameters)
    assert sum_to_one(mixture_module.e_step(x, *parameters)[0])


@given(x=points(min_points=2), d=st.integers(1, 6))
def test_principal_components_are_orthonormal(x, d):
    """Return finite coordinates along orthonormal directions."""
    x = np.asarray(x, np.float64)
    d = min(d, *x.shape)
    reduced, centre, directions = mixture_module.principal_components(x, d)
    assert reduced.shape == (len(x), d)
    assert directions.shape == (d, x.shape[1])
    assert np.isfinite(reduced).all()
    assert np.allclose(directions @ directions.T, np.eye(d), atol=1e-6)


@given(x=points(min_points=2), d=st.integers(1, 6))
def test_principal_components_are_centred(x, d):
    """Subtract the mean of the embeddings."""
    x = np.asarray(x, np.float64)
    d = min(d, *x.shape)
    reduced, centre, directions = mixture_module.principal_components(x, d)
    assert np.allclose(centre, x.mean(axis=0))


@given(x=points(min_points=2))
def test_a_covariance_is_square(x):
    """Return a square covariance matrix."""
    x = np.asarray(x, np.float64)
    assert mixture_module.covariance(x).shape == (x.shape[1],) * 2


@given(x=points(min_points=2))
def test_an_effective_rank_is_at_most_the_dimensions(x):
    """Lie between zero and the smaller side of the matrix."""
    x = np.asarray(x, np.float64)
    assert 0 <= mixture_module.effective_rank(x) <= min(x.shape) + 1e-6
    assert mixture_module.effective_rank(x[:1]) == 0


@given(x=points(min_points=2), d=st.integers(1, 6))
def test_k_means_labels_are_cluster_ids(x, d):
    """Label every slice with one of the clusters."""
    x = np.asarray(x, np.float64)
    d = min(d, *x.shape)
    reduced, centre, directions = mixture_module.principal_components(x, d)
    k_means = mixture_module.start_k_means(reduced, 2, None, 0)
    assert set(k_means.labels_) <= {0, 1}


@given(x=points(min_points=2))
def test_clustered_embeddings_are_of_double_precision(x):
    """Convert embeddings to float64 before clustering."""
    x = np.asarray(x, np.float64)
    assert mixture_module.as_clustered(x, False).dtype == np.float64


@given(x=points(min_points=2))
def test_l2_normalised_rows_have_length_one(x):
    """Scale every row to length one unless it is zero."""
    x = np.asarray(x, np.float64)
    lengths = np.linalg.norm(mixture_module.as_clustered(x, True), axis=1)
    assert (np.isclose(lengths, 1) | (np.linalg.norm(x, axis=1) < 1e-11)).all()


@given(data=st.data())
def test_cluster_alignment_is_a_permutation(data):
    """Return every cluster once."""
    n = data.draw(st.integers(0, 50))
    k = data.draw(st.sampled_from([1, 2, 7, 200]))
    previous = data.draw(class_ids(n, k, hidden=False))
    current = data.draw(class_ids(n, k, hidden=False))
    order = mixture_module.align_clusters(previous, current, k)
    assert sorted(order) == list(range(k))


@given(data=st.data())
def test_cluster_alignment_never_lowers_agreement(data):
    """Keep at least as many slices in their cluster as without alignment."""
    n = data.draw(st.integers(0, 50))
    k = data.draw(st.sampled_from([1, 2, 7, 200]))
    previous = data.draw(class_ids(n, k, hidden=False))
    current = data.draw(class_ids(n, k, hidden=False))
    order = mixture_module.align_clusters(previous, current, k)
    renamed = np.argsort(order)[current]
    assert (renamed == previous).sum() >= (current == previous).sum()


@given(data=st.data())
def test_cluster_alignment_undoes_a_renaming(data):
    """Recover the clusters after a renaming."""
    n = data.draw(st.integers(0, 50))
    k = data.draw(st.sampled_from([1, 2, 7, 200]))
    previous = data.draw(class_ids(n, k, hidden=False))
    renaming = np.random.default_rng(n).permutation(k)
    assert (np.argsort(mixture_module.align_clusters(previous, renaming[previous],
                                                     k))[renaming[previous]] == previous).all()


@TENTH_OF_EXAMPLES
@given(train=slice_stacks(side=32), test=slice_stacks(side=32), tested=st.integers(0, 3))
def test_pixel_baselines_cluster_training_and_test_slices(train, test, tested):
    """Assign every training and test slice to one of two clusters."""
    found = accepted(mixture_module.pixel_baselines, train, test[:tested], 2,
                     refuses=ValueError if len(train) < 2 else ())
    for train_clusters, test_clusters in (found or {}).values():
        assert train_clusters.shape == (len(train),)
        assert test_clusters.shape == (len(test[:tested]),)
        assert set(train_clusters) | set(test_clusters) <= {0, 1}


@given(gamma=probabilities(), rank=st.sampled_from([np.nan, 0.0, 1.0, 50.0]))
def test_a_low_effective_rank_raises_the_alarm(gamma, rank):
    """Raise the collapse alarm for an effective rank below 1.5, in one line."""
    alarm = mixture_module.collapse_alarm(gamma, rank)
    assert bool(alarm) >= (rank < 1.5)
    assert "\n" not in alarm
