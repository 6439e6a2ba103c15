// Standard variates that are the same for the same seed.
function uniform(seed) { // mulberry32
  let state = (seed * 2654435761) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let found = Math.imul(state ^ (state >>> 15), state | 1);
    found ^= found + Math.imul(found ^ (found >>> 7), found | 61);
    return ((found ^ (found >>> 14)) >>> 0) / 4294967296;
  };
}

export function stream(seed) {
  return typeof seed === "number" ? uniform(seed) : seed;
}

// `random` is a stream; normal ones by Box & Muller (1958).
export function variates(kind, count, random, scale = 1) {
  const found = new Array(count);
  for (let place = 0; place < count; place++) {
    found[place] = kind === "uniform" ? random() : scale * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  }
  return found;
}
