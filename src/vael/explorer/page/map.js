// Points on a canvas, written pixel by pixel: 100,000 of them are drawn in a few milliseconds without a graphics card.
export const CLASSES = [[31, 104, 179], [213, 94, 0], [0, 158, 115], [204, 121, 167], [230, 159, 0], [86, 180, 233], [140, 107, 177],
  [127, 127, 127], [161, 96, 60], [90, 150, 20]];
const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];

export function ramp(share) {
  const at = Math.max(0, Math.min(1, share)) * (VIRIDIS.length - 1), low = Math.floor(at), rest = at - low;
  const next = VIRIDIS[Math.min(low + 1, VIRIDIS.length - 1)];
  return VIRIDIS[low].map((one, place) => Math.round(one + (next[place] - one) * rest));
}

export class CodeMap {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.x = this.y = new Float32Array(0);
    this.colours = new Uint8Array(0);
    this.view = { x: 0, y: 0, scale: 1 };
    this.probe = null; this.marks = []; this.lasso = null; this.frames = 0;
    new ResizeObserver(() => this.resized()).observe(canvas);
  }

  resized() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2), box = this.canvas.getBoundingClientRect();
    this.canvas.width = Math.max(1, Math.round(box.width * ratio));
    this.canvas.height = Math.max(1, Math.round(box.height * ratio));
    this.ratio = ratio;
    this.whole();
  }

  set(x, y, colours) {
    const moved = x !== this.x || y !== this.y;
    this.x = x; this.y = y; this.colours = colours;
    if (moved) this.whole(); else this.draw();
  }

  whole() {
    if (!this.x.length) return;
    let left = Infinity, right = -Infinity, low = Infinity, high = -Infinity;
    for (let i = 0; i < this.x.length; i++) {
      left = Math.min(left, this.x[i]); right = Math.max(right, this.x[i]);
      low = Math.min(low, this.y[i]); high = Math.max(high, this.y[i]);
    }
    const wide = right - left || 1, tall = high - low || 1;
    this.view = { x: (left + right) / 2, y: (low + high) / 2, scale: .92 * Math.min(this.canvas.width / wide, this.canvas.height / tall) };
    this.draw();
  }

  toScreen(x, y) {
    return [(x - this.view.x) * this.view.scale + this.canvas.width / 2, this.canvas.height / 2 - (y - this.view.y) * this.view.scale];
  }

  fromScreen(px, py) {
    return [(px - this.canvas.width / 2) / this.view.scale + this.view.x, (this.canvas.height / 2 - py) / this.view.scale + this.view.y];
  }

  zoom(factor, px = this.canvas.width / 2, py = this.canvas.height / 2) {
    const [x, y] = this.fromScreen(px, py);
    this.view.scale *= factor;
    const [after, beyond] = this.fromScreen(px, py);
    this.view.x += x - after; this.view.y += y - beyond;
    this.draw();
  }

  draw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => { this.asked = false; this.paint(); });
  }

  paint() {
    const { width, height } = this.canvas, image = this.context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer), many = this.x.length;
    const size = Math.round((many > 20000 ? 1 : many > 5000 ? 2 : many > 1000 ? 3 : 5) * (this.ratio || 1));
    const { x, y, scale } = this.view;
    for (let i = 0; i < many; i++) {
      const px = Math.round((this.x[i] - x) * scale + width / 2), py = Math.round(height / 2 - (this.y[i] - y) * scale);
      if (px < size || py < size || px >= width - size || py >= height - size) continue;
      const colour = 0xff000000 | (this.colours[3 * i + 2] << 16) | (this.colours[3 * i + 1] << 8) | this.colours[3 * i];
      for (let row = -(size >> 1); row < size - (size >> 1); row++) {
        for (let column = -(size >> 1); column < size - (size >> 1); column++) pixels[(py + row) * width + px + column] = colour;
      }
    }
    this.context.putImageData(image, 0, 0);
    const ink = getComputedStyle(this.canvas).color;
    for (const [x, y, text] of this.marks) this.mark(x, y, text, ink);
    if (this.probe) this.ring(ink);
    if (this.lasso) this.outline(ink);
    this.frames++;
  }

  mark(x, y, text, ink) {
    const [px, py] = this.toScreen(x, y), c = this.context;
    c.strokeStyle = ink; c.lineWidth = 2 * this.ratio;
    c.strokeRect(px - 5 * this.ratio, py - 5 * this.ratio, 10 * this.ratio, 10 * this.ratio);
    c.fillStyle = ink; c.font = `${13 * this.ratio}px sans-serif`;
    c.fillText(text, px + 8 * this.ratio, py - 6 * this.ratio);
  }

  ring(ink) {
    const [px, py] = this.toScreen(...this.probe), c = this.context;
    for (const [colour, wide] of [["#fff", 6], [ink, 3]]) {
      c.beginPath(); c.arc(px, py, 10 * this.ratio, 0, 2 * Math.PI);
      c.strokeStyle = colour; c.lineWidth = wide * this.ratio; c.stroke();
    }
  }

  outline(ink) {
    const c = this.context;
    c.beginPath();
    this.lasso.forEach(([px, py], place) => place ? c.lineTo(px, py) : c.moveTo(px, py));
    c.strokeStyle = ink; c.setLineDash([6, 4]); c.lineWidth = 1.5 * this.ratio; c.stroke(); c.setLineDash([]);
  }

  nearest(px, py, within = 14) {
    let best = -1, least = (within * this.ratio) ** 2;
    const { x, y, scale } = this.view, { width, height } = this.canvas;
    for (let i = 0; i < this.x.length; i++) {
      const dx = (this.x[i] - x) * scale + width / 2 - px, dy = height / 2 - (this.y[i] - y) * scale - py, far = dx * dx + dy * dy;
      if (far < least) { least = far; best = i; }
    }
    return best;
  }

  inside() {
    const chosen = [], path = this.lasso;
    for (let i = 0; i < this.x.length; i++) {
      const [px, py] = this.toScreen(this.x[i], this.y[i]);
      let within = false;
      for (let a = 0, b = path.length - 1; a < path.length; b = a++) {
        if (path[a][1] > py !== path[b][1] > py &&
          px < ((path[b][0] - path[a][0]) * (py - path[a][1])) / (path[b][1] - path[a][1]) + path[a][0]) within = !within;
      }
      if (within) chosen.push(i);
    }
    return chosen;
  }
}
