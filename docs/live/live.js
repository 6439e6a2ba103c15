// The live parts of the lecture pages: every `<div class="live">` that show.live wrote becomes sliders, figures, numbers.
import { element } from "./looks.js";
import { numbersOf, slider } from "./parts.js";
import { kinds } from "./kinds.js";

// Where a number differs from what the page computed in Python when it was built, it says so.
function compared(told, numbers) {
  const names = Object.keys(told);
  if (!names.length) return { text: "", difference: 0 };
  const difference = Math.max(...names.map((name) => Math.abs(told[name] - numbers[name])));
  const equal = difference <= 1e-6;
  return { difference, text: equal ? `Where the sliders stood at first, the code above gave the same ${names.length} numbers.` :
    `These numbers differ by ${difference} from those of the code above.` };
}

function mount(root) {
  const { kind, given, told } = JSON.parse(root.dataset.live);
  const { title, sliders, buttons, names, begin, numbers, draw, attach, moved, whole } = kinds[kind];
  const begun = begin(given), state = structuredClone(begun), controls = element("div", "", { class: "live-controls" });
  const figures = element("div", "", { class: "live-figures" }), printed = numbersOf(names), all = {};
  const shown = () => {
    const found = numbers(state, given), room = Math.max(figures.clientWidth, 200);
    printed.set(found);
    draw(figures, whole || room < 620 ? room : Math.floor(room / 2) - 9, state, given);
    return found;
  };
  const changed = () => { for (const [name, one] of Object.entries(all)) one.set(state[name]); shown(); };
  for (const one of sliders(given)) {
    all[one.name] = slider({ ...one, value: state[one.name] }, (name, value) => { state[name] = value; moved?.(state); shown(); });
    controls.append(all[one.name].row);
  }
  const row = element("div", "", { class: "live-buttons" });
  const actions = { ...buttons, "Start anew": (here) => { Object.assign(here, structuredClone(begun)); } };
  for (const [name, act] of Object.entries(actions)) {
    const button = element("button", name, { type: "button" });
    button.addEventListener("click", () => { act(state, given); changed(); });
    row.append(button);
  }
  controls.append(row);
  root.replaceChildren(element("p", title, { class: "live-title" }), controls, figures, printed.list);
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", title);
  attach?.(figures, state, given, changed);
  const { difference, text } = compared(told, shown());
  root.append(element("p", text, { class: "live-told" }));
  root.dataset.difference = difference;
  root.state = state;
  let wide = figures.clientWidth;
  new ResizeObserver(() => { if (figures.clientWidth !== wide) { wide = figures.clientWidth; shown(); } }).observe(root);
  root.dataset.ready = "yes";
}

function start() {
  for (const root of document.querySelectorAll("div.live:not([data-ready])")) mount(root);
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
else start();
