"""The portable level: whole numbers that no batch, thread, library or process changes, against Python's own
integers.
"""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vael.compression.bits_back import decode, encode
from vael.compression.integers.integer_laws import logistic_curve, normal_curve
from vael.compression.integers.integer_network import (
    Affine,
    Convolution,
    IntegerNetwork,
    Linear,
    Lookup,
    TransposedConvolution,
)
from vael.compression.portable import PortableLevel, load_portable, quantise
from vael.data import Batch
from vael.errors import FormatError, StateError, SupportError
from vael.models import (
    BernoulliHead,
    CategoricalHead,
    CoupledLogisticMixtureHead,
    DiscretizedLogisticHead,
    DiscretizedLogisticMixtureHead,
    GaussianHead,
    TabulatedMixtureHead,
)
from vael.models.hierarchical import HierarchicalVAE, softened
from vael.networks import Offset, Standardize
from vael.networks.ladder import ConvolutionLadder, DenseLadder
from vael.process import threads
from vael.recipes import convolutional, dense, residual

LEVELS, EVENT = 16, (3, 5, 6)
HEADS = {
    "discretised logistic": DiscretizedLogisticHead(LEVELS),
    "mixture": DiscretizedLogisticMixtureHead(LEVELS, 3),
    "coupled": CoupledLogisticMixtureHead(LEVELS, 3, 3),
    "coupled, one": CoupledLogisticMixtureHead(LEVELS, 1, 3),
    "tabulated": TabulatedMixtureHead(LEVELS, 4),
    "categorical": CategoricalHead(LEVELS),
    "Bernoulli": BernoulliHead(),
}


def pixels(count, levels=LEVELS, seed=0):
    return torch.randint(0, levels, (count, *EVENT), generator=torch.Generator().manual_seed(seed)).float()


def model(head, recipe=dense, seed=0, **more):
    """Weights as they are drawn, their last layers twice as large so that the latents matter."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        vae = recipe(EVENT, head, latent=4, **(more or {"hidden": (16,)})).eval()
        with torch.no_grad():
            for network in (vae.posterior.network, vae.likelihood.network):
                last = [part for part in network.modules() if isinstance(part, (nn.Linear, nn.ConvTranspose2d))][-1]
                last.weight.mul_(2)
    return vae


def symbols(x):
    return x.flatten(1).numpy().astype(np.int32)


def conv(**more):
    return model(DiscretizedLogisticMixtureHead(LEVELS, 2), convolutional, channels=(4, 8), **more)


# the length


@pytest.mark.parametrize("correlated", [False, True])
@pytest.mark.parametrize("name", HEADS)
def test_a_block_comes_back_and_costs_what_the_bound_says(name, correlated):
    """Whole numbers cost less than 1 % more than the bound of the model in floating point at the same latents;
    nothing here is random.
    """
    levels = 2 if name == "Bernoulli" else LEVELS
    x = pixels(40, levels)
    vae = model(HEADS[name], hidden=(16,), correlated=correlated)
    level = PortableLevel(quantise(vae, x, levels), vae)
    coded = encode(level, symbols(x))
    assert (decode(level, coded.words, coded.kept, coded.groups) == symbols(x)).all()
    assert coded.net == pytest.approx(coded.ideal / math.log(2), rel=0.01)


def test_convolutions_of_odd_sides_come_back():
    x, vae = pixels(20), conv()
    level = PortableLevel(quantise(vae, x, LEVELS), vae)
    coded = encode(level, symbols(x))
    assert (decode(level, coded.words, coded.kept, coded.groups) == symbols(x)).all()
    assert coded.net == pytest.approx(coded.ideal / math.log(2), rel=0.01)


# the same everywhere


def integers():
    """A model in whole numbers that is the same in every process, made without any random number or function of
    real numbers.
    """

    def spread(*shape):
        n = torch.arange(math.prod(shape)).double()
        return ((n * n * 7919 + n * 104729 + 13) % 65521 - 32760).view(shape).round()

    vae = model(TabulatedMixtureHead(LEVELS, 4), convolutional, channels=(4, 8), correlated=True)
    made = quantise(vae, pixels(8), LEVELS)
    for network in (made.networks["encoder"], made.networks["decoder"]):
        for stage in network.stages:
            for tensor in stage.tensors.values():
                if tensor.dim() > 1:
                    tensor.copy_(spread(*tensor.shape))
                elif isinstance(stage, Lookup):
                    tensor.copy_(torch.arange(len(tensor)).double().sub(len(tensor) // 2).clamp(min=0).mul(2))
                else:
                    tensor.zero_()
    return made


def test_no_batch_and_no_library_changes_an_integer():
    made, x = integers(), pixels(64)
    raw = made.networks["encoder"](x.double())
    z = torch.floor(raw[:, :4] / 8).clamp(-8192, 8191)
    out = made.networks["decoder"](z)
    assert out.unique().numel() > 100
    for size in (1, 7, 64):
        assert torch.equal(torch.cat([made.networks["encoder"](part) for part in x.double().split(size)]), raw)
        assert torch.equal(torch.cat([made.networks["decoder"](part) for part in z.split(size)]), out)
    with torch.backends.mkldnn.flags(enabled=False):
        assert torch.equal(made.networks["decoder"](z), out)
    threads = torch.get_num_threads()
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            assert torch.equal(made.networks["encoder"](x.double()), raw)
            assert torch.equal(made.networks["decoder"](z), out)
    finally:
        torch.set_num_threads(threads)


def test_a_file_of_one_batch_size_is_read_with_another():
    x, made = pixels(40), integers()
    coded = encode(PortableLevel(made, conv(), batch=40), symbols(x))
    few = PortableLevel(made, batch=1)
    assert (decode(few, coded.words, coded.kept, coded.groups) == symbols(x)).all()


ELSEWHERE = """
import sys, hashlib, torch
sys.path.insert(0, {folder!r})
from pathlib import Path
import numpy as np
torch.set_num_threads(2)
from vael.compression.portable import PortableLevel, load_portable
from vael.compression.bits_back import decode
level = PortableLevel(load_portable(Path({model!r})))
stored = np.load({words!r})
with torch.backends.mkldnn.flags(enabled=False):
    found = decode(level, stored["words"], int(stored["kept"]), tuple(stored["groups"].tolist()))
np.save({out!r}, found)
"""


def test_another_process_reads_it_from_the_stored_model(tmp_path):
    x, vae = pixels(30), conv()
    made = quantise(vae, x, LEVELS)
    made.save(tmp_path / "portable.safetensors")
    coded = encode(PortableLevel(made, vae), symbols(x))
    np.savez(tmp_path / "words.npz", words=coded.words, kept=coded.kept, groups=np.array(coded.groups))
    out = str(tmp_path / "found.npy")
    code = ELSEWHERE.format(
        folder=str(Path(__file__).parent),
        model=str(tmp_path / "portable.safetensors"),
        words=str(tmp_path / "words.npz"),
        out=out,
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    assert (np.load(out) == symbols(x)).all()


def test_golden_words():
    """The words of a fixed block: what any other machine, and any later vael, must write and read."""
    import hashlib

    coded = encode(PortableLevel(integers(), conv(), batch=16), symbols(pixels(16)))
    assert hashlib.sha256(coded.words.astype("<u4").tobytes()).hexdigest()[:16] == "b652c73254cdcd75"


# against Python's own integers


def nearest(total, shift, limit):
    """total / 2^shift to the nearest integer, halves up."""
    found = (total << -shift) if shift <= 0 else (total + (1 << (shift - 1))) >> shift
    return max(-limit, min(limit, found))


def whole(tensor):
    return tensor.long().tolist()


def by_hand(stage, a):
    """One stage for one example as nested lists of Python's integers."""
    if isinstance(stage, Lookup):
        half, table = len(stage.table) // 2, whole(stage.table)
        return [table[max(-half, min(half - 1, v)) + half] for v in a]
    if isinstance(stage, Affine):
        factor, offset = (whole(part.expand(len(a))) for part in (stage.factor.flatten(), stage.offset.flatten()))
        return [nearest(v * f + o, stage.shift, stage.limit) for v, f, o in zip(a, factor, offset, strict=True)]
    weight, bias = whole(stage.weight), whole(stage.bias)
    return [
        nearest(sum(w * v for w, v in zip(row, a, strict=True)) + b, stage.shift, stage.limit)
        for row, b in zip(weight, bias, strict=True)
    ]


def test_a_dense_network_is_what_python_computes():
    made, x = quantise(model(DiscretizedLogisticHead(LEVELS)), pixels(30), LEVELS), pixels(5, seed=3)
    for network, inputs in (
        (made.networks["encoder"], x),
        (made.networks["decoder"], 3000 * torch.randn(5, 4, generator=torch.Generator().manual_seed(1)).round()),
    ):
        found = network(inputs.double()).flatten(1).long().tolist()
        for example, expected in zip(inputs.flatten(1).long().tolist(), found, strict=True):
            a = [max(-network.limit, min(network.limit, v)) for v in example]
            for stage in network.stages:
                a = by_hand(stage, a) if isinstance(stage, (Lookup, Affine, Linear)) else a
            assert a == expected


def test_a_convolution_is_what_python_computes():
    weight = torch.randint(-(2**15), 2**15, (2, 3, 4, 4), generator=torch.Generator().manual_seed(0)).double()
    a = torch.randint(-(2**15), 2**15, (1, 3, 6, 5), generator=torch.Generator().manual_seed(1)).double()
    found = Convolution(weight, torch.tensor([5.0, -7.0]).double(), (2, 2), (1, 1), 9, 1 << 40)(a)[0].long()
    w, values, bias = whole(weight), whole(a[0]), (5, -7)
    for o in range(2):
        for r in range(found.shape[1]):
            for c in range(found.shape[2]):
                cells = [
                    (i, dr, dc, 2 * r + dr - 1, 2 * c + dc - 1) for i in range(3) for dr in range(4) for dc in range(4)
                ]
                total = bias[o] + sum(
                    w[o][i][dr][dc] * values[i][y][x] for i, dr, dc, y, x in cells if 0 <= y < 6 and 0 <= x < 5
                )
                assert int(found[o, r, c]) == nearest(total, 9, 1 << 40)


def test_curves_are_functions_in_whole_numbers():
    """Between tabulated points by straight lines, rising, exact at the points; Python's own integers agree."""
    for curve in (normal_curve(), logistic_curve()):
        values, half = curve.values.tolist(), len(curve.values) // 2
        assert (np.diff(curve.values) >= 0).all()
        assert (values[0], values[-1]) == (pytest.approx(0, abs=1), pytest.approx(2**32, abs=1))
        for t in [*range(-3 << 14, 3 << 14, 997), -(10**12), 10**12]:
            clipped = max(-(half << 14), min((half << 14) - 1, t))
            low = clipped // 2**14 + half
            expected = values[low] + (values[low + 1] - values[low]) * (clipped % 2**14) // 2**14
            assert int(curve(np.array([t]))[0]) == expected


# what is refused


def test_a_layer_without_integers_is_named():
    with pytest.raises(SupportError, match="ResidualBlock"):
        quantise(model(DiscretizedLogisticHead(LEVELS), residual, channels=(4,), blocks=1), pixels(4), LEVELS)


def test_a_head_without_integers_is_named():
    with pytest.raises(SupportError, match="GaussianHead"):
        quantise(model(GaussianHead()), pixels(4), LEVELS)


def test_sums_that_could_be_inexact_are_refused():
    wide = Linear(torch.full((1, 2**10), 2.0**30).double(), torch.zeros(1).double(), 0, 10)
    assert IntegerNetwork((wide,), 2**10)
    with pytest.raises(SupportError, match="exact"):
        IntegerNetwork((wide,), 2**11)
    with pytest.raises(SupportError, match="whole"):
        IntegerNetwork((Linear(torch.full((1, 2), 0.5).double(), torch.zeros(1).double(), 0, 10),), 1)
    tall = TransposedConvolution(
        torch.full((2**10, 1, 1, 1), 2.0**30).double(), torch.zeros(1).double(), (1, 1), (0, 0), 0, 10
    )
    with pytest.raises(SupportError, match="exact"):
        IntegerNetwork((tall,), 2**11)


def test_a_stored_model_comes_back_and_a_changed_one_is_noticed(tmp_path):
    made, path = integers(), tmp_path / "portable.safetensors"
    made.save(path)
    assert load_portable(path).fingerprint == made.fingerprint
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(FormatError, match="damaged"):
        load_portable(path)
    path.write_bytes(b"no model")
    with pytest.raises(FormatError):
        load_portable(path)


def test_a_level_without_its_model_knows_no_bound():
    level = PortableLevel(integers())
    with pytest.raises(StateError, match="model="):
        level.ideal(symbols(pixels(1)), (np.zeros((1, 4), np.int32),))


# several levels of latents


def ladder(head=None, sizes=(2, 3, 4), smooth=False):
    """Weights away from where they start, so that every level matters."""
    head = head or DiscretizedLogisticHead(LEVELS)
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(3)
        outputs = (EVENT[0] * head.channels_per_cell, *EVENT[1:])
        found = HierarchicalVAE(
            nn.Sequential(Standardize(torch.full((3, 1, 1), 7.5), torch.full((3, 1, 1), 4.6))),
            DenseLadder(EVENT, outputs, sizes, 12),
            head,
            Offset(torch.randn(outputs) / 4),
            sees_gaps=False,
            deviation=softened if smooth else None,
        )
        with torch.no_grad():
            for weights in found.parameters():
                weights.add_(0.1 * torch.randn(weights.shape))
    return found.eval()


@pytest.mark.parametrize(
    ("name", "sizes", "smooth"),
    [("Bernoulli", (2, 3, 4), False), ("discretised logistic", (3, 5), True), ("mixture", (4,), False)],
)
def test_levels_of_latents_come_back_and_cost_what_the_bound_says(name, sizes, smooth):
    """As of one level: less than 1 % more than the bound in floating point at the same latents."""
    levels = 2 if name == "Bernoulli" else LEVELS
    x, vae = pixels(40, levels), ladder(HEADS[name], sizes, smooth)
    level = PortableLevel(quantise(vae, x, levels), vae)
    coded = encode(level, symbols(x))
    assert (decode(level, coded.words, coded.kept, coded.groups) == symbols(x)).all()
    assert coded.net == pytest.approx(coded.ideal / math.log(2), rel=0.01)


def test_a_stored_hierarchy_reads_in_batches_of_another_size_what_was_written(tmp_path):
    """Six threads, a batch of two and tensors from a file, in place of one batch of all on one thread."""
    x, vae = pixels(12), ladder()
    made = quantise(vae, x, LEVELS)
    made.save(tmp_path / "portable.safetensors")
    read = load_portable(tmp_path / "portable.safetensors")
    assert read.fingerprint == made.fingerprint
    coded = encode(PortableLevel(made, vae), symbols(x))
    with threads(6):
        other = PortableLevel(read, batch=2)
        assert (decode(other, coded.words, coded.kept, coded.groups) == symbols(x)).all()


def test_each_level_is_the_law_of_the_model_in_floating_point():
    """Means of every level at given latents to 0.02 deviations, so 0.0002 nats each, deviations to 1 %, in float64."""
    x, vae = pixels(30), ladder().double()
    made, above = quantise(vae, x, LEVELS), []
    generator, seen = torch.Generator().manual_seed(5), made._seen(x.double())
    for number, size in enumerate(made.sizes):
        z = torch.randint(-400, 400, (30, size), generator=generator).numpy().astype(np.int32)
        state = made._state(above, 30)
        levels = tuple(torch.from_numpy(one / 512)[None] for one in above)
        with torch.no_grad():
            laws = vae.prior_at(levels), vae.posterior_at(levels, Batch(x.double()))
        found = made._prior_of(number, state), made._posterior_of(number, state, seen[number])
        for whole_law, law in zip(found, laws, strict=True):
            mean, deviation = (
                np.broadcast_to(one.numpy().reshape(-1, size), (30, size)) for one in (law.mean, law.stddev)
            )
            assert (np.abs(whole_law.loc / 2.0**12 - mean) < 0.02 * deviation).all()
            assert (np.abs(2.0**24 / whole_law.rate / deviation - 1) < 0.01).all()
        above.append(z)


def test_levels_of_grids_have_no_whole_numbers_yet():
    vae = HierarchicalVAE(
        nn.Identity(),
        ConvolutionLadder((1, 8, 8), (1, 8, 8), (1, 4), 2, 4),
        BernoulliHead(),
        nn.Identity(),
        sees_gaps=False,
    )
    with pytest.raises(SupportError, match=r"ConvolutionLadder has no form in whole numbers.*default level"):
        quantise(vae, torch.zeros(3, 1, 8, 8), 2)
