// Cells of a table as they are written in the data, and back, as Python does it (looks.py).
const DAY = 86_400_000;

function level(column, value) {
  return column.levels[Math.min(Math.max(Math.round(value), 0), Math.max(column.codes - 1, 0))];
}

function kept(column, value) {
  let found = value + column.origin;
  if (column.minimum !== null) found = Math.max(found, column.minimum);
  if (column.maximum !== null) found = Math.min(found, column.maximum);
  const rate = 10 ** (column.decimals ?? 0), steps = found * rate;
  return column.decimals === null || Math.abs(steps) >= 2 ** 52 ? found : Math.floor(steps + .5) / rate;
}

// Four digits, as C's %.4g has them.
function short(value) {
  if (value === 0) return "0";
  const [digits, power] = value.toExponential(3).split("e"), exponent = Number(power);
  if (exponent < -4 || exponent >= 4) return `${Number(digits)}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  return String(Number(value.toPrecision(4)));
}

function date(column, days) {
  const moment = new Date(Math.round(days * DAY)), two = (one) => String(one).padStart(2, "0");
  const parts = { "%Y": String(moment.getUTCFullYear()).padStart(4, "0"), "%m": two(moment.getUTCMonth() + 1), "%d": two(moment.getUTCDate()) };
  if (column.pattern) return column.pattern.replace(/%[Ymd]/g, (mark) => parts[mark]);
  return moment.toISOString().slice(0, 16).replace("T", " ");
}

export function written(column, value) {
  if (Number.isNaN(value)) return "";
  if (column.levels.length) return level(column, value);
  if (column.kind === "date") return date(column, kept(column, value));
  return column.decimals === null ? short(value + column.origin) : kept(column, value).toFixed(column.decimals);
}

function dayOf(column, text) {
  const marks = column.pattern.match(/%[Ymd]/g), found = text.match(new RegExp(`^${column.pattern.replace(/[.]/g, "\\.").replace(/%Y/, "(\\d{4})").replace(/%[md]/g, "(\\d{1,2})")}$`));
  if (!found) return NaN;
  const part = Object.fromEntries(marks.map((mark, place) => [mark, Number(found[place + 1])]));
  return Date.UTC(part["%Y"], part["%m"] - 1, part["%d"]) / DAY;
}

// What a person wrote as the number that the model has for it.
export function read(column, text) {
  const place = column.levels.indexOf(text), value = column.levels.length ? Math.min(place, column.codes - 1) :
    (column.kind === "date" ? dayOf(column, text) : text.trim() === "" ? NaN : Number(text)) - column.origin;
  if (column.levels.length ? place < 0 : !Number.isFinite(value)) throw new Error(`${JSON.stringify(text)} is no value of ${column.name}; give a value as the table has it`);
  return value;
}
