// What the page asks of the run. Every question needs the token that stands in the page's address.
const token = new URLSearchParams(location.search).get("token") ?? "";
const trouble = document.getElementById("trouble");

async function answered(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { "X-Vael-Token": token, ...options?.headers } });
  } catch {
    throw new Error("vael does not answer: the command that served this page was stopped. Start it again.");
  }
  if (!response.ok) {
    const text = await response.text();
    let told = text;
    try { told = JSON.parse(text).error; } catch { /* not JSON: shown as it is */ }
    throw new Error(told);
  }
  return response;
}

export async function ask(question, asked = {}) {
  const response = await answered(`/api/${question}`, { method: "POST", body: JSON.stringify(asked) });
  trouble.hidden = true;
  return response.json();
}

export async function coordinates() {
  return (await answered("/api/coordinates")).arrayBuffer();
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
