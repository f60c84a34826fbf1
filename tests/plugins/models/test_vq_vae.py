"""Laws of the VQ-VAE: its gradients, its codebook, the law over its codes."""

from __future__ import annotations

import pytest
import torch

from genbench import Batch, DataSpec, IncompatibleError
from genbench.engine import seed_everything, train
from genbench.events import EpochDone
from genbench.spec import RunSpec
from genbench.testing import check_model, small_data
from genbench_nets.code_prior import CodePrior, inverse_cdf
from genbench_nets.codebook import Codebook, perplexity
from genbench_vae.vq_vae import straight_through
from genbench_vae.vq_vae_settings import VQVAESettings

SMALL = DataSpec(name="small", shape=(1, 8, 8), train=10, test=10)
POINTS = DataSpec(name="points", shape=(2,), train=10, test=10)


def small_model(make, **settings):
    torch.manual_seed(0)
    return make("vq-vae", SMALL, **{"codes": 8, "code_dim": 3, "channels": (4, 6)} | settings)


def images(n=5):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1


def started(codes, *, decay=0.9, revive=0.0):
    """A codebook that stands at ``codes``, each with one use."""
    book = Codebook(*codes.shape, decay=decay, revive=revive)
    book.codes.copy_(codes)
    book.sums.copy_(codes)
    book.started.fill_(1)
    return book


# --- stage 1: the gradient


def test_the_gradient_goes_straight_through_with_that_of_the_commitment_alone(make):
    model, seen = small_model(make), {}

    def keep(name):
        def hook(module, inputs, output=None):
            seen[name] = inputs[0] if output is None else output
            seen[name].retain_grad()

        return hook

    model.nets["encoder"].register_forward_hook(keep("vectors"))
    model.nets["decoder"].register_forward_pre_hook(keep("codes"))
    sum(model.loss(Batch(x=images()))["vae"].values()).backward()
    vectors, codes = seen["vectors"], seen["codes"]
    places = vectors.numel() // 3
    commitment = 0.25 * 2 * (vectors - codes).detach() / places
    assert commitment.abs().max() > 0
    assert torch.allclose(vectors.grad, codes.grad + commitment, rtol=1e-5, atol=1e-8)


def test_straight_through_the_gradient_is_the_same_bit_for_bit():
    vectors, codes = torch.randn(2, 3, 4, 4, requires_grad=True), torch.randn(2, 3, 4, 4)
    weight = torch.randn(2, 3, 4, 4)
    out = straight_through(vectors, codes)
    assert torch.allclose(out.detach(), codes, atol=1e-6)
    assert torch.equal(torch.autograd.grad((weight * out).sum(), vectors)[0], weight)


def test_the_gradient_codebook_is_drawn_to_its_vectors_and_by_nothing_else(make):
    model = small_model(make, codebook="gradient")
    book = model.nets["codebook"]
    terms = model.loss(Batch(x=images()))["vae"]
    others = [terms["reconstruction"], terms["commitment"]]
    for term in others:
        assert torch.autograd.grad(term, book.codes, retain_graph=True, allow_unused=True) == (
            None,
        )
    (found,) = torch.autograd.grad(terms["codebook"], book.codes)
    with torch.no_grad():
        vectors = model.encode(images())[0].permute(0, 2, 3, 1).reshape(-1, 3)
        indices = book(vectors).indices
        expected = torch.zeros_like(book.codes)
        expected.index_add_(0, indices, 2 * (book.codes[indices] - vectors) / len(vectors))
    assert torch.allclose(found, expected, atol=1e-6)


# --- the codebook


def test_a_vector_becomes_its_nearest_code():
    torch.manual_seed(0)
    codes, vectors = torch.randn(9, 4), torch.randn(50, 4)
    found = started(codes)(vectors)
    nearest = torch.cdist(vectors, codes).argmin(1)
    assert torch.equal(found.indices, nearest)
    assert torch.equal(found.vectors, codes[nearest])


def test_the_codes_move_by_the_papers_averages():
    """Two codes at 0 and 10, decay 0.9: 1 and 3 choose the first, 12 the second."""
    book = started(torch.tensor([[0.0], [10.0]]), decay=0.9)
    book(torch.tensor([[1.0], [3.0], [12.0]]))
    book.update()
    uses = torch.tensor([0.9 * 1 + 0.1 * 2, 0.9 * 1 + 0.1 * 1])
    sums = torch.tensor([[0.9 * 0 + 0.1 * 4], [0.9 * 10 + 0.1 * 12]])
    assert torch.allclose(book.counts, uses)
    assert torch.allclose(book.sums, sums)
    assert torch.allclose(book.codes, sums / uses[:, None], rtol=1e-4)


def test_portions_of_a_batch_move_the_codes_as_the_whole_does():
    torch.manual_seed(0)
    codes, vectors = torch.randn(4, 2), torch.randn(30, 2)
    whole, parts = started(codes), started(codes)
    whole(vectors)
    for chunk in vectors.split(10):
        parts(chunk)
    whole.update()
    parts.update()
    assert torch.allclose(whole.codes, parts.codes, atol=1e-6)


def test_in_eval_mode_it_takes_no_note():
    book = started(torch.randn(4, 2)).eval()
    book(torch.randn(10, 2))
    assert float(book._uses.sum()) == 0


def test_all_codes_start_at_vectors_of_the_first_step():
    torch.manual_seed(0)
    book, vectors = Codebook(5, 3, decay=0.99, revive=0.5), 100 + torch.randn(40, 3)
    book(vectors)
    book.update()
    assert (book.codes[:, None] == vectors).all(2).any(1).all()


def test_a_code_out_of_use_starts_again_at_a_vector_and_the_others_stay():
    book = started(torch.tensor([[0.0], [1000.0]]), decay=0.5, revive=0.6)
    book(torch.tensor([[0.0], [0.0], [4.0]]))
    book.update()
    assert float(book.codes[1]) in (0.0, 4.0)
    assert float(book.codes[0]) == pytest.approx(
        (0.5 * 0 + 0.5 * 4) / (0.5 * 1 + 0.5 * 3), rel=1e-3
    )


def test_perplexity_counts_the_codes_in_use():
    assert float(perplexity(torch.arange(8).repeat(5), 16)) == pytest.approx(8.0)
    assert float(perplexity(torch.zeros(9, dtype=torch.int64), 16)) == pytest.approx(1.0)


# --- stage 2: the law over codes


@pytest.fixture
def prior():
    torch.manual_seed(0)
    law = CodePrior(5, (3, 4), embedding=4, width=8, layers=2)
    with torch.no_grad():
        law.place.normal_()
        law.last.weight.mul_(5)
    return law


def test_a_code_is_given_those_before_it_and_no_other(prior):
    codes = torch.randint(5, (1, 12))
    with torch.no_grad():
        logits = prior(codes)
        for at in range(12):
            other = codes.clone()
            other[0, at] = (other[0, at] + 1) % 5
            changed = (prior(other) - logits).abs().amax(2)[0] > 1e-7
            assert not changed[: at + 1].any()
            assert at == 11 or changed[at + 1]


def test_its_probabilities_of_all_grids_sum_to_one():
    torch.manual_seed(0)
    law = CodePrior(2, (2, 3), embedding=3, width=4, layers=1)
    grids = torch.cartesian_prod(*[torch.arange(2)] * 6)
    with torch.no_grad():
        assert float(torch.exp(-law.nats(grids)).sum()) == pytest.approx(1.0, abs=1e-5)


def test_codes_drawn_one_place_at_a_time_are_those_of_the_whole_network(prior):
    uniform = torch.rand(64, 12, generator=torch.Generator().manual_seed(2))
    codes = prior.sample(uniform)
    with torch.no_grad():
        logits = prior(codes)
    again = torch.stack([inverse_cdf(logits[:, at], uniform[:, at]) for at in range(12)], dim=1)
    assert torch.equal(codes, again)
    assert torch.equal(codes, prior.sample(uniform))


def test_sampled_conditional_frequencies_are_the_priors_probabilities(prior):
    n = 40_000
    uniform = torch.rand(1, 12, generator=torch.Generator().manual_seed(3)).repeat(n, 1)
    uniform[:, 7] = torch.rand(n, generator=torch.Generator().manual_seed(4))
    codes = prior.sample(uniform)
    assert bool((codes[:, :7] == codes[0, :7]).all())
    with torch.no_grad():
        expected = prior(codes[:1])[0, 7].softmax(0)
    found = torch.bincount(codes[:, 7], minlength=5) / n
    assert float(expected.min()) > 0.001
    error = (expected * (1 - expected) / n).sqrt()
    assert ((found - expected).abs() < 4.5 * error).all()


def test_the_ends_of_the_noise_pick_codes_that_can_be():
    logits = torch.tensor([[-1e9, 0.0, 1.0, -1e9]]).repeat(2, 1)
    assert inverse_cdf(logits, torch.tensor([0.0, 1.0 - 1e-7])).tolist() == [1, 2]
    assert int(inverse_cdf(logits, torch.ones(2)).max()) <= 3


# --- the model


def test_reconstructions_are_drawn_from_the_codes_of_the_image(make):
    model = small_model(make)
    model.nets.eval()
    with torch.no_grad():
        indices = model.encode_data(images(), torch.Generator()).long()
        codes = model.nets["codebook"].lookup(indices).view(5, 2, 2, 3).permute(0, 3, 1, 2)
        drawn = model.nets["decoder"](codes).sigmoid() * 2 - 1
        assert torch.allclose(model.reconstruct(images()), drawn, atol=1e-5)


def test_an_image_is_a_function_of_its_noise(make):
    model = small_model(make)
    z = model.prior(6, torch.Generator().manual_seed(0))
    assert z.shape == (6, 4)
    assert torch.equal(model.generate(z), model.generate(z))
    assert not torch.equal(model.generate(z), model.generate(-z))


def test_the_model_keeps_the_contract_if_its_codes_move_by_gradients():
    sizes = {"codes": 16, "channels": (4, 8), "residual_blocks": 1, "prior_width": 16}
    check_model("vq-vae", VQVAESettings(codebook="gradient", **sizes))


@pytest.mark.parametrize("data", [POINTS, DataSpec(name="odd", shape=(1, 30, 30))])
def test_points_and_sides_that_do_not_halve_are_refused(make, data):
    with pytest.raises(IncompatibleError, match="vq-vae"):
        make("vq-vae", data)


def test_the_codes_are_bitwise_frozen_while_their_prior_learns(make, tmp_path):
    model, states = small_model(make, code_epochs=3), []

    def listen(event):
        if isinstance(event, EpochDone):
            state = model.nets.state_dict()
            states.append({name: value.clone() for name, value in state.items()})

    seed_everything(0)
    spec = RunSpec(model="vq-vae", dataset="small", epochs=2, batch_size=16)
    cpu = torch.device("cpu")
    train(model, small_data(), spec, device=cpu, folder=tmp_path, emit=listen)
    assert len(states) == 5
    for name, value in states[2].items():
        same = torch.equal(value, states[-1][name])
        assert same != (name.startswith("prior.")), name


def test_it_learns_digits_and_its_codes_do_not_die(make, learns, digits_data):
    sizes = {"code_epochs": 4, "codes": 32, "channels": (8, 16), "prior_width": 32}
    x = torch.from_numpy(digits_data.test.x.copy()).float() / 127.5 - 1

    def measured(model):
        model.nets.eval()
        with torch.no_grad():
            codes, prior = model.validate(Batch(x=x)), model.validate_prior(Batch(x=x))
        return float(codes["loss"]), float(prior["loss"]), float(codes["perplexity"])

    seed_everything(0)
    at_first = measured(make("vq-vae", digits_data.spec, **sizes))
    untrained, trained, model = learns("vq-vae", epochs=4, **sizes)
    at_last = measured(model)
    print(f"vq-vae: loss, nats of codes, perplexity {at_first} -> {at_last}")
    assert trained < 0.5 * untrained
    assert at_last[0] < 0.5 * at_first[0]
    assert at_last[1] < 0.8 * at_first[1]
    assert at_last[2] > 12
