// What the page asks of the run. Who answers is told once, at the start: a server (served.js), or the file itself (kept.js).
const trouble = document.getElementById("trouble");
let answers = null, awaited = 0;

export function answeredBy(found) {
  answers = found;
}

export async function ask(question, asked = {}) {
  awaited++;
  try {
    const found = await answers.ask(question, asked);
    trouble.hidden = true;
    return found;
  } finally {
    awaited--;
  }
}

// Whether every question was answered.
export function idle() {
  return awaited === 0;
}

export function coordinates() {
  return answers.coordinates();
}

export function say(error) {
  trouble.textContent = error.message;
  trouble.hidden = false;
}

// Only the newest request counts: one is on its way, one waits, those between are dropped.
export function latest(work) {
  let busy = false, waiting = null;
  return async function run(...given) {
    if (busy) { waiting = given; return; }
    busy = true;
    try { await work(...given); } catch (error) { say(error); }
    busy = false;
    if (waiting) { const next = waiting; waiting = null; run(...next); }
  };
}
