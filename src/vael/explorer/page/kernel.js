// Runs graphs of a model that Python wrote (graphs.py): PyTorch's own operators over arrays of fixed shapes.
// A value is { data, shape }: elements in rows, the last axis next to each other.
const ARRAYS = { f: Float32Array, d: Float64Array, i: Int32Array, b: Uint8Array };
const size = (shape) => shape.reduce((product, one) => product * one, 1);
const tensor = (one) => typeof one === "number" ? { data: [one], shape: [] } : typeof one === "boolean" ? { data: [Number(one)], shape: [] } : one;
const axis = (one, axes) => one < 0 ? one + axes : one;
const pair = (one) => typeof one === "number" ? [one, one] : one.length === 1 ? [one[0], one[0]] : one;

function steps(shape) {
  const found = new Array(shape.length);
  let step = 1;
  for (let a = shape.length - 1; a >= 0; a--) { found[a] = step; step *= shape[a]; }
  return found;
}

// For each element of a shape, the place `offset + Σ index · step`.
function places(shape, step, offset = 0) {
  const found = new Int32Array(size(shape)), index = new Array(shape.length).fill(0);
  let at = offset;
  for (let i = 0; i < found.length; i++) {
    found[i] = at;
    for (let a = shape.length - 1; a >= 0; a--) {
      at += step[a];
      if (++index[a] < shape[a]) break;
      at -= step[a] * shape[a];
      index[a] = 0;
    }
  }
  return found;
}

// Where the elements of a smaller shape stand when it is repeated to a larger one.
function repeated(shape, whole) {
  const own = steps(shape), more = whole.length - shape.length;
  return places(whole, whole.map((_, a) => a < more || shape[a - more] === 1 ? 0 : own[a - more]));
}

function apply(node, inputs, work) {
  const { out, shape, kept } = node, count = out.length, values = inputs.map(tensor);
  kept.maps ??= values.map((one) => one.data.length === count ? null : one.data.length === 1 ? 0 : repeated(one.shape, shape));
  const at = kept.maps, [a, b, c] = values.map((one) => one.data);
  const [p, q, r] = at;
  const from = (map, i) => map === null ? i : map === 0 ? 0 : map[i];
  if (values.length === 1) for (let i = 0; i < count; i++) out[i] = work(a[from(p, i)]);
  else if (values.length === 2) for (let i = 0; i < count; i++) out[i] = work(a[from(p, i)], b[from(q, i)]);
  else for (let i = 0; i < count; i++) out[i] = work(a[from(p, i)], b[from(q, i)], c[from(r, i)]);
  return { data: out, shape };
}

// Elements of one input at places that are found once.
function taken(node, input, find) {
  const map = node.kept.map ??= find(), { out } = node;
  for (let i = 0; i < out.length; i++) out[i] = input.data[map[i]];
  return { data: out, shape: node.shape };
}

// Along some axes: `work` gets the elements that are brought together, one after another.
function gathered(input, dims) {
  const axes = input.shape.length, own = steps(input.shape);
  const over = (dims === undefined || dims === null || dims.length === 0 ? [...input.shape.keys()] : [dims].flat()).map((one) => axis(one, axes));
  const rest = [...input.shape.keys()].filter((one) => !over.includes(one));
  return { starts: places(rest.map((a) => input.shape[a]), rest.map((a) => own[a])), inner: places(over.map((a) => input.shape[a]), over.map((a) => own[a])) };
}

function reduced(node, input, dims, work) {
  const { starts, inner } = node.kept.over ??= gathered(input, dims), { out } = node, row = new Float64Array(inner.length);
  for (let i = 0; i < starts.length; i++) {
    for (let j = 0; j < inner.length; j++) row[j] = input.data[starts[i] + inner[j]];
    out[i] = work(row);
  }
  return { data: out, shape: node.shape };
}

// Rows along one axis, each replaced by as many numbers.
function along(node, input, dim, work) {
  const { starts, inner } = node.kept.over ??= gathered(input, [dim]), { out } = node, row = new Float64Array(inner.length);
  for (let i = 0; i < starts.length; i++) {
    for (let j = 0; j < inner.length; j++) row[j] = input.data[starts[i] + inner[j]];
    const found = work(row);
    for (let j = 0; j < inner.length; j++) out[starts[i] + inner[j]] = found[j];
  }
  return { data: out, shape: node.shape };
}

const total = (row) => { let sum = 0; for (const one of row) sum += one; return sum; };
const highest = (row) => { let most = -Infinity; for (const one of row) if (!(one <= most)) most = one; return most; };
const lowest = (row) => { let least = Infinity; for (const one of row) if (!(one >= least)) least = one; return least; };
const softmax = (row) => { const most = highest(row), found = row.map((one) => Math.exp(one - most)), sum = total(found); return found.map((one) => one / sum); };
const logSoftmax = (row) => { const most = highest(row), sum = most + Math.log(total(row.map((one) => Math.exp(one - most)))); return row.map((one) => one - sum); };
const even = (x) => { const low = Math.floor(x), rest = x - low; return rest < .5 ? low : rest > .5 ? low + 1 : low % 2 === 0 ? low : low + 1; };

// erfc by the Chebyshev series of Press et al. (Numerical Recipes), relative error below 1.2e-7 everywhere.
const SERIES = [.17087277, -.82215223, 1.48851587, -1.13520398, .27886807, -.18628806, .09678418, .37409196, 1.00002368, -1.26551223];
function erfc(x) {
  const t = 1 / (1 + .5 * Math.abs(x)), tail = t * Math.exp(-x * x + SERIES.reduce((sum, one) => sum * t + one, 0));
  return x >= 0 ? tail : 2 - tail;
}
const erf = (x) => Math.abs(x) < 1e-3 ? 1.1283791670955126 * (x - x ** 3 / 3) : 1 - erfc(x);

// log Γ by the series of Lanczos.
const LANCZOS = [76.18009172947146, -86.50532032941677, 24.01409824083091, -1.231739572450155, .001208650973866179, -.000005395239384953];
function lgamma(x) {
  if (x < .5) return Math.log(Math.PI / Math.abs(Math.sin(Math.PI * x))) - lgamma(1 - x);
  let sum = 1.000000000190015, y = x;
  for (const one of LANCZOS) sum += one / ++y;
  return -(x + 5.5) + (x + .5) * Math.log(x + 5.5) + Math.log(2.5066282746310005 * sum / x);
}

function product(node, x, w, bias = null) {
  const [rows, inside] = x.shape, columns = w.shape[1], sums = node.kept.sums ??= new Float64Array(columns), { out } = node;
  for (let row = 0; row < rows; row++) {
    if (!bias) sums.fill(0);
    else if (bias.data.length === columns) sums.set(bias.data);
    else for (let j = 0; j < columns; j++) sums[j] = bias.data.length === 1 ? bias.data[0] : bias.data[row * columns + j];
    for (let k = 0; k < inside; k++) {
      const by = x.data[row * inside + k], weights = w.data, from = k * columns;
      if (by !== 0) for (let j = 0; j < columns; j++) sums[j] += by * weights[from + j];
    }
    out.set(sums, row * columns);
  }
  return { data: out, shape: node.shape };
}

// Of one axis of a picture: for which outputs an input is there, without a question for each.
function reach(outputs, inputs, stride, shift) {
  const first = Math.max(0, Math.ceil(-shift / stride)), last = Math.min(outputs - 1, Math.floor((inputs - 1 - shift) / stride));
  return [first, last];
}

function convolution(node, x, w, bias, stride, padding, dilation, transposed, _, groups) {
  const flat = x.shape.length === 3, plane = (shape) => flat ? [1, shape[2]] : [shape[2], shape[3]];
  const [sy, sx] = flat ? [1, stride[0]] : pair(stride), [py, px] = flat ? [0, padding[0]] : pair(padding), [dy, dx] = flat ? [1, dilation[0]] : pair(dilation);
  const [height, width] = plane(x.shape), [tall, wide] = plane(node.shape), [high, broad] = plane(w.shape);
  const inputs = x.shape[1] / groups, outputs = node.shape[1] / groups, sums = node.kept.sums ??= new Float64Array(tall * wide), weights = w.data, from = x.data;
  for (let example = 0; example < x.shape[0]; example++) {
    for (let to = 0; to < node.shape[1]; to++) {
      const group = Math.floor(to / outputs);
      sums.fill(bias ? bias.data[to] : 0);
      for (let input = 0; input < inputs; input++) {
        const channel = group * inputs + input, start = (example * x.shape[1] + channel) * height * width;
        for (let ky = 0; ky < high; ky++) {
          for (let kx = 0; kx < broad; kx++) {
            const weight = weights[transposed ? ((channel * outputs + to - group * outputs) * high + ky) * broad + kx : ((to * inputs + input) * high + ky) * broad + kx];
            if (weight === 0) continue;
            const shiftY = ky * dy - py, shiftX = kx * dx - px;
            if (transposed) {
              const [top, bottom] = reach(height, tall, sy, shiftY), [left, right] = reach(width, wide, sx, shiftX);
              for (let row = top; row <= bottom; row++) {
                const into = (row * sy + shiftY) * wide + shiftX, out = start + row * width;
                for (let column = left; column <= right; column++) sums[into + column * sx] += weight * from[out + column];
              }
            } else {
              const [top, bottom] = reach(tall, height, sy, shiftY), [left, right] = reach(wide, width, sx, shiftX);
              for (let row = top; row <= bottom; row++) {
                const into = row * wide, out = start + (row * sy + shiftY) * width + shiftX;
                for (let column = left; column <= right; column++) sums[into + column] += weight * from[out + column * sx];
              }
            }
          }
        }
      }
      node.out.set(sums, (example * node.shape[1] + to) * tall * wide);
    }
  }
  return { data: node.out, shape: node.shape };
}

// The elements of each group brought to mean 0 and variance 1.
function standardised(node, x, each, epsilon, weightAt, w, b) {
  const { out } = node;
  for (let start = 0; start < out.length; start += each) {
    let mean = 0, variance = 0;
    for (let i = 0; i < each; i++) mean += x.data[start + i] / each;
    for (let i = 0; i < each; i++) variance += (x.data[start + i] - mean) ** 2 / each;
    const by = 1 / Math.sqrt(variance + epsilon);
    for (let i = 0; i < each; i++) out[start + i] = (x.data[start + i] - mean) * by * (w ? w.data[weightAt(start + i)] : 1) + (b ? b.data[weightAt(start + i)] : 0);
  }
  return [{ data: out, shape: node.shape }];
}

// A X = B, or X A = B where `left` is false, for matrices that are 0 above or below their diagonal.
function solved(node, a, b, { upper, left = true, unitriangular = false }) {
  const { out, shape } = node, [rows, columns] = shape.slice(-2), n = a.shape.at(-1), many = left ? columns : rows, turned = left !== false;
  const batch = shape.slice(0, -2), [fromA, fromB] = node.kept.batches ??= [a, b].map((one) => repeated(one.shape.slice(0, -2), batch));
  const high = turned ? upper : !upper;
  for (let one = 0; one < fromA.length; one++) {
    const startA = fromA[one] * n * n, startB = fromB[one] * rows * columns, start = one * rows * columns;
    const at = (i, j) => a.data[startA + (turned ? i * n + j : j * n + i)], place = (i, k) => turned ? i * columns + k : k * columns + i;
    for (let k = 0; k < many; k++) {
      for (let step = 0; step < n; step++) {
        const i = high ? n - 1 - step : step;
        let sum = b.data[startB + place(i, k)];
        for (let j = high ? i + 1 : 0; j < (high ? n : i); j++) sum -= at(i, j) * out[start + place(j, k)];
        out[start + place(i, k)] = unitriangular ? sum : sum / at(i, i);
      }
    }
  }
  return { data: out, shape };
}

function pooled(node, x, kernel, stride, padding, start, work, end) {
  const [high, broad] = pair(kernel), [sy, sx] = stride?.length ? pair(stride) : [high, broad], [py, px] = pair(padding ?? 0);
  const [height, width] = x.shape.slice(-2), [tall, wide] = node.shape.slice(-2), { out } = node;
  for (let i = 0; i < out.length; i++) {
    const plane = Math.floor(i / (tall * wide)), row = Math.floor(i / wide) % tall, column = i % wide;
    let found = start, seen = 0;
    for (let y = Math.max(0, row * sy - py); y < Math.min(height, row * sy - py + high); y++) {
      for (let at = Math.max(0, column * sx - px); at < Math.min(width, column * sx - px + broad); at++, seen++) found = work(found, x.data[(plane * height + y) * width + at]);
    }
    out[i] = end(found, seen, high * broad);
  }
  return { data: out, shape: node.shape };
}

function sorted(input, dim, descending, count) {
  const at = axis(dim, input.shape.length), shape = [...input.shape], { starts, inner } = gathered(input, [at]);
  shape[at] = count ?? shape[at];
  const into = gathered({ shape }, [at]), values = new Float64Array(size(shape)), order = new Float64Array(size(shape));
  starts.forEach((start, row) => {
    const ranks = [...inner.keys()].sort((a, b) => (descending ? -1 : 1) * (input.data[start + inner[a]] - input.data[start + inner[b]]) || a - b);
    for (let j = 0; j < shape[at]; j++) { values[into.starts[row] + into.inner[j]] = input.data[start + inner[ranks[j]]]; order[into.starts[row] + into.inner[j]] = ranks[j]; }
  });
  return [{ data: values, shape }, { data: order, shape }];
}

function best(node, input, dim, keep, better) {
  if (dim === undefined || dim === null) return reduced(node, input, null, (row) => row.reduce((most, one, place) => better(one, row[most]) ? place : most, 0));
  return reduced(node, input, [dim], (row) => { let most = 0; for (let i = 1; i < row.length; i++) if (better(row[i], row[most])) most = i; return most; });
}

// Of a whole tensor one number; along an axis the numbers and where they are.
function most(node, input, dim, keep, high) {
  if (typeof dim !== "number") return reduced(node, input, null, high ? highest : lowest);
  const at = axis(dim, input.shape.length), shape = input.shape.filter((_, a) => a !== at);
  return sorted(input, dim, high, 1).map((one) => keep === true ? one : { data: one.data, shape });
}

// Positions in an array that index tensors, one for each axis or null, choose.
function chosen(input, indices) {
  const axes = input.shape.length, own = steps(input.shape), by = Array.from({ length: axes }, (_, a) => indices[a] ?? null), used = [...by.keys()].filter((a) => by[a]);
  const together = [];
  for (const a of used) by[a].shape.forEach((one, place) => { const at = Math.max(...used.map((u) => by[u].shape.length)) - by[a].shape.length + place; together[at] = Math.max(together[at] ?? 1, one); });
  for (let place = 0; place < together.length; place++) together[place] ??= 1;
  const joined = used.every((a, place) => !place || a === used[place - 1] + 1), before = joined ? [...by.keys()].filter((a) => a < used[0]) : [], after = [...by.keys()].filter((a) => !by[a] && !before.includes(a));
  const outer = places(before.map((a) => input.shape[a]), before.map((a) => own[a])), inner = places(after.map((a) => input.shape[a]), after.map((a) => own[a]));
  const middle = new Int32Array(size(together));
  for (const a of used) {
    const map = repeated(by[a].shape, together);
    for (let i = 0; i < middle.length; i++) { const one = by[a].data[map[i]]; middle[i] += (one < 0 ? one + input.shape[a] : one) * own[a]; }
  }
  const found = new Int32Array(outer.length * middle.length * inner.length);
  let at = 0;
  for (const o of outer) for (const m of middle) for (const i of inner) found[at++] = o + m + i;
  return found;
}

// A tensor of booleans as an index, where a graph has one: the places where it is true are values, so it is a mask.
const isMask = (indices) => indices.some((one) => one?.data instanceof Uint8Array);

const one = (work) => (node, a) => apply(node, [a], work);
const two = (work) => (node, a, b) => apply(node, [a, b], work);
const scaled = (work) => (node, a, b, named) => apply(node, [a, b], named?.alpha !== undefined && named.alpha !== 1 ? (x, y) => work(x, named.alpha * y) : work);
const named = (given) => given.at(-1);
const reshaped = (node, a) => ({ data: a.data, shape: node.shape });
const filled = (node, value) => { node.out.fill(typeof value === "object" ? value.data[0] : Number(value)); return { data: node.out, shape: node.shape }; };

function bounded(node, a, low, high) {
  const floor = low === null || low === undefined ? -Infinity : low, ceiling = high === null || high === undefined ? Infinity : high;
  return apply(node, [a, floor, ceiling], (x, least, most) => x < least ? least : x > most ? most : x);
}

// Every operator by its name in PyTorch; the last thing that each gets is what it was given by name.
export const operators = {
  abs: one(Math.abs), acos: one(Math.acos), acosh: one(Math.acosh), asin: one(Math.asin), asinh: one(Math.asinh), atan: one(Math.atan), atanh: one(Math.atanh),
  bitwise_not: (node, a) => apply(node, [a], a.data instanceof Uint8Array ? (x) => x ? 0 : 1 : (x) => ~x),
  ceil: one(Math.ceil), cos: one(Math.cos), cosh: one(Math.cosh), erf: one(erf), erfc: one(erfc), exp: one(Math.exp), expm1: one(Math.expm1), floor: one(Math.floor),
  isinf: one((x) => Math.abs(x) === Infinity), isnan: one(Number.isNaN), lgamma: one(lgamma), log: one(Math.log), log10: one(Math.log10), log1p: one(Math.log1p), log2: one(Math.log2),
  logical_not: one((x) => !x), neg: one((x) => -x), reciprocal: one((x) => 1 / x), relu: one((x) => x > 0 || Number.isNaN(x) ? x : 0), round: one(even), rsqrt: one((x) => 1 / Math.sqrt(x)),
  sigmoid: one((x) => 1 / (1 + Math.exp(-x))), sign: one(Math.sign), sin: one(Math.sin), sinh: one(Math.sinh), sqrt: one(Math.sqrt), tan: one(Math.tan), tanh: one(Math.tanh), trunc: one(Math.trunc),
  elu: (node, a, ...given) => { const [alpha = 1, scale = 1, input = 1] = given.slice(0, -1); return apply(node, [a], (x) => scale * (x > 0 ? x : alpha * Math.expm1(input * x))); },
  gelu: (node, a, given) => apply(node, [a], given.approximate === "tanh" ? (x) => .5 * x * (1 + Math.tanh(.7978845608028654 * (x + .044715 * x ** 3))) : (x) => .5 * x * (1 + erf(x / Math.SQRT2))),
  leaky_relu: (node, a, slope) => apply(node, [a], (x) => x > 0 ? x : x * (typeof slope === "number" ? slope : .01)),
  hardtanh: (node, a, low, high) => bounded(node, a, typeof low === "number" ? low : -1, typeof high === "number" ? high : 1),
  clamp: (node, a, ...given) => bounded(node, a, given.length > 1 ? given[0] : given[0].min, given.length > 2 ? given[1] : named(given).max),
  add: scaled((x, y) => x + y), sub: scaled((x, y) => x - y), mul: two((x, y) => x * y),
  div: (node, a, b, given) => apply(node, [a, b], given.rounding_mode === "floor" ? (x, y) => Math.floor(x / y) : given.rounding_mode === "trunc" ? (x, y) => Math.trunc(x / y) : (x, y) => x / y),
  atan2: two(Math.atan2), fmod: two((x, y) => x % y), remainder: two((x, y) => x - y * Math.floor(x / y)), pow: two((x, y) => y === 2 ? x * x : Math.pow(x, y)),
  maximum: two(Math.max), minimum: two(Math.min), bitwise_and: two((x, y) => x & y), bitwise_or: two((x, y) => x | y), logical_and: two((x, y) => x && y ? 1 : 0), logical_or: two((x, y) => x || y ? 1 : 0),
  eq: two((x, y) => x === y), ne: two((x, y) => x !== y), ge: two((x, y) => x >= y), gt: two((x, y) => x > y), le: two((x, y) => x <= y), lt: two((x, y) => x < y),
  where: (node, a, b, c) => apply(node, [a, b, c], (x, y, z) => x ? y : z),
  alias: reshaped, clone: reshaped, view: reshaped, squeeze: reshaped, unsqueeze: reshaped, _to_copy: (node, a) => apply(node, [a], (x) => x),
  expand: (node, a) => taken(node, a, () => repeated(a.shape, node.shape)),
  permute: (node, a, dims) => taken(node, a, () => { const own = steps(a.shape); return places(node.shape, dims.map((d) => own[axis(d, own.length)])); }),
  select: (node, a, dim, index) => taken(node, a, () => {
    const own = steps(a.shape), at = axis(dim, own.length);
    return places(node.shape, own.filter((_, d) => d !== at), own[at] * axis(index, a.shape[at]));
  }),
  slice: (node, a, dim, start, ...more) => taken(node, a, () => {
    const own = steps(a.shape), at = axis(typeof dim === "number" ? dim : 0, own.length), begin = typeof start === "number" ? start : 0, by = typeof more[1] === "number" ? more[1] : 1;
    return places(node.shape, own.map((one, d) => d === at ? one * by : one), own[at] * Math.max(0, axis(begin, a.shape[at])));
  }),
  diagonal: (node, a, offset, first, second) => taken(node, a, () => {
    const own = steps(a.shape), over = [typeof first === "number" ? first : 0, typeof second === "number" ? second : 1].map((one) => axis(one, own.length)), by = typeof offset === "number" ? offset : 0;
    return places(node.shape, [...own.filter((_, d) => !over.includes(d)), own[over[0]] + own[over[1]]], by >= 0 ? by * own[over[1]] : -by * own[over[0]]);
  }),
  linalg_solve_triangular: (node, a, b, given) => solved(node, a, b, given),
  flip: (node, a, dims) => taken(node, a, () => {
    const own = steps(a.shape), over = dims.map((d) => axis(d, own.length));
    return places(node.shape, own.map((one, d) => over.includes(d) ? -one : one), over.reduce((sum, d) => sum + own[d] * (a.shape[d] - 1), 0));
  }),
  constant_pad_nd: (node, a, pad, value) => {
    const { out, shape } = node, into = node.kept.into ??= (() => {
      const own = steps(shape), axes = shape.length, from = a.shape.map((_, d) => pad[2 * (axes - 1 - d)] ?? 0);
      return { map: places(a.shape, own, 0), from, own };
    })();
    out.fill(typeof value === "number" ? value : 0);
    const index = new Array(a.shape.length).fill(0);
    for (let i = 0; i < a.data.length; i++) {
      let at = 0, inside = true;
      for (let d = 0; d < index.length; d++) { const place = index[d] + into.from[d]; if (place < 0 || place >= shape[d]) inside = false; at += place * into.own[d]; }
      if (inside) out[at] = a.data[i];
      for (let d = index.length - 1; d >= 0; d--) { if (++index[d] < a.shape[d]) break; index[d] = 0; }
    }
    return { data: out, shape };
  },
  cat: (node, parts, dim) => {
    const { out, shape } = node, at = axis(typeof dim === "number" ? dim : 0, shape.length), inner = size(shape.slice(at + 1));
    let before = 0;
    for (const part of parts) {
      if (part.data.length === 0) continue;
      const run = part.shape[at] * inner, wide = shape[at] * inner;
      for (let row = 0; row * run < part.data.length; row++) for (let i = 0; i < run; i++) out[row * wide + before + i] = part.data[row * run + i];
      before += run;
    }
    return { data: out, shape };
  },
  split_with_sizes: (node, a, sizes, dim) => {
    const own = steps(a.shape), at = axis(typeof dim === "number" ? dim : 0, own.length);
    let begin = 0;
    return sizes.map((many) => {
      const shape = a.shape.map((one, d) => d === at ? many : one), map = places(shape, own, begin * own[at]), data = new a.data.constructor(map.length);
      for (let i = 0; i < map.length; i++) data[i] = a.data[map[i]];
      begin += many;
      return { data, shape };
    });
  },
  getitem: (node, parts, which) => parts[which],
  full: (node, _, value) => filled(node, value), full_like: (node, _, value) => filled(node, value),
  arange: (node, start, ...more) => {
    const by = typeof more[1] === "number" ? more[1] : 1, from = typeof more[0] === "number" ? start : 0;
    for (let i = 0; i < node.out.length; i++) node.out[i] = from + i * by;
    return { data: node.out, shape: node.shape };
  },
  sum: (node, a, dims) => reduced(node, a, Array.isArray(dims) ? dims : null, total), mean: (node, a, dims) => reduced(node, a, Array.isArray(dims) ? dims : null, (row) => total(row) / row.length),
  prod: (node, a, dim) => reduced(node, a, typeof dim === "number" ? [dim] : null, (row) => row.reduce((x, y) => x * y, 1)),
  var: (node, a, dims, given) => reduced(node, a, Array.isArray(dims) ? dims : null, (row) => { const mean = total(row) / row.length; return total(row.map((x) => (x - mean) ** 2)) / (row.length - (given.correction ?? 1)); }),
  amax: (node, a, dims) => reduced(node, a, Array.isArray(dims) ? dims : null, highest), amin: (node, a, dims) => reduced(node, a, Array.isArray(dims) ? dims : null, lowest),
  max: (node, a, dim, keep) => most(node, a, dim, keep, true), min: (node, a, dim, keep) => most(node, a, dim, keep, false),
  any: (node, a, dims) => reduced(node, a, typeof dims === "number" || Array.isArray(dims) ? [dims].flat() : null, (row) => row.some((x) => x)),
  argmax: (node, a, dim, keep) => best(node, a, typeof dim === "number" ? dim : null, keep, (x, y) => x > y), argmin: (node, a, dim, keep) => best(node, a, typeof dim === "number" ? dim : null, keep, (x, y) => x < y),
  _softmax: (node, a, dim) => along(node, a, dim, softmax), _log_softmax: (node, a, dim) => along(node, a, dim, logSoftmax),
  cumsum: (node, a, dim) => along(node, a, dim, (row) => { let sum = 0; return row.map((x) => sum += x); }),
  addmm: (node, bias, x, w) => product(node, x, w, bias), mm: (node, x, w) => product(node, x, w),
  bmm: (node, x, w) => {
    const [many, rows, inside] = x.shape, columns = w.shape[2], { out } = node;
    out.fill(0);
    for (let b = 0; b < many; b++) for (let r = 0; r < rows; r++) for (let k = 0; k < inside; k++) {
      const by = x.data[(b * rows + r) * inside + k];
      for (let j = 0; j < columns; j++) out[(b * rows + r) * columns + j] += by * w.data[(b * inside + k) * columns + j];
    }
    return { data: out, shape: node.shape };
  },
  convolution,
  _native_batch_norm_legit_no_training: (node, x, w, b, mean, variance, _, epsilon) => {
    const channels = x.shape[1], each = size(x.shape.slice(2)), out = new Float32Array(x.data.length);
    for (let i = 0; i < out.length; i++) { const c = Math.floor(i / each) % channels; out[i] = (x.data[i] - mean.data[c]) / Math.sqrt(variance.data[c] + epsilon) * (w ? w.data[c] : 1) + (b ? b.data[c] : 0); }
    return [{ data: out, shape: x.shape }];
  },
  native_layer_norm: (node, x, shape, w, b, epsilon) => { const each = size(shape); return standardised({ out: new Float32Array(x.data.length), shape: x.shape }, x, each, epsilon, (i) => i % each, w, b); },
  native_group_norm: (node, x, w, b, examples, channels, elements, groups, epsilon) => standardised({ out: new Float32Array(x.data.length), shape: x.shape }, x, channels / groups * elements, epsilon, (i) => Math.floor(i / elements) % channels, w, b),
  avg_pool2d: (node, x, kernel, stride, padding, ceil, counted) => pooled(node, x, kernel, Array.isArray(stride) ? stride : null, Array.isArray(padding) ? padding : 0, 0, (sum, value) => sum + value, (sum, seen, all) => sum / (counted === false ? seen : all)),
  _adaptive_avg_pool2d: (node, x) => {
    const [height, width] = x.shape.slice(-2), [tall, wide] = node.shape.slice(-2), { out } = node;
    for (let i = 0; i < out.length; i++) {
      const plane = Math.floor(i / (tall * wide)), row = Math.floor(i / wide) % tall, column = i % wide;
      const [top, bottom, left, right] = [Math.floor(row * height / tall), Math.ceil((row + 1) * height / tall), Math.floor(column * width / wide), Math.ceil((column + 1) * width / wide)];
      let sum = 0;
      for (let y = top; y < bottom; y++) for (let at = left; at < right; at++) sum += x.data[(plane * height + y) * width + at];
      out[i] = sum / ((bottom - top) * (right - left));
    }
    return { data: out, shape: node.shape };
  },
  max_pool2d_with_indices: (node, x, kernel, stride, padding) => {
    const [high, broad] = pair(kernel), [sy, sx] = Array.isArray(stride) && stride.length ? pair(stride) : [high, broad], [py, px] = Array.isArray(padding) ? pair(padding) : [0, 0];
    const shape = [...x.shape.slice(0, -2), Math.floor((x.shape.at(-2) + 2 * py - high) / sy) + 1, Math.floor((x.shape.at(-1) + 2 * px - broad) / sx) + 1];
    return [pooled({ out: new Float32Array(size(shape)), shape }, x, kernel, [sy, sx], [py, px], -Infinity, Math.max, (most) => most)];
  },
  upsample_nearest2d: (node, x) => taken(node, x, () => {
    const [height, width] = x.shape.slice(-2), [tall, wide] = node.shape.slice(-2), found = new Int32Array(size(node.shape));
    for (let i = 0; i < found.length; i++) found[i] = (Math.floor(i / (tall * wide)) * height + Math.floor((Math.floor(i / wide) % tall) * height / tall)) * width + Math.floor((i % wide) * width / wide);
    return found;
  }),
  embedding: (node, table, index) => { const map = chosen(table, [index]); return taken({ ...node, kept: {} }, table, () => map); },
  index: (node, a, indices) => taken({ ...node, kept: {} }, a, () => chosen(a, indices)),
  index_select: (node, a, dim, index) => { const by = new Array(a.shape.length).fill(null); by[axis(dim, by.length)] = index; return taken({ ...node, kept: {} }, a, () => chosen(a, by)); },
  index_put: (node, a, indices, values, adds) => {
    const { out } = node;
    out.set(a.data);
    if (isMask(indices)) { const map = repeated(indices[0].shape, indices[0].shape), each = out.length / map.length; for (let i = 0; i < out.length; i++) if (indices[0].data[Math.floor(i / each)]) out[i] = values.data[0]; return { data: out, shape: node.shape }; }
    const map = chosen(a, indices), one = values.data.length === 1;
    const from = one || values.data.length === map.length ? null : repeated(values.shape, putShape(a, indices));
    for (let i = 0; i < map.length; i++) { const value = values.data[one ? 0 : from ? from[i] : i]; out[map[i]] = adds === true ? out[map[i]] + value : value; }
    return { data: out, shape: node.shape };
  },
  gather: (node, a, dim, index) => {
    const own = steps(a.shape), at = axis(dim, own.length), base = node.kept.base ??= places(index.shape, own.map((one, d) => d === at ? 0 : one)), { out } = node;
    for (let i = 0; i < out.length; i++) out[i] = a.data[base[i] + index.data[i] * own[at]];
    return { data: out, shape: node.shape };
  },
  scatter: (node, a, dim, index, from) => {
    const own = steps(a.shape), at = axis(dim, own.length), { out } = node;
    const base = node.kept.base ??= places(index.shape, own.map((one, d) => d === at ? 0 : one)), source = typeof from === "number" ? null : node.kept.source ??= places(index.shape, steps(from.shape));
    out.set(a.data);
    for (let i = 0; i < base.length; i++) out[base[i] + index.data[i] * own[at]] = source ? from.data[source[i]] : from;
    return { data: out, shape: node.shape };
  },
  topk: (node, a, count, dim, largest) => sorted(a, typeof dim === "number" ? dim : -1, largest !== false, count), sort: (node, a, dim, descending) => sorted(a, typeof dim === "number" ? dim : -1, descending === true),
};

function putShape(a, indices) {
  const by = a.shape.map((_, place) => indices[place] ?? null), used = by.filter((one) => one), first = by.findIndex((one) => one), together = [];
  for (const one of used) one.shape.forEach((many, place) => { together[place] = Math.max(together[place] ?? 1, many); });
  return [...a.shape.slice(0, first), ...together, ...a.shape.filter((_, place) => !by[place] && place > first)];
}

function halves(bytes) {
  const short = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2), found = new Float32Array(short.length);
  for (let i = 0; i < short.length; i++) {
    const sign = short[i] & 0x8000 ? -1 : 1, power = (short[i] >> 10) & 31, rest = short[i] & 1023;
    found[i] = sign * (power === 0 ? rest * 2 ** -24 : power === 31 ? (rest ? NaN : Infinity) : (1 + rest / 1024) * 2 ** (power - 15));
  }
  return found;
}

// The tensors that graphs share, out of their bytes.
export function weightsOf(about, bytes) {
  let at = 0;
  return about.map(({ type, shape, bytes: many }) => {
    const part = bytes.slice(at, at + many);
    at += Math.ceil(many / 8) * 8;
    return { data: type === "h" ? halves(part) : new ARRAYS[type](part.buffer), shape };
  });
}

// A graph as a function: arrays in, one for each input and of its size; an array out that the next call writes over.
export function compiled(graph, weights) {
  const constants = graph.constants.map((number) => weights[number]), shift = graph.inputs.length + constants.length;
  const nodes = graph.nodes.map(([name, given, named, shape, type]) => ({ name, given, named, shape, out: ["view", "alias", "clone", "squeeze", "unsqueeze", "getitem"].includes(name) ? null : new ARRAYS[type](size(shape)), kept: {} }));
  const unknown = nodes.find((node) => !(node.name in operators));
  if (unknown) throw new Error(`this page does not know the operator ${unknown.name}`);
  const values = [];
  const filled = (given) => given === null ? null : Array.isArray(given) ? given.map(filled) : typeof given === "object" ? ("r" in given ? values[given.r] : Object.fromEntries(Object.entries(given).map(([key, one]) => [key, filled(one)]))) :
    given === "inf" ? Infinity : given === "-inf" ? -Infinity : given === "nan" ? NaN : given;
  return (...inputs) => {
    values.length = 0;
    graph.inputs.forEach(({ type, shape }, place) => values.push({ data: inputs[place] instanceof ARRAYS[type] ? inputs[place] : ARRAYS[type].from(inputs[place]), shape }));
    values.push(...constants);
    nodes.forEach((node, place) => { values[shift + place] = operators[node.name](node, ...node.given.map(filled), filled(node.named)); });
    return values[graph.output].data;
  };
}

// Rows `[count][width]` through a graph whose batch is fixed, as many at a time as it takes: `[count][width of the output]`.
export function rowsThrough(run, graph, batch, ...inputs) {
  const count = inputs[0].length, found = [];
  const wide = graph.inputs.map(({ shape }) => size(shape) / batch);
  for (let first = 0; first < count; first += batch) {
    const arrays = inputs.map((rows, which) => {
      const flat = new Float64Array(batch * wide[which]);
      for (let row = 0; row < batch; row++) flat.set(rows[Math.min(first + row, count - 1)], row * wide[which]);
      return flat;
    });
    const out = run(...arrays), each = out.length / batch;
    for (let row = 0; row < Math.min(batch, count - first); row++) found.push(out.slice(row * each, (row + 1) * each));
  }
  return found;
}
