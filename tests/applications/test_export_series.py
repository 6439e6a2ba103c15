"""Models of sequences as ONNX: the same means as in PyTorch, with gaps and with a condition."""

import pytest
import torch

from vael.applications.export import export_onnx
from vael.applications.export_series import inverse
from vael.data import Batch
from vael.models import GaussianHead
from vael.models.sequences.jumps import jumpy_state_space
from vael.models.sequences.linear_dynamics import linear_dynamics
from vael.models.sequences.state_space import state_space

pytestmark = pytest.mark.usefixtures("_operators_listed_once")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")
TIME, CHANNELS, FEATURES = 4, 2, 2
SIZES = {"latent": FEATURES, "hidden": 4}
MODELS = {
    "kalman": lambda context: linear_dynamics((TIME, CHANNELS), GaussianHead(), **SIZES, context=context),
    "state-space": lambda context: state_space(
        (TIME, CHANNELS), GaussianHead(), **SIZES, sees_gaps=True, context=context
    ),
    "td-vae": lambda context: jumpy_state_space((TIME, CHANNELS), GaussianHead(), **SIZES, farthest=2, context=context),
}


def test_elimination_gives_the_inverse():
    noise = torch.randn(7, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    matrix = noise @ noise.mT + torch.eye(5).double()
    assert torch.allclose(inverse(matrix), torch.linalg.inv(matrix), rtol=1e-10)


QUICK = "td-vae"  # tracing a smoother takes several times as long
MARKED = [name if name == QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]


@pytest.mark.parametrize("name", MARKED)
def test_the_graphs_of_a_model_of_sequences_are_the_model(name, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MODELS[name](3)
        with torch.no_grad():
            for weights in model.parameters():
                weights.add_(0.1 * torch.randn(weights.shape))
    noise = torch.Generator().manual_seed(1)
    x, c = torch.randn(3, TIME, CHANNELS, generator=noise), torch.randn(3, 3, generator=noise)
    x[0, 1, 1] = torch.nan
    batch = Batch(x=x, observed=~x.isnan(), context=c)
    with torch.no_grad():
        if name == "td-vae":
            codes = model.believed(batch)
            law = model.emitted(codes[None], c)
        else:
            codes = torch.stack(model.latents(batch), 2)[0]
            law = model.decode(tuple(codes[None].unbind(2)), c)
    done = export_onnx(model, (TIME, CHANNELS), tmp_path)
    encoder, decoder = (
        onnxruntime.InferenceSession(graph.path.read_bytes(), providers=["CPUExecutionProvider"])
        for graph in (done.encoder, done.decoder)
    )
    (found,) = encoder.run(["mean"], {"x": x.numpy(), "c": c.numpy()})
    assert torch.allclose(torch.from_numpy(found), codes, atol=1e-5)
    (mean,) = decoder.run(["mean"], {"z": found, "c": c.numpy()})
    assert torch.allclose(torch.from_numpy(mean), law.mean[0], atol=1e-5)
