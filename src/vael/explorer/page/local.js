// Answers without a server: graphs of the model and examples out of the page's own file.
import { written } from "./cells.js";
import { compiled, rowsThrough, weightsOf } from "./kernel.js";
import { rowsGiven } from "./given.js";
import { stream, variates } from "./noise.js";

const KEPT = 8; // sheets of pictures that stay decoded

function bytes(text) {
  const found = atob(text), array = new Uint8Array(found.length);
  for (let place = 0; place < found.length; place++) array[place] = found.charCodeAt(place);
  return array;
}

// The functions of the model: rows in, rows out.
function functionsOf(graphs) {
  const weights = weightsOf(graphs.about, bytes(graphs.weights)), found = {};
  for (const name of ["decode", "encode", "draw", "prior", "weigh", "log_prior"]) {
    const graph = graphs[name];
    if (!graph) continue;
    const run = compiled(graph, weights);
    found[name] = (...inputs) => rowsThrough(run, graph, graphs.batch, ...inputs);
    found[name].noise = (count, seed, scale = () => 1) => {
      const one = Array.isArray(seed) ? null : stream(seed);
      const kinds = graph.noise, first = graph.inputs.length - kinds.length;
      return kinds.map((kind, place) => {
        const each = graph.inputs[first + place].shape.reduce((product, one) => product * one, 1) / graphs.batch;
        return Array.from({ length: count }, () => variates(kind, each, one ?? seed[place], scale(place)));
      });
    };
  }
  if (graphs.joint) found.joint = compiled(graphs.joint, weights);
  return found;
}

function pixelsOf(looks) {
  const { channels, height, width, low, high } = looks, plane = height * width;
  const byte = (value) => Number.isNaN(value) ? 0 : Math.round(255 * Math.min(Math.max((value - low) / (high - low), 0), 1));
  return (row) => {
    const found = new Uint8Array(3 * plane);
    for (let pixel = 0; pixel < plane; pixel++) {
      if (channels === 3) { for (let c = 0; c < 3; c++) found[3 * pixel + c] = byte(row[c * plane + pixel]); continue; }
      let grey = 0; // the mean of what is shown of each
      for (let c = 0; c < channels; c++) { const share = (row[c * plane + pixel] - low) / (high - low); grey += Number.isNaN(share) ? 0 : Math.min(Math.max(share, 0), 1) / channels; }
      found.fill(Math.round(255 * grey), 3 * pixel, 3 * pixel + 3);
    }
    return found;
  };
}

// Rows of numbers in the form that the page draws.
function drawnBy(looks) {
  if (looks.kind === "picture") { const pixels = pixelsOf(looks); return (rows) => ({ pixels: rows.map(pixels) }); }
  if (looks.kind === "numbers") return (rows) => ({ numbers: rows.map((row) => Array.from(row, (one) => Number(one.toPrecision(4)))) });
  const wide = looks.columns.length;
  return (rows) => {
    const lines = rows.flatMap((row) => Array.from({ length: row.length / wide }, (_, step) => Array.from(row.slice(step * wide, (step + 1) * wide))));
    return { rows: looks.steps, texts: lines.map((line) => line.map((cell, place) => written(looks.columns[place], cell))), numbers: lines.map((line) => line.map((cell) => Number.isNaN(cell) ? null : cell)) };
  };
}

function picturesOf(kept, looks) {
  const sheets = new Map(), { width, height } = looks;
  async function sheet(number) {
    if (!sheets.has(number)) {
      const image = new Image(), canvas = document.createElement("canvas");
      image.src = `data:image/png;base64,${kept.sheets[number]}`;
      await image.decode();
      canvas.width = image.width; canvas.height = image.height;
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(image, 0, 0);
      sheets.set(number, context);
      if (sheets.size > KEPT) sheets.delete(sheets.keys().next().value);
    }
    return sheets.get(number);
  }
  return async (example) => {
    const context = await sheet(Math.floor(example / kept.of_sheet)), tile = example % kept.of_sheet;
    const rgba = context.getImageData((tile % kept.across) * width, Math.floor(tile / kept.across) * height, width, height).data;
    return rgba.filter((_, place) => place % 4 !== 3);
  };
}

export function localAnswers({ run, map, graphs, examples: kept }) {
  const does = functionsOf(graphs), drawn = drawnBy(run.looks), table = new Float32Array(bytes(kept.coordinates).buffer);
  const codes = kept.codes === null ? null : new Float32Array(bytes(kept.codes).buffer), pictures = kept.sheets ? picturesOf(kept, run.looks) : null;
  const wide = table.length / map.examples, features = map.order.length;

  function code(example) {
    if (codes) { const each = codes.length / map.examples; return Array.from(codes.slice(example * each, (example + 1) * each)); }
    const found = new Array(features);
    map.order.forEach((latent, rank) => { found[latent] = table[example * wide + 2 + rank]; });
    return found;
  }

  const beside = (count, example) => kept.context ? [Array.from({ length: count }, () => kept.context[example])] : [];
  const decoded = (z, example = 0) => does.decode(z, ...beside(z.length, example));

  async function examples(chosen) {
    const labels = kept.labels && chosen.map((one) => kept.labels[one]);
    if (pictures) { const pixels = []; for (const one of chosen) pixels.push(await pictures(one)); return { pixels, labels, examples: chosen }; }
    const found = { ...kept.drawn, labels, examples: chosen }, each = found.rows ?? 1;
    for (const key of ["texts", "numbers"]) if (kept.drawn[key]) found[key] = chosen.flatMap((one) => kept.drawn[key].slice(one * each, (one + 1) * each));
    return found;
  }

  function read(pixels) {
    const { low, high, channels } = run.looks, plane = pixels.map((grey) => low + grey * (high - low)), x = Array.from({ length: channels }, () => plane).flat();
    const [found] = does.encode([x]);
    return { code: Array.from(found), ...drawn(decoded([found])) };
  }

  // p(z | x) and q(z | x) of a picture on a grid of places, a row of them at a time; their sums stand for integrals.
  function posterior(pixels) {
    const { low, high, channels, whole } = run.looks, side = graphs.joint.inputs[0].shape[0], reach = run.reach + 1, ends = Array.from({ length: side }, (_, i) => -reach + 2 * reach * i / (side - 1));
    const plane = pixels.map((grey) => { const value = low + grey * (high - low); return whole ? Math.round(value) : value; }), x = Array.from({ length: channels }, () => plane).flat();
    const logs = [[], []];
    for (const second of ends) {
      const found = does.joint(ends.flatMap((first) => [first, second]), x);
      for (let i = 0; i < side; i++) for (const which of [0, 1]) logs[which].push(found[2 * i + which]);
    }
    const most = logs.map((part) => part.reduce((a, b) => Math.max(a, b), -Infinity)), shares = logs.map((part, which) => part.map((one) => Math.exp(one - most[which])));
    const sums = shares.map((part) => part.reduce((a, b) => a + b, 0));
    const divergence = logs[1].reduce((sum, one, i) => sum + shares[1][i] / sums[1] * ((one - most[1] - Math.log(sums[1])) - (logs[0][i] - most[0] - Math.log(sums[0]))), 0);
    return { side, reach, exact: shares[0], encoder: shares[1], divergence };
  }

  const conditions = (count) => kept.context ? [Array.from({ length: count }, (_, one) => kept.context[one % map.examples])] : [];

  function fresh(count, seed) {
    const random = stream(seed), c = conditions(count), z = does.prior(...c, ...does.prior.noise(count, random));
    return does.draw(z, ...c, ...does.draw.noise(count, random));
  }

  // Each level by a seed and at a temperature of its own.
  function levels(seeds, temperatures) {
    const streams = seeds.map(stream), noise = does.prior.noise(1, streams, (place) => temperatures[place]), [z] = does.prior(...noise);
    return { z: Array.from(z), ...drawn(decoded([z])) };
  }

  // Of the strangest alone: so many are kept.
  function reasons(chosen) {
    const of = (found) => found && chosen.map((one) => found[one] ?? "");
    return { ...kept.why, reasons: of(kept.why.reasons) ?? [], maps: of(kept.why.maps) };
  }

  const questions = {
    run: () => run,
    map: () => map,
    code: ({ example }) => ({ code: code(example) }),
    examples: ({ examples: chosen }) => examples(chosen),
    reconstructed: ({ examples: chosen }) => drawn(chosen.flatMap((one) => decoded([code(one)], one))),
    decoded: ({ z, example }) => drawn(decoded(z, example)),
    draws: ({ z, count, seed, example = 0 }) => drawn(does.draw(Array.from({ length: count }, () => z), ...beside(count, example), ...does.draw.noise(count, seed))),
    samples: ({ count, seed }) => drawn(fresh(count, seed)),
    levels: ({ seeds, temperatures }) => levels(seeds, temperatures),
    posterior: ({ pixels }) => posterior(pixels),
    read: ({ pixels }) => read(pixels),
    given: ({ values }) => rowsGiven(does, run.looks.columns, values, fresh),
    column: ({ name }) => { const place = run.looks.columns.findIndex((one) => one.name === name); return { values: kept.drawn.numbers.map((row) => row[place]) }; },
    reasons: ({ examples: chosen }) => reasons(chosen),
    strangeness: () => ({ score: kept.scores[0], p_value: kept.scores[1] }),
  };
  return {
    ask: async (question, asked) => questions[question](asked),
    coordinates: async () => table.buffer,
  };
}
