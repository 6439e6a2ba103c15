// Formulas of the lectures, in nats. Each is tested against what vael gives (tests/explorer/test_explorer_in_lectures.py).
export const LOG_TWO_PI = Math.log(2 * Math.PI);
export const sum = (values) => values.reduce((total, one) => total + one, 0);
export const mean = (values) => sum(values) / values.length;
export const normal = (x, centre, variance) => -0.5 * (LOG_TWO_PI + Math.log(variance) + (x - centre) ** 2 / variance);

export function logSumExp(values) {
  const most = Math.max(...values);
  return most === -Infinity ? most : most + Math.log(sum(values.map((one) => Math.exp(one - most))));
}

// KL(N(m, v) ‖ N(centre, variance)).
export function gaussianDivergence(m, v, centre, variance) {
  return 0.5 * (Math.log(variance / v) + (v + (m - centre) ** 2) / variance - 1);
}

// The smallest model that has everything in closed form: p(z) = N(0, 1), p(x|z) = N(θ z, σ²), and q = N(mean, deviation²).
export function posteriorOf({ x, theta, sigma }) {
  const variance = 1 / (1 + (theta / sigma) ** 2);
  return { mean: (variance * theta * x) / sigma ** 2, variance };
}

export function linearBound({ x, theta, sigma, mean: m, deviation }) {
  const v = deviation ** 2, exact = posteriorOf({ x, theta, sigma });
  const fitted = normal(x, theta * m, sigma ** 2) - 0.5 * ((theta / sigma) ** 2) * v;
  const rate = gaussianDivergence(m, v, 0, 1);
  return {
    fitted, rate, elbo: fitted - rate, gap: gaussianDivergence(m, v, exact.mean, exact.variance),
    evidence: normal(x, 0, theta ** 2 + sigma ** 2),
  };
}

// log w = log p(x, z) - log q(z) at z = mean + deviation · ε, for many ε.
export function logWeights({ x, theta, sigma, mean: m, deviation }, noise) {
  return noise.map((epsilon) => {
    const z = m + deviation * epsilon;
    return normal(z, 0, 1) + normal(x, theta * z, sigma ** 2) - normal(z, m, deviation ** 2);
  });
}

// log (1/K Σ w) of one group of K after another: their mean, and its standard error.
export function importanceBound(weights, k) {
  const groups = [];
  for (let first = 0; first + k <= weights.length; first += k) {
    groups.push(logSumExp(weights.slice(first, first + k)) - Math.log(k));
  }
  const centre = mean(groups), spread = sum(groups.map((one) => (one - centre) ** 2)) / Math.max(groups.length - 1, 1);
  return { bound: centre, error: Math.sqrt(spread / groups.length) };
}

// Variance over ε of one draw of both estimators of the bound, with all terms sampled (A) and with KL(q ‖ p(z)) in closed
// form (B), and what makes them up: each is a ε + b ε² + constant, whose variance is a² + 2 b².
export function boundVariances({ x, theta, sigma, mean: m, deviation: s }) {
  const fitted = [(theta * s * (x - theta * m)) / sigma ** 2, -0.5 * ((theta * s) / sigma) ** 2], rest = [-m * s, 0.5 * (1 - s * s)];
  const spread = ([a, b]) => a * a + 2 * b * b, both = [fitted[0] + rest[0], fitted[1] + rest[1]];
  return { a: spread(both), b: spread(fitted), rest: spread(rest), twice: spread(both) - spread(fitted) - spread(rest) };
}

// The linear VAE where -D - βR is highest, for data whose covariance has these eigenvalues and noise σ² in each direction:
// a latent is in use where λ > βσ² =: s; it has W² = λ - s, q-variance s/λ, rate ½ log(λ/s), and leaves an error of s.
export function linearOptimum({ eigenvalues, beta, sigma }) {
  const level = beta * sigma ** 2, used = eigenvalues.filter((one) => one > level);
  const rate = 0.5 * sum(used.map((one) => Math.log(one / level)));
  const left = sum(eigenvalues.map((one) => Math.min(one, level)));
  const distortion = 0.5 * (eigenvalues.length * (LOG_TWO_PI + 2 * Math.log(sigma)) + left / sigma ** 2);
  return { level, active: used.length, rate, distortion, elbo: -distortion - rate, climbed: -distortion - beta * rate };
}

// Variance of one draw of the gradient of E[z² - c] by μ, z ~ N(μ, σ²): a baseline b is taken from f = z² - c.
export function gradientVariances({ mu, sigma, constant }) {
  const m = mu ** 2, v = sigma ** 2;
  const score = (b) => (m * m + 18 * m * v + 15 * v * v - 2 * b * (m + 3 * v) + b * b) / v - 4 * m;
  return { gradient: 2 * mu, score: score(constant), centred: score(m + v), best: score(m + 3 * v), path: 4 * v };
}

// A Gaussian mixture over points of one or two numbers.
function inverseOf(covariance) {
  if (covariance.length === 1) return { inverse: [[1 / covariance[0][0]]], determinant: covariance[0][0] };
  const [[a, b], [c, d]] = covariance, determinant = a * d - b * c;
  return { inverse: [[d / determinant, -b / determinant], [-c / determinant, a / determinant]], determinant };
}

// log p(x, Z = k) of every point and component.
export function logJoint(points, { weight, mean: means, covariance }) {
  const parts = covariance.map(inverseOf);
  return points.map((x) => weight.map((share, k) => {
    const off = x.map((one, a) => one - means[k][a]), { inverse, determinant } = parts[k];
    const square = sum(off.map((one, a) => one * sum(inverse[a].map((entry, b) => entry * off[b]))));
    return Math.log(share) - 0.5 * (x.length * LOG_TWO_PI + Math.log(determinant) + square);
  }));
}

export const responsibilities = (joint) => joint.map((row) => { const all = logSumExp(row); return row.map((one) => Math.exp(one - all)); });

// The θ that maximises E_r[log p(X, Z | θ)]; what is not `free` stays.
export function maximised(points, shares, components, free = ["weight", "mean", "covariance"]) {
  const axes = [...points[0].keys()], found = { weight: [], mean: [], covariance: [] };
  components.weight.forEach((_, k) => {
    const r = shares.map((row) => row[k]), count = sum(r);
    const centre = free.includes("mean") ? axes.map((a) => sum(points.map((x, i) => r[i] * x[a])) / count) : components.mean[k];
    found.weight.push(count / points.length);
    found.mean.push(centre);
    found.covariance.push(axes.map((a) => axes.map((b) => sum(points.map((x, i) => r[i] * (x[a] - centre[a]) * (x[b] - centre[b]))) / count)));
  });
  return { ...components, ...Object.fromEntries(free.map((name) => [name, found[name]])) };
}

// log p(X), the bound and the divergence under shares Q, nats per point.
export function decomposed(joint, shares) {
  const elbo = mean(joint.map((row, i) => sum(row.map((one, k) => shares[i][k] > 0 ? shares[i][k] * (one - Math.log(shares[i][k])) : 0))));
  const evidence = mean(joint.map(logSumExp));
  const divergence = mean(joint.map((row, i) => {
    const all = logSumExp(row);
    return sum(row.map((one, k) => shares[i][k] > 0 ? shares[i][k] * (Math.log(shares[i][k]) - one + all) : 0));
  }));
  return { elbo, evidence, divergence };
}

// q = N(m₁, 1 - ρ²) N(m₂, 1 - ρ²) against N(0, [[1, ρ], [ρ, 1]]): the best m_j while the other stays, and KL(q ‖ p).
export const meanUpdate = (means, j, rho) => means.map((one, a) => a === j ? rho * means[1 - j] : one);
export function meanFieldDivergence([a, b], rho) {
  return 0.5 * ((a * a - 2 * rho * a * b + b * b) / (1 - rho ** 2) - Math.log(1 - rho ** 2));
}
