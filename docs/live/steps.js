// Algorithms one step at a time: EM on a Gaussian mixture, coordinate ascent on the factors of a Gaussian.
import { CLASSES } from "./map.js";
import { decomposed, logJoint, maximised, meanFieldDivergence, meanUpdate, normal, responsibilities } from "./formulas.js";
import { Figure } from "./parts.js";

const MOST = 40; // steps that the history shows
const colour = (parts) => `rgb(${parts.map((one) => Math.round(one)).join(" ")})`;

// What happened to some numbers, step by step, with names at the last of each line.
function history(width, title, lines, xlabel) {
  const all = lines.map(({ values, ...rest }) => ({ ...rest, values: values.slice(-MOST) })), first = lines[0].values.length - all[0].values.length;
  const later = all.flatMap(({ values }) => values.length > 3 ? values.slice(1) : values), low = Math.min(...later), high = Math.max(...later), room = Math.max(0.12 * (high - low), 0.005 * Math.abs(high) + 0.001);
  const figure = new Figure(width, { x: [first - 0.5, first + Math.max(all[0].values.length, 4) - 0.5], y: [low - room, high + room], title, xlabel });
  for (const { values, kind } of all) {
    const places = values.map((one, step) => [first + step, one]).filter(([, one]) => one >= low - room);
    figure.line(places, `line ${kind}`);
    for (const [step, one] of places) figure.dot(step, one, kind, 3);
  }
  return figure;
}

// Of a mixture: θ, the shares Q, and what log p and the bound were after every half-step.
function note(state, given) {
  const found = decomposed(logJoint(given.points, state.components), state.shares);
  state.log.push([found.evidence, found.elbo]);
}

function expect(state, given) {
  state.shares = responsibilities(logJoint(given.points, state.components));
  note(state, given);
}

function maximise(state, given) {
  state.components = maximised(given.points, state.shares, state.components, given.free);
  state.iterations += 1;
  note(state, given);
}

function cloud(width, state, { points, reach }) {
  const shade = (row) => colour([0, 1, 2].map((part) => row.reduce((total, share, k) => total + share * CLASSES[k][part], 0)));
  if (points[0].length === 2) {
    const figure = new Figure(width, { x: reach[0], y: reach[1], square: true, title: "points by their shares, and the components", xlabel: "x₁" });
    points.forEach(([a, b], i) => figure.dot(a, b, "point", 2.6, `fill: ${shade(state.shares[i])}`));
    state.components.mean.forEach((one, k) => figure.ellipse(one, state.components.covariance[k], "line", `stroke: ${colour(CLASSES[k])}`));
    return figure;
  }
  const { weight, mean: means, covariance } = state.components, part = (x, k) => weight[k] * Math.exp(normal(x, means[k][0], covariance[k][0][0]));
  const ends = reach[0], grid = Array.from({ length: 121 }, (_, i) => ends[0] + ((ends[1] - ends[0]) * i) / 120);
  const most = 1.15 * Math.max(...grid.map((x) => weight.reduce((total, _, k) => total + part(x, k), 0)));
  const figure = new Figure(width, { x: ends, y: [-0.12 * most, most], title: "numbers by their shares, and the components", xlabel: "x" });
  points.forEach(([x], i) => figure.dot(x, -0.06 * most, "point", 2.6, `fill: ${shade(state.shares[i])}`));
  figure.curve((x) => weight.reduce((total, _, k) => total + part(x, k), 0), "line prior");
  weight.forEach((_, k) => { figure.curve((x) => part(x, k), "line"); figure.svg.lastChild.setAttribute("style", `stroke: ${colour(CLASSES[k])}`); });
  return figure;
}

function rises(values) {
  const found = values.slice(1).map((one, step) => one - values[step]);
  return found.length ? Math.min(...found) : 0;
}

export const mixture = {
  title: "EM, one half-step at a time",
  names: ["M-steps", "log p(X|θ) per point", "bound L(Q, θ)", "KL(Q‖P(Z|X, θ))", "smallest rise of the bound"],
  sliders: () => [],
  buttons: {
    "E-step": expect,
    "M-step": maximise,
    "Ten of both": (state, given) => { for (let step = 0; step < 10; step++) { expect(state, given); maximise(state, given); } },
  },
  begin(given) {
    const state = { components: given.components, iterations: 0, log: [], shares: given.points.map(() => given.components.weight) };
    note(state, given);
    return state;
  },
  numbers(state, { points }) {
    const { evidence, elbo, divergence } = decomposed(logJoint(points, state.components), state.shares);
    return {
      "M-steps": state.iterations, "log p(X|θ) per point": evidence, "bound L(Q, θ)": elbo, "KL(Q‖P(Z|X, θ))": divergence,
      "smallest rise of the bound": rises(state.log.map(([, one]) => one)),
    };
  },
  draw(place, width, state, given) {
    const lines = [{ kind: "mark", values: state.log.map(([one]) => one) }, { kind: "elbo", values: state.log.map(([, one]) => one) }];
    place.replaceChildren(cloud(width, state, given).svg, history(width, "log p(X|θ) and the bound, nats per point", lines, "half-steps").svg);
  },
};

function update(state) {
  state.path.push(meanUpdate(state.path.at(-1), (state.path.length - 1) % 2, state.rho));
}

export const meanField = {
  title: "Coordinate ascent, one mean at a time",
  names: ["updates", "m₁", "m₂", "ELBO = −KL(q‖p)", "highest ELBO", "smallest rise of the ELBO", "ρ², by which a sweep shrinks the error"],
  sliders: () => [
    { name: "rho", label: "ρ of the target", low: -0.99, high: 0.99, step: 0.01 },
    { name: "first", label: "m₁ at the start", low: -3, high: 3, step: 0.05 }, { name: "second", label: "m₂ at the start", low: -3, high: 3, step: 0.05 },
  ],
  buttons: { "One update": update, "Five sweeps": (state) => { for (let step = 0; step < 10; step++) update(state); } },
  begin: ({ rho, start }) => ({ rho, first: start[0], second: start[1], path: [start] }),
  moved(state) { state.path = [[state.first, state.second]]; },
  numbers(state) {
    const bounds = state.path.map((one) => -meanFieldDivergence(one, state.rho)), [first, second] = state.path.at(-1);
    return {
      updates: state.path.length - 1, "m₁": first, "m₂": second, "ELBO = −KL(q‖p)": bounds.at(-1), "highest ELBO": -meanFieldDivergence([0, 0], state.rho),
      "smallest rise of the ELBO": rises(bounds), "ρ², by which a sweep shrinks the error": state.rho ** 2,
    };
  },
  draw(place, width, state) {
    const variance = 1 - state.rho ** 2, figure = new Figure(width, { x: [-4, 4], y: [-4, 4], square: true, title: "target, q, and the way of its means", xlabel: "m₁" });
    figure.ellipse([0, 0], [[1, state.rho], [state.rho, 1]], "line prior").ellipse(state.path.at(-1), [[variance, 0], [0, variance]], "line approximate");
    figure.line(state.path, "line way");
    for (const [a, b] of state.path.slice(-MOST)) figure.dot(a, b, "here", 3);
    const bounds = state.path.map((one) => -meanFieldDivergence(one, state.rho));
    place.replaceChildren(figure.svg, history(width, "ELBO in nats", [{ kind: "elbo", values: bounds }], "updates").svg);
  },
};
