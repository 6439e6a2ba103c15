// How examples are drawn: pictures on a canvas, rows as tables or as lines over their steps, numbers as text.
import { written } from "./cells.js";
import { ramp } from "./map.js";

const NS = "http://www.w3.org/2000/svg";
const LINES = ["#1f68b3", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f"];

function bytes(hex) {
  const found = new Uint8Array(hex.length / 2);
  for (let place = 0; place < found.length; place++) found[place] = parseInt(hex.substr(2 * place, 2), 16);
  return found;
}

function picture(looks, rgb, wanted) {
  const canvas = document.createElement("canvas");
  canvas.className = "picture";
  canvas.width = looks.width; canvas.height = looks.height;
  const shown = canvas.getContext("2d"), image = shown.createImageData(looks.width, looks.height);
  for (let pixel = 0; pixel < looks.width * looks.height; pixel++) {
    image.data.set([rgb[3 * pixel], rgb[3 * pixel + 1], rgb[3 * pixel + 2], 255], 4 * pixel);
  }
  shown.putImageData(image, 0, 0);
  const longest = Math.max(looks.width, looks.height);
  const factor = longest < wanted ? Math.ceil(wanted / longest) : wanted / longest;
  canvas.style.width = `${Math.round(looks.width * factor)}px`;
  canvas.style.height = `${Math.round(looks.height * factor)}px`;
  return canvas;
}

export function element(name, content = "", attributes = {}) {
  const found = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  if (content instanceof Node) found.append(content); else if (content !== "") found.textContent = content;
  return found;
}

function figure(inside, caption) {
  const found = element("figure", inside);
  if (caption) found.append(element("figcaption", caption));
  return found;
}

export function table(header, rows) {
  const found = element("table"), top = element("tr");
  for (const name of header) top.append(element("th", name, { scope: "col" }));
  found.append(top);
  for (const row of rows) {
    const line = element("tr");
    for (const cell of row) line.append(element("td", cell));
    found.append(line);
  }
  const scroll = element("div", found, { class: "scroll", tabindex: "0" });
  return scroll;
}

function lines(looks, numbers, caption) {
  const width = 300, height = 120, svg = document.createElementNS(NS, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("width", "100%");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", caption || "series");
  const all = numbers.flat().filter((one) => one !== null), low = Math.min(...all), high = Math.max(...all);
  looks.columns.forEach((column, place) => {
    const points = numbers.map((row, step) => row[place] === null ? null :
      `${(step / Math.max(numbers.length - 1, 1)) * width},${height - 4 - ((row[place] - low) / (high - low || 1)) * (height - 8)}`);
    const line = document.createElementNS(NS, "polyline");
    line.setAttribute("points", points.filter((one) => one !== null).join(" "));
    line.setAttribute("stroke", LINES[place % LINES.length]);
    svg.append(line);
  });
  return figure(svg, caption);
}

// Examples side by side; `captions` one for each.
export function show(place, looks, found, captions = [], size = 64) {
  place.replaceChildren();
  if (looks.kind === "picture") {
    const row = element("div", "", { class: "pictures" });
    found.pixels.forEach((one, number) => row.append(figure(picture(looks, typeof one === "string" ? bytes(one) : one, size), captions[number])));
    place.append(row);
  } else if (looks.kind === "rows" && found.rows > 1) {
    for (let first = 0, number = 0; first < found.numbers.length; first += found.rows, number++) {
      place.append(lines(looks, found.numbers.slice(first, first + found.rows), captions[number]));
    }
  } else if (looks.kind === "rows") {
    const names = looks.columns.map((column) => column.name);
    if (found.texts.length === 1) {
      place.append(table(["column", captions[0] || "value"], names.map((name, column) => [name, found.texts[0][column]])));
    } else {
      const header = captions.length ? ["", ...names] : names;
      place.append(table(header, found.texts.map((row, number) => captions.length ? [captions[number], ...row] : row)));
    }
  } else {
    place.append(table(captions.length ? ["", "values"] : ["values"],
      found.numbers.map((row, number) => [...(captions.length ? [captions[number]] : []), row.slice(0, 12).join("  ")])));
  }
}

// Below each picture that is shown, which of its pixels are more surprising than usual, and above all what that means.
export function surprises(place, looks, why, size) {
  place.querySelectorAll("figure").forEach((shown, number) => {
    const map = picture(looks, Array.from(bytes(why.maps[number])).flatMap((one) => ramp(one / 255)), size);
    map.setAttribute("role", "img");
    map.setAttribute("aria-label", `where picture ${number + 1} is more surprising than usual`);
    shown.firstChild.after(map);
  });
  place.prepend(element("p", `Below each picture its pixels: dark ones are as usual or less surprising, yellow ones cost up to ${why.most.toPrecision(2)}${why.unit} more.`, { class: "quiet" }));
}

// A density over two latents: bright where it is high, z1 to the right and z2 upward.
export function plane(shares, side, reach, caption) {
  const canvas = element("canvas", "", { class: "plane", width: side, height: side, role: "img", "aria-label": `${caption}, z1 and z2 from ${-reach} to ${reach}` });
  const context = canvas.getContext("2d"), image = context.createImageData(side, side);
  shares.forEach((share, place) => {
    const row = side - 1 - Math.floor(place / side), at = 4 * (row * side + place % side);
    image.data.set([...ramp(share), 255], at);
  });
  context.putImageData(image, 0, 0);
  return figure(canvas, caption);
}

// Two distributions of one column: bars of 24 bins, or of each level.
export function compared(column, before, after) {
  const width = 240, height = 90, svg = document.createElementNS(NS, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height + 14}`);
  svg.setAttribute("width", "100%");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${column.name}: before and given`);
  const seen = [...before, ...after].filter((one) => one !== null);
  const low = Math.min(...seen), high = Math.max(...seen), levels = column.levels.length;
  const bins = levels ? Math.min(levels, 24) : 24;
  const bin = (value) => levels ? Math.min(Math.round(value), bins - 1) :
    Math.min(bins - 1, Math.floor(((value - low) / (high - low || 1)) * bins));
  const counts = [before, after].map((values) => {
    const found = new Array(bins).fill(0);
    for (const value of values) if (value !== null) found[bin(value)] += 1 / values.length;
    return found;
  });
  const most = Math.max(...counts.flat(), 1e-9);
  counts.forEach((shares, which) => shares.forEach((share, place) => {
    const bar = document.createElementNS(NS, "rect"), step = width / bins;
    const inset = which ? step * .22 : step * .04;
    bar.setAttribute("x", place * step + inset);
    bar.setAttribute("width", Math.max(step - 2 * inset, .5));
    bar.setAttribute("y", height - (share / most) * height);
    bar.setAttribute("height", (share / most) * height);
    bar.setAttribute("class", which ? "after" : "before");
    const told = document.createElementNS(NS, "title");
    told.textContent = `${levels ? column.levels[place] : ""} ${(100 * share).toFixed(1)} %`;
    bar.append(told);
    svg.append(bar);
  }));
  const ends = levels ? [column.levels[0], column.levels[bins - 1]] : [written(column, low), written(column, high)];
  ends.forEach((text, which) => {
    const label = document.createElementNS(NS, "text");
    label.setAttribute("x", which ? width : 0);
    label.setAttribute("y", height + 11);
    label.setAttribute("text-anchor", which ? "end" : "start");
    label.textContent = String(text).slice(0, 22);
    svg.append(label);
  });
  return figure(svg, column.name);
}
