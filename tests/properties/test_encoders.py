"""Properties of brainclust.models.encoders."""

import torch
from examples import NETWORKS
from hypothesis import given, strategies as st
from strategies import TENTH_OF_EXAMPLES, seeds, standardised_batches
from torch import nn

from brainclust.models import encoders


@TENTH_OF_EXAMPLES
@given(name=st.sampled_from(list(encoders.ENCODERS)), x=standardised_batches(sizes=(32,)))
def test_networks_return_embeddings_logits_and_reconstructions(name, x):
    """Return one embedding, one row of logits and one reconstruction per slice."""
    network = NETWORKS[name]
    with torch.inference_mode():
        embedding, logits, picture, _ = network(x, reconstruct=True)
        assert embedding.shape == (len(x), network.encoder.dimensions)
        assert logits.shape == (len(x), 3)
        assert picture.shape == x.shape


@TENTH_OF_EXAMPLES
@given(name=st.sampled_from(list(encoders.ENCODERS)), x=standardised_batches(sizes=(32,)))
def test_network_outputs_are_finite(name, x):
    """Return finite outputs for noise, constants and zeros."""
    network = NETWORKS[name]
    with torch.inference_mode():
        embedding, logits, picture, _ = network(x, reconstruct=True)
        assert all(part.isfinite().all() for part in (embedding, logits, picture))


@TENTH_OF_EXAMPLES
@given(name=st.sampled_from(list(encoders.ENCODERS)), x=standardised_batches(sizes=(32,)))
def test_an_embedding_does_not_depend_on_its_batch(name, x):
    """Embed a slice alone as within a batch."""
    network = NETWORKS[name]
    with torch.inference_mode():
        embedding, logits, picture, _ = network(x, reconstruct=True)
        alone = [network(x[i : i + 1].contiguous())[0] for i in range(len(x))]
        assert torch.allclose(embedding, torch.cat([embedding[:0], *alone]), rtol=1e-3,
                              atol=1e-3 * (1 + float(embedding.abs().max() if len(x) else 0)))


@TENTH_OF_EXAMPLES
@given(name=st.sampled_from(list(encoders.ENCODERS)), x=standardised_batches(sizes=(32,)))
def test_logits_agree_with_and_without_gradients(name, x):
    """Compute the same logits in inference mode as with gradients."""
    network = NETWORKS[name]
    with torch.inference_mode():
        embedding, logits, picture, _ = network(x, reconstruct=True)
    # the ways for inference and for somebody who looks at what lies between agree
    quick = network(x)[1].detach()
    assert torch.allclose(quick, logits, rtol=1e-3,
                          atol=1e-3 * (1 + float(logits.abs().max() if len(x) else 0)))


def test_encoders_have_their_documented_dimensions():
    """Give embeddings of 512 and 128 dimensions."""
    assert [kind().dimensions for kind in (encoders.ResNetEncoder,
                                           encoders.AttentionEncoder)] == [512, 128]


@given(x=standardised_batches(max_images=3, sizes=(2, 16)), stride=st.integers(1, 2))
def test_blocks_agree_with_and_without_gradients(x, stride):
    """Compute a block in inference mode as with gradients."""
    for block in (
        encoders.ConvolutionBlock(1, 4, stride).eval(),
        encoders.PooledBlock(1, 4).eval(),
    ):
        slow = block(x).detach()
        with torch.inference_mode():
            quick = block(x)
        assert quick.shape == slow.shape
        assert torch.allclose(quick, slow, atol=1e-3 * (1 + float(x.abs().max() if len(x) else 0)))


@given(x=standardised_batches(max_images=3, sizes=(2, 16)), stride=st.integers(1, 2))
def test_block_outputs_are_not_negative(x, stride):
    """End every block with a rectifier."""
    for block in (
        encoders.ConvolutionBlock(1, 4, stride).eval(),
        encoders.PooledBlock(1, 4).eval(),
    ):
        with torch.inference_mode():
            quick = block(x)
        assert (quick >= 0).all()


@given(x=standardised_batches(max_images=3, sizes=(2, 16)))
def test_a_folded_normalisation_agrees_with_the_layers(x):
    """Fold batch normalisation into a convolution without changing its output."""
    convolution = nn.Conv2d(1, 2, 3, bias=False)
    norm = nn.BatchNorm2d(2).eval()
    if x.shape[2] < 3: return
    slow = encoders.normalised(convolution, norm, x).detach()
    with torch.inference_mode():
        assert torch.allclose(encoders.normalised(convolution, norm, x), slow,
                              atol=1e-3 * (1 + float(slow.abs().max() if len(x) else 0)))


@given(batch=st.integers(0, 3), tokens=st.integers(1, 9), seed=seeds())
def test_attention_pooling_returns_one_vector_per_slice(batch, tokens, seed):
    """Return one pooled vector and one weight per token."""
    pooling = encoders.AttentionPooling(8, 2).eval()
    pooled, weights = pooling(torch.randn(batch, tokens, 8,
                                          generator=torch.Generator().manual_seed(seed)))
    assert pooled.shape == (batch, 8)
    assert weights.shape == (batch, tokens)


@given(batch=st.integers(0, 3), tokens=st.integers(1, 9), seed=seeds())
def test_attention_weights_sum_to_one(batch, tokens, seed):
    """Weight the tokens of a slice with weights that sum to one."""
    pooling = encoders.AttentionPooling(8, 2).eval()
    pooled, weights = pooling(torch.randn(batch, tokens, 8,
                                          generator=torch.Generator().manual_seed(seed)))
    assert torch.allclose(weights.sum(dim=1), torch.ones(batch), atol=1e-5)


@given(batch=st.integers(0, 3), side=st.sampled_from([32, 64]), seed=seeds())
def test_decoders_return_finite_slices(batch, side, seed):
    """Decode embeddings into finite slices of the asked size."""
    reconstruction = encoders.Decoder(5, side).eval()(
        torch.randn(batch, 5, generator=torch.Generator().manual_seed(seed))
    )
    assert reconstruction.shape == (batch, 1, side, side)
    assert reconstruction.isfinite().all()
