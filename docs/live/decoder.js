// A decoder that runs here: drag a point on the map of codes, and see the mean of p(x|z) there.
import { element } from "./looks.js";
import { CLASSES, CodeMap } from "./map.js";
import { compiled, weightsOf } from "./kernel.js";
import { LOG_TWO_PI } from "./formulas.js";

const bytes = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
const running = new WeakMap(); // decoders by what was given, compiled once

export function decode(given, z) {
  if (!running.has(given)) running.set(given, compiled(given.graph, weightsOf(given.about, bytes(given.weights))));
  return running.get(given)(z);
}

function painted(canvas, { height, width }, x) {
  const context = canvas.getContext("2d", { willReadFrequently: true }), image = context.createImageData(width, height);
  for (let pixel = 0; pixel < x.length; pixel++) {
    const grey = Math.round(255 * Math.min(Math.max(x[pixel], 0), 1));
    image.data.set([grey, grey, grey, 255], 4 * pixel);
  }
  context.putImageData(image, 0, 0);
}

function legend(labels) {
  const list = element("p", "", { class: "live-legend" });
  for (const label of [...new Set(labels)].sort((a, b) => a - b)) {
    const name = element("span", String(label));
    name.prepend(element("i", "", { style: `background: rgb(${CLASSES[label % CLASSES.length].join(" ")})` }));
    list.append(name);
  }
  return list;
}

const pointed = (map, event) => {
  const box = map.canvas.getBoundingClientRect();
  return map.fromScreen((event.clientX - box.left) * map.ratio, (event.clientY - box.top) * map.ratio);
};

export const decoder = {
  title: "Drag the ring over the codes: the decoder answers in this page",
  names: ["z₁", "z₂", "log p(z)", "mean of the pixels"],
  sliders: ({ reach }) => [{ name: "first", label: "z₁", low: -reach, high: reach, step: 0.01 }, { name: "second", label: "z₂", low: -reach, high: reach, step: 0.01 }],
  buttons: {},
  begin: ({ z }) => ({ first: z[0], second: z[1] }),
  numbers(state, given) {
    const z = [state.first, state.second], x = decode(given, z);
    return { "z₁": z[0], "z₂": z[1], "log p(z)": -LOG_TWO_PI - 0.5 * (z[0] ** 2 + z[1] ** 2), "mean of the pixels": x.reduce((a, b) => a + b, 0) / x.length };
  },
  draw(place, width, state, given) {
    place.map.probe = [state.first, state.second];
    place.map.draw();
    painted(place.image, given, decode(given, [state.first, state.second]));
  },
  // Before anything is drawn: the canvas of the map, and that of the picture.
  attach(place, state, given, changed) {
    const canvas = element("canvas", "", { class: "live-map", role: "img", "aria-label": "codes of examples; z₁ and z₂ have sliders" });
    place.image = element("canvas", "", { class: "live-image", width: given.width, height: given.height, role: "img", "aria-label": "mean of p(x|z)" });
    place.append(element("div", canvas, { class: "live-frame" }), element("div", place.image, { class: "live-frame" }), legend(given.labels));
    place.map = new CodeMap(canvas);
    place.map.set(given.codes.map(([x]) => x), given.codes.map(([, y]) => y), given.labels.flatMap((label) => CLASSES[label % CLASSES.length]));
    const move = (event) => {
      [state.first, state.second] = pointed(place.map, event).map((one) => Math.min(Math.max(one, -given.reach), given.reach));
      changed();
    };
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); move(event); });
    canvas.addEventListener("pointermove", (event) => { if (event.buttons || event.pointerType === "mouse") move(event); });
  },
};

// Some directions of a latent space with names: the code of one example, moved along each of them.
const moved = (state, { z, directions }) => directions.reduce((found, { name, direction }) => found.map((one, place) => one + state[name] * direction[place]), z);

export const attributes = {
  title: "Move one attribute of a picture, or several: the decoder answers in this page",
  names: ["length of z", "log p(z)", "mean of the pixels"],
  sliders: ({ directions }) => directions.map(({ name }) => ({ name, label: name, low: -4, high: 4, step: 0.05 })),
  buttons: {},
  begin: ({ directions }) => Object.fromEntries(directions.map(({ name }) => [name, 0])),
  numbers(state, given) {
    const z = moved(state, given), x = decode(given, z), square = z.reduce((sum, one) => sum + one * one, 0);
    return { "length of z": Math.sqrt(square), "log p(z)": -0.5 * (z.length * LOG_TWO_PI + square), "mean of the pixels": x.reduce((a, b) => a + b, 0) / x.length };
  },
  draw(place, width, state, given) { painted(place.image, given, decode(given, moved(state, given))); },
  attach(place, state, given) {
    place.image = element("canvas", "", { class: "live-image", width: given.width, height: given.height, role: "img", "aria-label": "mean of p(x|z)" });
    place.append(element("div", place.image, { class: "live-frame" }));
  },
};
