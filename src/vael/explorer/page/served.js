// The page with a server: every question needs the token that stands in the page's address.
import { begin } from "./explorer.js";

const token = new URLSearchParams(location.search).get("token") ?? "";

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

begin({
  ask: async (question, asked) => (await answered(`/api/${question}`, { method: "POST", body: JSON.stringify(asked) })).json(),
  coordinates: async () => (await answered("/api/coordinates")).arrayBuffer(),
});
