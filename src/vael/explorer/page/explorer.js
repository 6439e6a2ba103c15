import { answeredBy, ask, coordinates, idle, latest, say } from "./questions.js";
import { CLASSES, CodeMap, ramp } from "./map.js";
import { compared, element, plane, show, surprises } from "./looks.js";

const by = (id) => document.getElementById(id);
const SLIDERS = 32, STEPS = 9, SHOWN = 24;
const state = { z: [], example: 0, other: 1, axes: "plane", colour: "class", base: 0 };
let run, about, columns, map, scores = null, chosen = [];

const column = (place) => columns.parts[place];
const place = (rank) => about.order[rank];
const rankOf = (latent) => about.order.indexOf(latent);

function split(buffer) {
  const wide = 2 + about.order.length + 1, all = new Float32Array(buffer), count = all.length / wide, parts = [];
  for (let part = 0; part < wide; part++) {
    const found = new Float32Array(count);
    for (let row = 0; row < count; row++) found[row] = all[row * wide + part];
    parts.push(found);
  }
  return { parts, count };
}

function axes() {
  if (state.axes === "plane") return [column(0), column(1)];
  return state.axes.split(",").map((rank) => column(2 + Number(rank)));
}

// Where the ring stands for z, and which z a place of the map stands for.
function placed(z) {
  if (!run.moves) { const [x, y] = axes(); return [x[state.example], y[state.example]]; }
  if (state.axes === "plane") {
    const from = state.base, [x, y] = [column(0)[from], column(1)[from]], code = codeOf.cache.get(from) ?? z;
    let [dx, dy] = [0, 0];
    z.forEach((one, latent) => { dx += (one - code[latent]) * about.inverse[0][latent]; dy += (one - code[latent]) * about.inverse[1][latent]; });
    return [x + dx, y + dy];
  }
  return state.axes.split(",").map((rank) => z[place(Number(rank))]);
}

function moved(x, y) {
  const z = [...state.z];
  if (state.axes === "plane") {
    const [oldX, oldY] = placed(z);
    about.axes.forEach(([first, second], latent) => { z[latent] += first * (x - oldX) + second * (y - oldY); });
  } else {
    state.axes.split(",").forEach((rank, which) => { z[place(Number(rank))] = which ? y : x; });
  }
  return z;
}

async function codeOf(example) {
  if (!codeOf.cache.has(example)) codeOf.cache.set(example, (await ask("code", { example })).code);
  return codeOf.cache.get(example);
}
codeOf.cache = new Map();

const decode = latest(async (z) => {
  const found = await ask("decoded", { z: [z], example: state.example });
  show(by("decoded"), run.looks, found, [], 288);
  by("decoded").dataset.count = String(Number(by("decoded").dataset.count ?? 0) + 1);
});

function setPoint(z, { slide = true } = {}) {
  state.z = z;
  if (run.moves) decode(z);
  map.probe = placed(z);
  map.draw();
  if (slide) for (const input of by("sliders").querySelectorAll("input")) slid(input, z[Number(input.dataset.latent)]);
  const nats = about.divergence ? `, divergence in nats beside each` : "";
  const given = run.condition ? ` Decoded at the condition (${run.condition}) of example ${state.example + 1}.` : "";
  by("where").textContent = `z has ${z.length} coordinates; sliders show the ${Math.min(SLIDERS, about.order.length)} most informative${nats}.${given}`;
  remember();
}

function slid(input, value) {
  input.value = value;
  input.nextElementSibling.textContent = value.toFixed(2);
}

function sliders() {
  const box = by("sliders");
  about.order.slice(0, SLIDERS).forEach((latent, rank) => {
    const line = element("label", "", { class: "slider" });
    const nats = about.divergence ? `  ${about.divergence[rank].toFixed(2)}` : "";
    const reach = run.latents ? Math.max(run.reach, 1.5 * about.furthest[rank]) : 1.2 * about.furthest[rank];
    const input = element("input", "", { type: "range", min: -reach, max: reach, step: reach / 150, "data-latent": latent });
    input.addEventListener("input", () => {
      const z = [...state.z];
      z[latent] = Number(input.value);
      input.nextElementSibling.textContent = z[latent].toFixed(2);
      setPoint(z, { slide: false });
    });
    line.append(element("span", `z${latent + 1}${nats}`), input, element("output", "0.00"));
    box.append(line);
  });
}

function levelled(values, names, found) {
  for (let i = 0; i < columns.count; i++) {
    found.set(values[i] === null || values[i] < 0 ? [150, 150, 150] : CLASSES[Math.round(values[i]) % CLASSES.length], 3 * i);
  }
  names.forEach((name, number) => {
    const entry = element("span", name), dot = element("i");
    dot.style.background = `rgb(${CLASSES[number % CLASSES.length]})`;
    entry.prepend(dot);
    by("legend").append(entry);
  });
  return found;
}

async function cellsOf(name) {
  if (!cellsOf.cache.has(name)) cellsOf.cache.set(name, (await ask("column", { name })).values);
}
cellsOf.cache = new Map();

function colours() {
  const found = new Uint8Array(3 * columns.count), legend = by("legend");
  legend.replaceChildren();
  const label = column(columns.parts.length - 1);
  if (state.colour === "class" && run.classes) return levelled(label, run.classes, found);
  const values = state.colour.startsWith("column ") ? cellsOf.cache.get(state.colour.slice(7)) : state.colour === "score" && scores ? scores.score : state.colour.startsWith("z") ? column(2 + rankOf(Number(state.colour.slice(1)))) : null;
  if (!values) { found.fill(120); return found; }
  const named = state.colour.startsWith("column ") ? run.looks.columns.find((one) => one.name === state.colour.slice(7)) : null;
  if (named?.levels.length) return levelled(values, named.levels, found);
  const sorted = Float64Array.from(values.filter((one) => one !== null)).sort(), low = sorted[Math.floor(.01 * sorted.length)], high = sorted[Math.ceil(.99 * sorted.length) - 1];
  for (let i = 0; i < columns.count; i++) found.set(values[i] === null ? [150, 150, 150] : ramp((values[i] - low) / (high - low || 1)), 3 * i);
  [[0, low], [.5, (low + high) / 2], [1, high]].forEach(([share, value]) => {
    const entry = element("span", value.toPrecision(3)), dot = element("i");
    dot.style.background = `rgb(${ramp(share)})`;
    entry.prepend(dot);
    legend.append(entry);
  });
  return found;
}

function redraw() {
  const [x, y] = axes();
  map.set(x, y, colours());
  map.marks = [[x[state.example], y[state.example], "1"], [x[state.other], y[state.other], "2"]];
  map.probe = placed(state.z);
  map.draw();
}

const compare = latest(async () => {
  const one = [state.example], parts = [await ask("examples", { examples: one }), await ask("reconstructed", { examples: one })];
  const judged = scores ? `, score ${scores.score[state.example].toPrecision(4)}, p ${scores.p_value[state.example].toPrecision(2)}` : "";
  const names = ["example " + (state.example + 1) + (parts[0].labels?.[0] ? `: ${parts[0].labels[0]}` : "") + judged, "reconstruction"];
  if (run.draws) {
    parts.push(await ask("draws", { z: await codeOf(state.example), example: state.example, count: run.looks.kind === "picture" ? 6 : 3, seed: 0 }));
    while (names.length < 2 + (parts[2].pixels ?? parts[2].texts ?? parts[2].numbers).length) names.push("draw of p(x | z)");
  }
  show(by("compare"), run.looks, joined(parts), names, 96);
});

function joined(parts) {
  const found = { ...parts[0] };
  for (const key of ["pixels", "texts", "numbers"]) if (found[key]) found[key] = parts.flatMap((part) => part[key]);
  return found;
}

const path = latest(async () => {
  const [from, to] = [await codeOf(state.example), await codeOf(state.other)];
  const z = Array.from({ length: STEPS }, (_, step) => from.map((one, latent) => one + (to[latent] - one) * step / (STEPS - 1)));
  show(by("path"), run.looks, await ask("decoded", { z, example: state.example }), z.map((_, step) => `${Math.round(100 * step / (STEPS - 1))} %`), 64);
});

async function goTo(example) {
  state.example = state.base = example;
  by("example").value = example + 1;
  redraw();
  setPoint([...await codeOf(example)]);
  compare();
  if (run.moves) path();
}

function pairWith(example) {
  state.other = example;
  by("other").value = example + 1;
  redraw();
  if (run.moves) path();
  remember();
}

function remember() {
  const kept = { e: state.example, o: state.other, a: state.axes, c: state.colour, z: state.z.map((one) => Number(one.toFixed(4))) };
  history.replaceState(null, "", `${location.pathname}${location.search}#${encodeURIComponent(JSON.stringify(kept))}`);
}

function remembered() {
  try { return JSON.parse(decodeURIComponent(location.hash.slice(1))); } catch { return {}; }
}

function python() {
  const z = state.z.map((one) => one.toFixed(4)).join(", "), sizes = run.levels;
  const levels = sizes.length === 1 ? "(z[None],)" : `tuple(part[None] for part in z.split(${JSON.stringify(sizes)}, 1))  # flat levels; reshape where one is a grid`;
  return `import torch, vael\n\nrun = vael.load(${JSON.stringify(run.folder)})\nz = torch.tensor([[${z}]])\n` +
    `with torch.no_grad():\n    x = run.model.decode(${levels}).mean[0]`;
}

const hovered = latest(async (example, px, py) => {
  const box = by("hover");
  if (example < 0) { box.hidden = true; return; }
  if (box.dataset.example !== String(example)) {
    const found = await ask("examples", { examples: [example] });
    show(box, run.looks, found, [`${example + 1}${found.labels?.[0] ? `: ${found.labels[0]}` : ""}`], 72);
    box.dataset.example = String(example);
  }
  const frame = by("map-frame").getBoundingClientRect();
  box.style.left = `${Math.min(px / map.ratio + 14, frame.width - 150)}px`;
  box.style.top = `${py / map.ratio + 14}px`;
  box.hidden = false;
});

function pointing() {
  const canvas = by("map"), fingers = new Map();
  let dragging = null, from = null, apart = 0, travelled = 0;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * map.ratio, (event.clientY - box.top) * map.ratio];
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, at(event));
    from = at(event); travelled = 0;
    const [px, py] = map.probe ? map.toScreen(...map.probe) : [-99, -99];
    if (by("lasso").checked) { dragging = "lasso"; map.lasso = [from]; }
    else dragging = Math.hypot(from[0] - px, from[1] - py) < 18 * map.ratio && run.moves ? "probe" : "map";
    if (fingers.size === 2) { dragging = "pinch"; apart = distance(); }
  });
  const distance = () => { const [a, b] = [...fingers.values()]; return Math.hypot(a[0] - b[0], a[1] - b[1]); };
  canvas.addEventListener("pointermove", (event) => {
    const now = at(event);
    if (!dragging) { hovered(map.nearest(...now), ...now); return; }
    by("hover").hidden = true;
    fingers.set(event.pointerId, now);
    travelled += Math.hypot(now[0] - from[0], now[1] - from[1]);
    if (dragging === "probe") setPoint(moved(...map.fromScreen(...now)));
    else if (dragging === "lasso") { map.lasso.push(now); map.draw(); }
    else if (dragging === "pinch" && fingers.size === 2) { const wide = distance(); map.zoom(wide / apart); apart = wide; }
    else if (dragging === "map") {
      map.view.x -= (now[0] - from[0]) / map.view.scale; map.view.y += (now[1] - from[1]) / map.view.scale;
      map.draw();
    }
    from = now;
  });
  const up = (event) => {
    fingers.delete(event.pointerId);
    if (dragging === "lasso") { choose(map.inside()); map.lasso = null; map.draw(); }
    else if (dragging === "map" && travelled < 5 * map.ratio) {
      const example = map.nearest(...at(event));
      if (example >= 0) (event.shiftKey ? pairWith : goTo)(example);
    }
    dragging = null;
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", () => { fingers.clear(); dragging = map.lasso = null; map.draw(); });
  canvas.addEventListener("pointerleave", () => { by("hover").hidden = true; });
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); map.zoom(Math.exp(-event.deltaY / 400), ...at(event)); }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const step = 12 * map.ratio / map.view.scale, turns = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (turns && run.moves) { event.preventDefault(); setPoint(moved(map.probe[0] + turns[0] * step, map.probe[1] + turns[1] * step)); }
    else if (event.key === "+" || event.key === "=") map.zoom(1.25);
    else if (event.key === "-") map.zoom(.8);
  });
}

async function choose(examples) {
  chosen = examples;
  by("chosen-section").hidden = !chosen.length;
  by("chosen-count").textContent = `${chosen.length.toLocaleString("en")} examples are chosen; the first ${Math.min(SHOWN, chosen.length)} are shown.`;
  if (!chosen.length) return;
  const shown = chosen.slice(0, SHOWN);
  try { show(by("chosen"), run.looks, await ask("examples", { examples: shown }), shown.map((one) => String(one + 1)), 64); } catch (error) { say(error); }
}

async function save() {
  const header = ["example", ...(run.classes ? ["class"] : []), ...(scores ? ["score", "p_value"] : []), ...about.order.map((latent) => `z${latent + 1}`)];
  const label = column(columns.parts.length - 1), quoted = (text) => /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const lines = chosen.map((one) => [one + 1, ...(run.classes ? [label[one] < 0 ? "" : quoted(run.classes[label[one]])] : []),
    ...(scores ? [scores.score[one], scores.p_value[one]] : []), ...about.order.map((_, rank) => column(2 + rank)[one])].join(","));
  const link = element("a", "", { download: "chosen.csv", href: URL.createObjectURL(new Blob([[header.join(","), ...lines].join("\n") + "\n"], { type: "text/csv" })) });
  link.click();
}

async function judge() {
  by("judge").disabled = true;
  by("judge").textContent = "Judging …";
  try {
    scores = await ask("strangeness");
    const order = scores.score.map((_, number) => number).sort((a, b) => scores.score[b] - scores.score[a]).slice(0, SHOWN);
    const why = run.reasons ? await ask("reasons", { examples: order }) : { reasons: [] };
    const names = order.map((one, rank) => [`${one + 1}: p ${scores.p_value[one].toPrecision(2)}`, ...(why.reasons[rank] || []).slice(0, why.maps ? 1 : undefined)].join("; "));
    show(by("strange"), run.looks, await ask("examples", { examples: order }), names, 64);
    if (why.maps) surprises(by("strange"), run.looks, why, 64);
    by("colour").append(new Option("score of vael score", "score"));
    by("judge").remove();
    compare();
  } catch (error) {
    say(error);
    by("judge").disabled = false;
    by("judge").textContent = "Find them";
  }
}

function levels() {
  const seeds = run.levels.map((_, level) => level + 1), temperatures = run.levels.map(() => 1);
  let next = seeds.length + 1, z = null;
  const draw = latest(async () => {
    const found = await ask("levels", { seeds: [...seeds], temperatures: [...temperatures] });
    z = found.z;
    show(by("levelled"), run.looks, found, [], 168);
  });
  run.levels.forEach((size, level) => {
    const line = element("div", "", { class: "level" }), name = `level ${level + 1}`;
    const again = element("button", `Draw ${name} again`, { type: "button" });
    again.addEventListener("click", () => { seeds[level] = next++; draw(); });
    const label = element("label", "temperature "), input = element("input", "", { type: "range", min: 0, max: 1.5, step: .05, value: 1, "aria-label": `temperature of ${name}` });
    const told = element("output", "1.00");
    input.addEventListener("input", () => { temperatures[level] = Number(input.value); told.textContent = temperatures[level].toFixed(2); draw(); });
    label.append(input, told);
    line.append(again, label, element("span", `${size.toLocaleString("en")} numbers`, { class: "quiet" }));
    by("levels").append(line);
  });
  by("levels-ring").addEventListener("click", () => { if (z) setPoint(z); });
  draw();
}

function hand() {
  const canvas = by("hand"), { width, height } = run.looks;
  canvas.width = width; canvas.height = height;
  const drawn = canvas.getContext("2d", { willReadFrequently: true });
  const wide = Math.max(1, Math.min(width, height) / 11);
  let last = null;
  const drawnPixels = () => Array.from(drawn.getImageData(0, 0, width, height).data.filter((_, place) => place % 4 === 0), (one) => one / 255);
  const read = latest(async () => {
    const pixels = drawnPixels();
    const found = await ask("read", { pixels });
    show(by("read"), run.looks, found, ["what comes back"], 112);
    if (run.moves) setPoint(found.code);
  });
  const weigh = latest(async (pixels) => {
    const found = await ask("posterior", { pixels });
    by("posterior").replaceChildren(plane(found.exact, found.side, found.reach, "exact posterior p(z | x)"), plane(found.encoder, found.side, found.reach, "the encoder's q(z | x)"));
    by("posterior-told").textContent = found.divergence === null ? "" : `KL(q || p(z | x)) is ${found.divergence.toFixed(2)} nats: so much the bound of this picture lies below log p(x).`;
  });
  const clear = () => { drawn.fillStyle = "#000"; drawn.fillRect(0, 0, width, height); by("read").replaceChildren(); by("posterior").replaceChildren(); by("posterior-told").textContent = ""; };
  const at = (event) => { const box = canvas.getBoundingClientRect(); return [(event.clientX - box.left) * width / box.width, (event.clientY - box.top) * height / box.height]; };
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); last = at(event); });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    const now = at(event);
    drawn.strokeStyle = "#fff"; drawn.lineWidth = wide; drawn.lineCap = "round";
    drawn.beginPath(); drawn.moveTo(...last); drawn.lineTo(...now); drawn.stroke();
    last = now;
    read();
  });
  canvas.addEventListener("pointerup", () => { last = null; if (run.exact) weigh(drawnPixels()); });
  by("clear").addEventListener("click", clear);
  clear();
}

function given() {
  const form = by("given");
  for (const one of run.looks.columns.filter((one) => one.plain || !run.alone)) {
    const label = element("label", one.name);
    const input = one.levels.length ? element("select", "", { name: one.name }) : element("input", "", { type: "text", name: one.name, placeholder: "drawn" });
    if (one.levels.length) { input.append(new Option("drawn", "")); for (const level of one.levels) input.append(new Option(level, level)); }
    label.append(input);
    form.append(label);
  }
  const answer = latest(async () => {
    const values = Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
    const found = await ask("given", { values });
    by("answers").replaceChildren(...run.looks.columns.map((one, number) => compared(one, found.before[number], found.columns[number])));
    by("worth").textContent = found.worth === null ? "" : `The weights of the draws are worth ${Math.round(found.worth)} independent ones.`;
  });
  form.addEventListener("change", answer);
  form.addEventListener("submit", (event) => { event.preventDefault(); answer(); });
  answer();
}

function menus() {
  by("axes").append(new Option(`principal components (${about.shares.map((one) => `${Math.round(100 * one)} %`).join(", ")} of the variance)`, "plane"));
  const most = Math.min(6, about.order.length);
  for (let first = 0; first < most; first++) {
    for (let second = first + 1; second < most; second++) by("axes").append(new Option(`z${place(first) + 1} and z${place(second) + 1}`, `${first},${second}`));
  }
  if (run.classes) by("colour").append(new Option("class", "class"));
  for (const name of run.colours) by("colour").append(new Option(name, `column ${name}`));
  for (const latent of about.order.slice(0, 12)) by("colour").append(new Option(`z${latent + 1}`, `z${latent}`));
  for (const [id, key] of [["axes", "axes"], ["colour", "colour"]]) {
    if ([...by(id).options].some((one) => one.value === state[key])) by(id).value = state[key]; else state[key] = by(id).value;
    by(id).addEventListener("change", () => change(key, by(id).value).catch(say));
  }
}

async function change(key, value) {
  if (value.startsWith("column ")) await cellsOf(value.slice(7));
  state[key] = value;
  redraw();
  remember();
}

function controls() {
  by("whole").addEventListener("click", () => map.whole());
  by("centre").addEventListener("click", () => setPoint([...about.mean]));
  by("example").max = by("other").max = columns.count;
  const number = (id) => Math.min(Math.max(Math.round(Number(by(id).value)) || 1, 1), columns.count) - 1;
  by("example").addEventListener("change", () => goTo(number("example")));
  by("other").addEventListener("change", () => pairWith(number("other")));
  by("link").addEventListener("click", async () => { await navigator.clipboard?.writeText(location.href); by("link").textContent = "Copied"; });
  by("python").addEventListener("click", () => {
    by("code").textContent = python();
    by("code").hidden = !by("code").hidden;
    by("python").setAttribute("aria-expanded", String(!by("code").hidden));
  });
  by("judge").addEventListener("click", judge);
  by("save").addEventListener("click", save);
  if (run.samples) {
    let seed = 0;
    const draw = latest(async () => show(by("samples"), run.looks, await ask("samples", { count: run.looks.kind === "picture" ? 24 : 8, seed: seed++ }), [], 64));
    by("samples-section").hidden = false;
    by("again").addEventListener("click", draw);
    draw();
  }
  if (run.levelled) { by("levels-section").hidden = false; levels(); }
  if (run.draws_by_hand) { by("hand-section").hidden = false; hand(); }
  if (run.asks) { by("given-section").hidden = false; given(); }
  by("strange-section").hidden = !run.judges;
  if (!run.moves) by("sliders-box").hidden = by("centre").hidden = true;
}

async function opened(answers) {
  answeredBy(answers);
  run = await ask("run");
  by("title").textContent = document.title = run.title;
  by("lead").textContent = `${run.model} on ${run.data}; one example: ${run.example}.`;
  about = await ask("map");
  columns = split(await coordinates());
  about.furthest = about.order.map((_, rank) => { let most = 0; for (const one of column(2 + rank)) most = Math.max(most, Math.abs(one)); return most; });
  Object.assign(state, Object.fromEntries(Object.entries({ a: "axes", c: "colour" }).flatMap(([short, key]) => remembered()[short] ? [[key, remembered()[short]]] : [])));
  const kept = remembered();
  state.z = Array.isArray(kept.z) && kept.z.length === about.features ? kept.z : [...about.mean];
  state.example = Math.min(kept.e ?? 0, columns.count - 1);
  state.base = state.example;
  state.other = Math.min(kept.o ?? 1, columns.count - 1);
  map = new CodeMap(by("map"));
  window.explorer = { map, state, ask, idle };
  sliders(); menus(); controls(); pointing();
  if (state.colour.startsWith("column ")) await cellsOf(state.colour.slice(7));
  const point = kept.z ? state.z : null;
  await goTo(state.example);
  if (point) setPoint(point);
  by("other").value = state.other + 1;
  document.body.dataset.ready = "yes";
}

export function begin(answers) {
  opened(answers).catch(say);
}
