// Every kind of live part: its sliders, what they begin at, the numbers that follow, and the figures of them.
import { boundVariances, importanceBound, gradientVariances, linearBound, linearOptimum, logWeights, normal, posteriorOf } from "./formulas.js";
import { Figure, bars, printed } from "./parts.js";
import { mixture, meanField } from "./steps.js";
import { attributes, decoder } from "./decoder.js";

const q = [
  { name: "mean", label: "mean of q", low: -3, high: 3, step: 0.01 },
  { name: "deviation", label: "standard deviation of q", low: 0.05, high: 3, log: true },
];
const model = (given) => ({ x: given.x, theta: given.theta, sigma: given.sigma, mean: given.mean, deviation: given.deviation });

function toPosterior(state) {
  const exact = posteriorOf(state);
  Object.assign(state, { mean: exact.mean, deviation: Math.sqrt(exact.variance) });
}

function densities(width, state) {
  const exact = posteriorOf(state), tallest = Math.max(normal(0, 0, state.deviation ** 2), normal(0, 0, exact.variance), -0.9);
  const figure = new Figure(width, { x: [-3.5, 3.5], y: [0, 1.05 * Math.exp(tallest)], title: "densities of z", xlabel: "z" });
  figure.curve((z) => Math.exp(normal(z, 0, 1)), "line prior").curve((z) => Math.exp(normal(z, exact.mean, exact.variance)), "line exact", 400);
  figure.curve((z) => Math.exp(normal(z, state.mean, state.deviation ** 2)), "line approximate", 400);
  [["prior", "p(z)"], ["exact", "p(z|x)"], ["approximate", "q(z|x)"]].forEach(([kind, name], place) => {
    figure.rule(figure.left + 10, figure.left + 34, 32 + 16 * place, 32 + 16 * place, `line ${kind}`).text(figure.left + 40, 36 + 16 * place, name, "name");
  });
  return figure;
}

const bound = {
  title: "Move q, and see the bound and the divergence share log p(x) out",
  names: ["E_q[log p(x|z)]", "KL(q‖p(z))", "ELBO", "KL(q‖p(z|x))", "ELBO + KL(q‖p(z|x))", "log p(x)"],
  sliders: () => [...q, { name: "sigma", label: "σ of p(x|z)", low: 0.2, high: 3, log: true }, { name: "theta", label: "θ of p(x|z)", low: -3, high: 3, step: 0.01 }],
  buttons: { "q = the exact posterior": toPosterior },
  begin: model,
  numbers(state) {
    const { fitted, rate, elbo, gap, evidence } = linearBound(state);
    return { "E_q[log p(x|z)]": fitted, "KL(q‖p(z))": rate, ELBO: elbo, "KL(q‖p(z|x))": gap, "ELBO + KL(q‖p(z|x))": elbo + gap, "log p(x)": evidence };
  },
  draw(place, width, state) {
    const { fitted, rate, elbo, gap, evidence } = linearBound(state);
    const low = Math.min(elbo, fitted, 0), high = Math.max(fitted, evidence, 0), room = 0.04 * (high - low);
    const rows = [
      { name: "E_q[log p(x|z)]", from: 0, to: fitted, kind: "fitted" },
      { name: "− KL(q‖p(z))", from: fitted, to: elbo, kind: "rate" },
      { name: "their sum, the ELBO", from: 0, to: elbo, kind: "elbo" },
      { name: "+ KL(q‖p(z|x))", from: elbo, to: elbo + gap, kind: "gap" },
    ];
    place.replaceChildren(densities(width, state).svg, bars(width, `log p(x) = ${printed(evidence)}, the upright line`, rows, [low - room, high + room], evidence).svg);
  },
};

const balance = {
  title: "Move β and σ, and see which latents stay in use",
  names: ["βσ²", "active latents", "rate R", "distortion D", "ELBO = −(D + R)", "−(D + βR)"],
  sliders: () => [{ name: "beta", label: "β", low: 0.01, high: 100, log: true }, { name: "sigma", label: "σ of p(x|z)", low: 0.1, high: 3, log: true }],
  buttons: { "β = 1": (state) => { state.beta = 1; } },
  begin: ({ beta, sigma }) => ({ beta, sigma }),
  numbers(state, { eigenvalues }) {
    const found = linearOptimum({ eigenvalues, ...state });
    return { "βσ²": found.level, "active latents": found.active, "rate R": found.rate, "distortion D": found.distortion, "ELBO = −(D + R)": found.elbo, "−(D + βR)": found.climbed };
  },
  draw(place, width, state, { eigenvalues }) {
    const at = (beta) => linearOptimum({ eigenvalues, beta, sigma: state.sigma }), here = at(state.beta), level = Math.log10(here.level);
    const logs = eigenvalues.map(Math.log10), low = Math.min(...logs, -1) - 0.5, high = Math.max(...logs) + 0.4;
    const water = new Figure(width, { x: [0.4, eigenvalues.length + 0.6], y: [low, high], logY: true, title: "λ of each direction, coded above βσ²", xlabel: "direction" });
    logs.forEach((one, j) => {
      const middle = Math.min(Math.max(level, low), one), wide = water.across(1.7) - water.across(1);
      water.add("rect", { x: water.across(j + 0.65), width: wide, y: water.up(one), height: water.up(middle) - water.up(one), class: "used" });
      water.add("rect", { x: water.across(j + 0.65), width: wide, y: water.up(middle), height: water.up(low) - water.up(middle), class: "lost" });
    });
    if (level > low && level < high) water.level(level, "mark");
    const curve = Array.from({ length: 121 }, (_, i) => at(10 ** (-2 + (4 * i) / 120))), most = Math.max(...curve.map((one) => one.rate), 1);
    const reach = [Math.min(...curve.map((one) => one.distortion)), Math.max(...curve.map((one) => one.distortion))], room = 0.08 * (reach[1] - reach[0]);
    const trade = new Figure(width, { x: [0, 1.05 * most], y: [reach[0] - room, reach[1] + room], title: "D against R in nats, slope −β at the dot", xlabel: "rate R" });
    trade.line(curve.map((one) => [one.rate, one.distortion]), "line approximate").dot(here.rate, here.distortion, "here", 6);
    place.replaceChildren(water.svg, trade.svg);
  },
};

const samples = {
  title: "More draws inside the logarithm: from the ELBO to log p(x)",
  names: ["K", "mean of log (1/K Σ w)", "its standard error", "ELBO in closed form", "log p(x)", "log p(x) less the mean"],
  sliders: ({ noise }) => [{ name: "k", label: "K, draws in the logarithm", low: 1, high: noise.length / 8, log: true, whole: true }, ...q],
  buttons: { "q = the exact posterior": toPosterior },
  begin: (given) => ({ k: given.k, ...model(given) }),
  numbers(state, { noise }) {
    const { bound: found, error } = importanceBound(logWeights(state, noise), state.k), { elbo, evidence } = linearBound(state);
    return { K: state.k, "mean of log (1/K Σ w)": found, "its standard error": error, "ELBO in closed form": elbo, "log p(x)": evidence, "log p(x) less the mean": evidence - found };
  },
  draw(place, width, state, { noise }) {
    const { elbo, evidence } = linearBound(state), weights = logWeights(state, noise), points = [];
    for (let k = 1; k <= noise.length / 8; k *= 2) points.push([Math.log10(k), importanceBound(weights, k)]);
    const here = importanceBound(weights, state.k), low = Math.min(elbo, ...points.map(([, one]) => one.bound)), room = 0.15 * (evidence - low) + 0.01;
    const figure = new Figure(width, { x: [-0.05, Math.log10(noise.length / 8) + 0.05], y: [low - room, evidence + room], logX: true, title: `the same ${noise.length} draws, in groups of K`, xlabel: "K" });
    figure.level(evidence, "mark").level(elbo, "line prior").line(points.map(([k, one]) => [k, one.bound]), "line approximate");
    for (const [k, one] of points) figure.line([[k, one.bound - one.error], [k, one.bound + one.error]], "line approximate");
    figure.dot(Math.log10(state.k), Math.min(Math.max(here.bound, figure.y[0]), figure.y[1]), "here", 6);
    figure.text(figure.left + 4, figure.up(evidence) - 4, "log p(x)", "name").text(figure.left + figure.inside[0] - 4, figure.up(elbo) - 4, "ELBO", "name", "end");
    place.replaceChildren(densities(width, state).svg, figure.svg);
  },
};

const estimates = {
  title: "Both estimators of the bound: all terms sampled (A), or the divergence in closed form (B)",
  names: ["ELBO, the mean of both", "Var A / L", "Var B / L", "Var R / L", "2 Cov(log p(x|z), R) / L", "KL(q‖p(z|x))"],
  sliders: () => [...q, { name: "sigma", label: "σ of p(x|z)", low: 0.2, high: 3, log: true }, { name: "draws", label: "L, draws", low: 1, high: 1000, log: true, whole: true }],
  buttons: { "q = the exact posterior": toPosterior },
  begin: (given) => ({ draws: given.draws, ...model(given) }),
  numbers(state) {
    const { a, b, rest, twice } = boundVariances(state), { elbo, gap } = linearBound(state), L = state.draws;
    return { "ELBO, the mean of both": elbo, "Var A / L": a / L, "Var B / L": b / L, "Var R / L": rest / L, "2 Cov(log p(x|z), R) / L": twice / L, "KL(q‖p(z|x))": gap };
  },
  draw(place, width, state) {
    const { a, b } = boundVariances(state), { elbo, evidence } = linearBound(state), wide = Math.sqrt(Math.max(boundVariances(state).b, 0.02));
    const figure = new Figure(width, { x: [elbo - 2.2 * wide, elbo + 2.2 * wide], title: "one standard deviation around the mean", xlabel: "nats", height: 150 });
    [["A", a, "elbo"], ["B", b, "gap"]].forEach(([name, variance, kind], j) => {
      const spread = Math.sqrt(variance / state.draws);
      figure.bar(elbo - spread, elbo + spread, 43 + 42 * j, 13, kind).text(figure.left + 2, 37 + 42 * j, `${name}: ± ${Number(spread.toPrecision(4))} nats`, "name");
    });
    if (evidence < figure.x[1]) figure.upright(evidence, "mark").text(figure.across(evidence) - 4, 112, "log p(x)", "name", "end");
    place.replaceChildren(densities(width, state).svg, figure.svg);
  },
};

const ESTIMATORS = [["score", "score function"], ["centred", "… less E[f]"], ["best", "… less the best constant"], ["path", "reparameterised"]];
const estimators = {
  title: "How far a mean over L draws of the gradient scatters",
  whole: true,
  names: ["∂E[f]/∂μ", ...ESTIMATORS.map(([, name]) => `variance, ${name}`), "draws that the score function needs for one of the path"],
  sliders: () => [
    { name: "mu", label: "μ", low: -3, high: 3, step: 0.01 }, { name: "sigma", label: "σ", low: 0.02, high: 2, log: true },
    { name: "constant", label: "c in f(z) = z² − c", low: -300, high: 300, step: 1 }, { name: "draws", label: "L, draws", low: 1, high: 10000, log: true, whole: true },
  ],
  buttons: {},
  begin: ({ mu, sigma, constant, draws }) => ({ mu, sigma, constant, draws }),
  numbers(state) {
    const found = gradientVariances(state), numbers = { "∂E[f]/∂μ": found.gradient };
    for (const [key, name] of ESTIMATORS) numbers[`variance, ${name}`] = found[key] / state.draws;
    return { ...numbers, "draws that the score function needs for one of the path": found.score / found.path };
  },
  draw(place, width, state) {
    const found = gradientVariances(state), rows = ESTIMATORS.map(([key, name]) => ({ name: `${name}: standard deviation`, value: Math.sqrt(found[key] / state.draws), key }));
    const ends = [-3, 4], figure = new Figure(width, { x: ends, logX: true, title: "mean of L draws; the line: the gradient", height: 206 });
    rows.forEach(({ value, key }, j) => figure.bar(ends[0], Math.log10(value), 39 + 38 * j, 13, key === "path" ? "elbo" : "gap"));
    if (Math.abs(found.gradient) > 1e-3) figure.upright(Math.log10(Math.abs(found.gradient)), "mark");
    rows.forEach(({ name, value }, j) => figure.text(figure.left + 2, 34 + 38 * j, `${name} ${Number(value.toPrecision(4))}`, "name"));
    place.replaceChildren(figure.svg);
  },
};

export const kinds = { bound, balance, samples, estimates, estimators, mixture, "mean-field": meanField, decoder, attributes };
