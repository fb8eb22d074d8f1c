/* Layers of a photo's view: pixels, effects, and what is marked in it as areas and outlines. */

const PLANES = 3;

/* Undoes the prediction: each value was stored as what the guess from left, above and above left leaves. */
function restored(rest, planes, h, w) {
  for (let p = 0; p < planes; p++) for (let y = 0, i = p * h * w; y < h; y++) for (let x = 0; x < w; x++, i++) {
    const a = x ? rest[i - 1] : 0, b = y ? rest[i - w] : 0, c = x && y ? rest[i - w - 1] : 0;
    rest[i] += Math.max(Math.min(a, b), Math.min(Math.max(a, b), a + b - c));
  }
  return rest;
}

/* Marked cells as one area and one outline, in pixels of the photo. */
function outlined(mask, h, w, [top, left, bottom, right]) {
  const inside = new Path2D(), outline = new Path2D(), sx = (right - left) / w, sy = (bottom - top) / h;
  const line = (x0, y0, x1, y1) => {
    outline.moveTo(left + x0 * sx, top + y0 * sy);
    outline.lineTo(left + x1 * sx, top + y1 * sy);
  };
  const at = (y, x) => (y >= 0 && x >= 0 && y < h && x < w ? mask[y * w + x] : 0);
  for (let y = 0; y <= h; y++) for (let x = 0, from = -1; x <= w; x++) {
    if (at(y, x)) { if (from < 0) from = x; }
    else if (from >= 0) { inside.rect(left + from * sx, top + y * sy, (x - from) * sx, sy); from = -1; }
  }
  for (let y = 0; y <= h; y++) for (let x = 0, from = -1; x <= w; x++) {
    if (x < w && at(y, x) !== at(y - 1, x)) { if (from < 0) from = x; }
    else if (from >= 0) { line(from, y, x, y); from = -1; }
  }
  for (let x = 0; x <= w; x++) for (let y = 0, from = -1; y <= h; y++) {
    if (y < h && at(y, x) !== at(y, x - 1)) { if (from < 0) from = y; }
    else if (from >= 0) { line(x, from, x, y); from = -1; }
  }
  return { inside, outline };
}

/* One layer of the view: its pixels before and after as grey levels, its effects, its label, where defects may lie. */
function unlayered(data, source) {
  const [h, w] = source.size, n = h * w, planes = data.channels;
  const read = (name, size) => inflate(unpack(source[name], Uint8Array), size);
  const before = restored(read("before", planes * n), planes, h, w), after = read("after", planes * n);
  if (planes === PLANES) for (let i = 0; i < n; i++) {
    const green = before[i], red = before[n + i] + green - 128, blue = before[2 * n + i] + green - 128;
    before[i] = red;
    before[n + i] = green;
    before[2 * n + i] = blue;
  }
  for (let i = 0; i < planes * n; i++) after[i] += before[i];
  const effect = new Int8Array(read("effect", n).buffer), bits = (name) => {
    const packed = read(name, Math.ceil(n / 8));
    return Uint8Array.from({ length: n }, (_, i) => (packed[i >> 3] >> (7 - (i & 7))) & 1);
  };
  const mask = bits("mask"), part = source.foreground ? outlined(bits("foreground"), h, w, source.box) : null;
  let most = 0;
  for (let i = 0; i < planes * n; i++) most = Math.max(most, Math.abs(after[i] - before[i]));
  const picture = document.createElement("canvas");
  picture.width = w;
  picture.height = h;
  return { box: source.box, h, w, before, after, effect, mask, part, most, ...outlined(mask, h, w, source.box), picture };
}
