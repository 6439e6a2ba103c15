"""NumPyro: stochastic variational inference, a whole epoch compiled as one scan."""

import json
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import SVI, TraceMeanField_ELBO
from numpyro.optim import Adam

network, batch, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
if network != "mlp":
    sys.exit("NumPyro's convolutions on a processor are left out: they are an order slower than everybody else's")
x = jnp.asarray(np.load(path).reshape(-1, 784).astype(np.float32))
x = jnp.concatenate([x] * 2)
keys = jax.random.split(jax.random.PRNGKey(0), 8)


def layer(key, a, b):
    return jax.random.normal(key, (a, b)) / np.sqrt(a), jnp.zeros(b)


start = {
    "e1": layer(keys[0], 784, 400),
    "m": layer(keys[1], 400, 20),
    "s": layer(keys[2], 400, 20),
    "d1": layer(keys[3], 20, 400),
    "d2": layer(keys[4], 400, 784),
}


def apply(p, h):
    return h @ p[0] + p[1]


def model(given):
    p = numpyro.param("p", start)
    with numpyro.plate("batch", len(given)):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(20), 1).to_event(1))
        logits = apply(p["d2"], jax.nn.relu(apply(p["d1"], z)))
        numpyro.sample("x", dist.Bernoulli(logits=logits).to_event(1), obs=given)


def guide(given):
    p = numpyro.param("p", start)
    h = jax.nn.relu(apply(p["e1"], given))
    with numpyro.plate("batch", len(given)):
        numpyro.sample("z", dist.Normal(apply(p["m"], h), jnp.exp(0.5 * apply(p["s"], h))).to_event(1))


svi = SVI(model, guide, Adam(1e-3), TraceMeanField_ELBO())


@jax.jit
def epoch(state, key):
    order = jax.random.permutation(key, len(x))[: len(x) // batch * batch].reshape(-1, batch)
    return jax.lax.scan(lambda s, rows: svi.update(s, x[rows]), state, order)


state = svi.init(keys[5], x[:batch])
state, losses = epoch(state, keys[6])
losses.block_until_ready()
print(json.dumps({"ready": True}), flush=True)
for number, line in enumerate(sys.stdin):
    begun, used, seen = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begun < float(line):
        state, losses = epoch(state, jax.random.fold_in(keys[7], number))
        losses.block_until_ready()
        seen += len(x) // batch * batch
    seconds, processor = time.perf_counter() - begun, time.process_time() - used
    print(
        json.dumps({"examples_per_second": seen / seconds, "examples_per_processor_second": seen / processor}),
        flush=True,
    )
