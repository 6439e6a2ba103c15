// p(rest | given) without a server: importance sampling, as conditional.py has it but for where its proposals come from.
// z_k ~ ½ p(z) + ½ q(z), w_k ∝ p(x_given | z_k) p(z_k) / (½ p(z_k) + ½ q(z_k)); here q is a Gaussian that is fitted to
// weighed draws three times over (Cappé, Guillin, Marin & Robert 2004), for which no gradient is needed.
import { read } from "./cells.js";
import { stream, variates } from "./noise.js";

const DRAWS = 400, EACH = 2048, ROUNDS = 3, LONGEST = 1500; // milliseconds after which no more latents are weighed
const ENOUGH = 20 * DRAWS, LEAST = 60; // latents that the weights should be worth, and that a fit should

function shares(logs, power = 1) {
  let most = -Infinity;
  for (const one of logs) if (one > most) most = one;
  const found = logs.map((one) => Number.isNaN(one) ? 0 : Math.exp(power * (one - most))), sum = found.reduce((x, y) => x + y, 0);
  return found.map((one) => one / sum);
}

const worth = (share) => 1 / share.reduce((sum, one) => sum + one * one, 0);

// Flattened until they are worth enough draws to fit a Gaussian to.
function tempered(logs) {
  let low = 0, high = 1;
  for (let halving = 0; halving < 30; halving++) {
    const middle = (low + high) / 2;
    if (worth(shares(logs, middle)) >= LEAST) low = middle; else high = middle;
  }
  return shares(logs, worth(shares(logs)) >= LEAST ? 1 : low);
}

function fitted(z, share) {
  const wide = z[0].length, mean = new Float64Array(wide), spread = Array.from({ length: wide }, () => new Float64Array(wide));
  z.forEach((one, k) => { for (let i = 0; i < wide; i++) mean[i] += share[k] * one[i]; });
  z.forEach((one, k) => {
    if (share[k] > 1e-12) for (let i = 0; i < wide; i++) for (let j = 0; j <= i; j++) spread[i][j] += share[k] * (one[i] - mean[i]) * (one[j] - mean[j]);
  });
  const lower = Array.from({ length: wide }, () => new Float64Array(wide)); // Cholesky, a little wider than the draws
  for (let i = 0; i < wide; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 1.2 * spread[i][j] + (i === j ? 1e-3 : 0);
      for (let k = 0; k < j; k++) sum -= lower[i][k] * lower[j][k];
      lower[i][j] = i === j ? Math.sqrt(Math.max(sum, 1e-6)) : sum / lower[j][j];
    }
  }
  return { mean, lower };
}

function drawnFrom({ mean, lower }, count, random) {
  return Array.from({ length: count }, () => {
    const e = variates("normal", mean.length, random);
    return mean.map((one, i) => { let sum = one; for (let j = 0; j <= i; j++) sum += lower[i][j] * e[j]; return sum; });
  });
}

function density({ mean, lower }, z) {
  const solved = new Float64Array(mean.length);
  let sum = -.5 * mean.length * Math.log(2 * Math.PI);
  for (let i = 0; i < mean.length; i++) {
    let rest = z[i] - mean[i];
    for (let j = 0; j < i; j++) rest -= lower[i][j] * solved[j];
    solved[i] = rest / lower[i][i];
    sum -= .5 * solved[i] ** 2 + Math.log(lower[i][i]);
  }
  return sum;
}

function either(p, q) {
  const most = Math.max(p, q);
  return most + Math.log(Math.exp(p - most) + Math.exp(q - most));
}

const turned = (rows, columns) => columns.map((_, place) => rows.map((row) => Number.isNaN(row[place]) ? null : row[place]));

export function rowsGiven(does, columns, values, fresh) {
  const random = stream(1), before = turned(fresh(DRAWS, random), columns), began = performance.now();
  if (!Object.keys(values).length) return { columns: before, before, worth: null };
  const row = columns.map((one) => one.name in values ? read(one, values[one.name]) : NaN), seen = columns.map((_, place) => place).filter((place) => !Number.isNaN(row[place]));
  const x = row.map((one) => Number.isNaN(one) ? 0 : one);
  const likelihood = (z) => does.weigh(z, z.map(() => x)).map((cells) => seen.reduce((sum, place) => sum + cells[place], 0));
  const prior = (z) => does.log_prior(z).map((one) => one[0]), priors = (count) => does.prior(...does.prior.noise(count, random));
  let z = priors(EACH), logs = likelihood(z), q = null;
  for (let round = 0; round < ROUNDS; round++) {
    q = fitted(z, tempered(logs));
    const first = priors(EACH / 4), second = drawnFrom(q, EACH / 4, random);
    z = [...first, ...second];
    const p = prior(z), l = likelihood(z);
    logs = z.map((one, k) => l[k] + p[k] - either(p[k], density(q, one)));
  }
  q = fitted(z, tempered(logs));
  z = []; logs = [];
  do {
    const more = [...priors(EACH), ...drawnFrom(q, EACH, random)], p = prior(more), l = likelihood(more);
    more.forEach((one, k) => { z.push(one); logs.push(l[k] + p[k] - either(p[k], density(q, one))); });
  } while (worth(shares(logs)) < ENOUGH && performance.now() - began < LONGEST);
  if (!logs.some(Number.isFinite)) throw new Error("the model gives the given values no probability together; give fewer, or values nearer to those of the training rows");
  const share = shares(logs), reached = [];
  share.reduce((sum, one, k) => reached[k] = sum + one, 0);
  const chosen = Array.from({ length: DRAWS }, () => { const point = random() * reached.at(-1); return z[reached.findIndex((one) => one >= point)]; });
  const rows = does.draw(chosen, ...does.draw.noise(DRAWS, random)).map((one) => one.map((cell, place) => Number.isNaN(row[place]) ? cell : row[place]));
  return { columns: turned(rows, columns), before, worth: worth(share) };
}
