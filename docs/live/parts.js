// What the live parts of the pages are made of: sliders with their values, buttons, printed numbers, figures in SVG.
import { element } from "./looks.js";

const NS = "http://www.w3.org/2000/svg";
const HEIGHT = 190, LEFT = 44, BELOW = 34, ABOVE = 20;

// Six digits, as a person reads them; all of them are in `data-value`.
export function printed(value) {
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 1e5 || Math.abs(value) < 1e-4 ? value.toExponential(2).replace("-", "−") : value.toFixed(4).replace("-", "−");
}

// A slider. With `log` it moves in equal factors, and `whole` rounds what it gives.
export function slider({ name, label, low, high, value, step = (high - low) / 200, log = false, whole = false }, moved) {
  const row = element("label", "", { class: "live-slider" }), shown = element("output");
  const ends = log ? [Math.log(low), Math.log(high)] : [low, high];
  const input = element("input", "", { type: "range", name, min: ends[0], max: ends[1], step: log ? (ends[1] - ends[0]) / 200 : step });
  const read = () => { const found = log ? Math.exp(Number(input.value)) : Number(input.value); return whole ? Math.round(found) : found; };
  const print = (one) => { shown.textContent = whole ? String(one) : Number(one.toPrecision(4)).toString().replace("-", "−"); input.setAttribute("aria-valuetext", shown.textContent); };
  const set = (one) => { input.value = log ? Math.log(one) : one; print(one); };
  input.addEventListener("input", () => { const one = read(); print(one); moved(name, one); });
  row.append(element("span", label), input, shown);
  set(value);
  return { row, set };
}

// Names and numbers; `set` prints them anew.
export function numbersOf(names) {
  const list = element("dl", "", { class: "live-numbers" }), places = {};
  for (const name of names) {
    places[name] = element("dd", "", { "data-name": name });
    list.append(element("div", "", {}));
    list.lastChild.append(element("dt", name), places[name]);
  }
  const set = (numbers) => { for (const name of names) { places[name].textContent = printed(numbers[name]); places[name].dataset.value = numbers[name]; } };
  return { list, set };
}

function drawn(name, attributes, text) {
  const found = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  if (text !== undefined) found.textContent = text;
  return found;
}

// Round numbers between two ends; of a logarithmic axis, powers of ten.
export function ticks(low, high, count, log = false) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = log ? Math.max(1, Math.round(rough)) : [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
  const found = [];
  for (let at = Math.ceil(low / step); at * step <= high + 1e-9 * step; at++) found.push(at * step);
  return found;
}

// A figure with two axes, whose ends are [low, high]; an axis in powers of ten (`log`) has ends and places as log10.
export class Figure {
  constructor(width, { x, y, title, xlabel = "", ylabel = "", height = HEIGHT, logX = false, logY = false, square = false }) {
    this.width = width; this.left = y ? LEFT : 8;
    this.height = square ? Math.min(width - this.left, 300) + ABOVE + BELOW : height;
    this.inside = [width - this.left - 8, this.height - ABOVE - BELOW];
    if (square) this.inside[0] = Math.min(this.inside[0], this.inside[1]);
    this.x = x; this.y = y ?? [0, 1];
    this.svg = drawn("svg", { width, height: this.height, viewBox: `0 0 ${width} ${this.height}`, role: "img", "aria-label": title });
    this.text(this.left, 13, title, "title");
    const name = (one, log) => log ? (Math.abs(one) < 4 ? String(Number((10 ** one).toPrecision(3))) : `1e${one}`) : String(Number(one.toPrecision(6))).replace("-", "−");
    for (const one of ticks(...x, Math.max(4, this.inside[0] / 80), logX)) {
      this.rule(this.across(one), this.across(one), this.up(this.y[0]), this.up(this.y[1]));
      this.text(this.across(one), this.up(this.y[0]) + 14, name(one, logX), "tick", "middle");
    }
    if (y) {
      for (const one of ticks(...y, 4, logY)) {
        this.rule(this.across(x[0]), this.across(x[1]), this.up(one), this.up(one));
        this.text(this.left - 5, this.up(one) + 4, name(one, logY), "tick", "end");
      }
    }
    this.text(this.left + this.inside[0] / 2, this.height - 3, xlabel, "tick", "middle");
    if (ylabel) this.text(this.left + 4, ABOVE + 12, ylabel, "tick");
  }

  across(value) { return this.left + ((value - this.x[0]) / (this.x[1] - this.x[0])) * this.inside[0]; }
  up(value) { return ABOVE + (1 - (value - this.y[0]) / (this.y[1] - this.y[0])) * this.inside[1]; }
  add(name, attributes, text) { this.svg.append(drawn(name, attributes, text)); return this; }
  rule(x1, x2, y1, y2, kind = "rule") { return this.add("line", { x1, x2, y1, y2, class: kind }); }
  text(x, y, text, kind, anchor = "start") { return this.add("text", { x, y, class: kind, "text-anchor": anchor }, text); }
  level(y, kind) { return this.rule(this.across(this.x[0]), this.across(this.x[1]), this.up(y), this.up(y), kind); }
  upright(x, kind) { return this.rule(this.across(x), this.across(x), this.up(this.y[0]), this.up(this.y[1]), kind); }
  inRange(x, y) { return [Math.min(Math.max(x, this.x[0]), this.x[1]), Math.min(Math.max(y, this.y[0]), this.y[1])]; }
  line(points, kind) {
    const places = points.map(([x, y]) => { const [a, b] = this.inRange(x, y); return `${this.across(a).toFixed(1)},${this.up(b).toFixed(1)}`; });
    return this.add("polyline", { points: places.join(" "), class: kind });
  }
  curve(work, kind, many = 160) {
    return this.line(Array.from({ length: many + 1 }, (_, i) => { const at = this.x[0] + ((this.x[1] - this.x[0]) * i) / many; return [at, work(at)]; }), kind);
  }
  dot(x, y, kind, r = 4, style = "") { return this.add("circle", { cx: this.across(x), cy: this.up(y), r, class: kind, style }); }
  // A rectangle over [from, to] of the horizontal axis, at pixels from the top.
  bar(from, to, top, tall, kind) {
    const ends = [from, to].map((one) => this.across(this.inRange(one, 0)[0]));
    return this.add("rect", { x: Math.min(...ends), width: Math.max(Math.abs(ends[1] - ends[0]), 0.5), y: top, height: tall, class: kind });
  }
  // Where a Gaussian has its first and second standard deviation.
  ellipse([a, b], [[p, q], [, r]], kind, style = "") {
    const l = Math.sqrt(p), below = q / l, m = Math.sqrt(Math.max(r - below * below, 0));
    for (const size of [1, 2]) {
      this.line(Array.from({ length: 61 }, (_, i) => { const t = (2 * Math.PI * i) / 60; return [a + size * l * Math.cos(t), b + size * (below * Math.cos(t) + m * Math.sin(t))]; }), kind);
      this.svg.lastChild.setAttribute("style", style);
    }
    return this;
  }
}

// Bars one below the other, each from where the last one ended, with their names above them.
export function bars(width, title, rows, ends, mark) {
  const each = 38, figure = new Figure(width, { x: ends, title, xlabel: "nats", height: ABOVE + BELOW + each * rows.length });
  rows.forEach(({ from, to, kind }, place) => figure.bar(from, to, ABOVE + each * place + 19, 13, kind));
  figure.upright(mark, "mark");
  rows.forEach(({ name, from, to }, place) => figure.text(figure.left + 2, ABOVE + each * place + 14, `${name} = ${printed(to - from)}`, "name"));
  return figure;
}
