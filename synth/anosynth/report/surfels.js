/* Points drawn as a surface, without WebGL: small discs blended into a depth buffer. */

const LIGHT = [-0.3, 0.45, 0.84];
const NEIGHBOURS = 12;

/* Each point becomes a small disc: its normal from the plane through its neighbours, its size from their distance.
   At an edge, where the neighbours lie to one side, it is smaller, so that the edge stays straight. */
function surfels(group, spread) {
  const { n, at, normal, radius } = group;
  if (n === 0) return group;
  const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
  for (let i = 0; i < 3 * n; i++) { low[i % 3] = Math.min(low[i % 3], at[i]); high[i % 3] = Math.max(high[i % 3], at[i]); }
  const size = Math.hypot(high[0] - low[0], high[1] - low[1], high[2] - low[2]);
  const cell = (1.7 * size) / Math.sqrt(n) || 1;
  const dims = [0, 1, 2].map((c) => Math.floor((high[c] - low[c]) / cell) + 3);
  const slot = new Int32Array(n), start = new Int32Array(dims[0] * dims[1] * dims[2] + 1), order = new Int32Array(n);
  for (let i = 0; i < n; i++) {
    const [x, y, z] = [0, 1, 2].map((c) => Math.floor((at[3 * i + c] - low[c]) / cell) + 1);
    slot[i] = (z * dims[1] + y) * dims[0] + x;
    start[slot[i] + 1]++;
  }
  for (let i = 1; i < start.length; i++) start[i] += start[i - 1];
  const fill = start.slice();
  for (let i = 0; i < n; i++) order[fill[slot[i]]++] = i;
  const near = new Int32Array(NEIGHBOURS), far = new Float64Array(NEIGHBOURS);
  const around = new Int32Array(n * NEIGHBOURS).fill(-1), raw = new Float32Array(3 * n);
  for (let i = 0; i < n; i++) {
    const x = at[3 * i], y = at[3 * i + 1], z = at[3 * i + 2];
    let count = 0;
    for (let dz = -1; dz <= 1; dz++) for (let dy = -1; dy <= 1; dy++) {
      const row = slot[i] + (dz * dims[1] + dy) * dims[0];
      for (let k = start[row - 1]; k < start[row + 2]; k++) {
        const j = order[k], d = (at[3 * j] - x) ** 2 + (at[3 * j + 1] - y) ** 2 + (at[3 * j + 2] - z) ** 2;
        if (count === NEIGHBOURS && d >= far[count - 1]) continue;
        let place = count < NEIGHBOURS ? count++ : count - 1;
        for (; place > 0 && far[place - 1] > d; place--) { far[place] = far[place - 1]; near[place] = near[place - 1]; }
        far[place] = d;
        near[place] = j;
      }
    }
    radius[i] = count > 3 ? spread * Math.sqrt(far[Math.min(count, 7) - 1]) : 0;
    around.set(near.subarray(0, count), i * NEIGHBOURS);
    if (plane(at, near, count, raw, i) > 0.3 * Math.sqrt(far[count - 1])) radius[i] *= 0.75;
  }
  smooth(raw, around, normal);
  const usual = Float32Array.from(radius).sort()[n >> 1] || size / Math.sqrt(n);
  for (let i = 0; i < n; i++) radius[i] = Math.min(Math.max(radius[i], 0.92 * usual), 1.6 * usual);
  return group;
}

function plane(at, near, count, normal, i) {
  let mx = 0, my = 0, mz = 0, xx = 0, xy = 0, xz = 0, yy = 0, yz = 0, zz = 0;
  for (let k = 0; k < count; k++) { mx += at[3 * near[k]]; my += at[3 * near[k] + 1]; mz += at[3 * near[k] + 2]; }
  mx /= count; my /= count; mz /= count;
  for (let k = 0; k < count; k++) {
    const x = at[3 * near[k]] - mx, y = at[3 * near[k] + 1] - my, z = at[3 * near[k] + 2] - mz;
    xx += x * x; xy += x * y; xz += x * z; yy += y * y; yz += y * z; zz += z * z;
  }
  /* Smallest eigenvalue of the symmetric 3 x 3 in closed form, then its vector as a cross product of two rows. */
  const q = (xx + yy + zz) / 3, a = xx - q, b = yy - q, c = zz - q;
  const p = Math.sqrt((a * a + b * b + c * c + 2 * (xy * xy + xz * xz + yz * yz)) / 6) || 1;
  const det = (a * (b * c - yz * yz) - xy * (xy * c - yz * xz) + xz * (xy * yz - b * xz)) / (2 * p * p * p);
  const least = q + 2 * p * Math.cos(Math.acos(Math.min(1, Math.max(-1, det))) / 3 + (2 * Math.PI) / 3);
  const rows = [[xx - least, xy, xz], [xy, yy - least, yz], [xz, yz, zz - least]];
  let best = 0, found = [0, 0, 1];
  for (const [r, s] of [[0, 1], [0, 2], [1, 2]]) {
    const u = rows[r], v = rows[s];
    const w = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    const length = Math.hypot(...w);
    if (length > best) { best = length; found = w.map((value) => value / length); }
  }
  normal.set(found, 3 * i);
  return Math.hypot(mx - at[3 * i], my - at[3 * i + 1], mz - at[3 * i + 2]);
}

/* A few neighbours in a line give a plane at random; the mean over the neighbours' normals outvotes it. */
function smooth(raw, around, normal) {
  for (let i = 0; 3 * i < raw.length; i++) {
    let a = 0, b = 0, c = 0;
    for (let k = i * NEIGHBOURS; k < (i + 1) * NEIGHBOURS && around[k] >= 0; k++) {
      const j = 3 * around[k], side = a * raw[j] + b * raw[j + 1] + c * raw[j + 2] < 0 ? -1 : 1;
      a += side * raw[j]; b += side * raw[j + 1]; c += side * raw[j + 2];
    }
    const length = Math.hypot(a, b, c) || 1;
    normal.set([a / length, b / length, c / length], 3 * i);
  }
}

/* Buffers shared by all views: only one is painted at a time. A disc is its centre, radius, slopes, colour, weight
   and how far behind the foremost surface it still counts as part of it. */
const DISC = 11;
let depth = new Float32Array(0), blend = depth, discs = depth, pixels = new Uint32Array(0);
function buffers(size, count) {
  if (size > depth.length) { depth = new Float32Array(size); blend = new Float32Array(4 * size); }
  if (count * DISC > discs.length) discs = new Float32Array(count * DISC);
  if (pixels.length !== size) pixels = new Uint32Array(size);
  depth.fill(-Infinity, 0, size);
  blend.fill(0, 0, 4 * size);
}

function paint(context, groups, turn, scale, cx, cy) {
  const w = context.canvas.width, h = context.canvas.height;
  buffers(w * h, groups.reduce((sum, { n }) => sum + n, 0));
  let count = 0;
  for (const group of groups) count = project(group, turn, scale, cx, cy, count);
  raster(count, w, h, false);
  raster(count, w, h, true);
  for (let i = 0; i < w * h; i++) {
    const sum = blend[4 * i + 3];
    if (sum === 0) { pixels[i] = 0; continue; }
    const r = blend[4 * i] / sum, g = blend[4 * i + 1] / sum, b = blend[4 * i + 2] / sum;
    pixels[i] = 0xff000000 | (Math.min(255, b) << 16) | (Math.min(255, g) << 8) | Math.min(255, r);
  }
  context.putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), w, h), 0, 0);
}

function project({ n, at, normal, radius, rgb, shrink = 1, flat = false, weight = 1, slack = 0 }, m, scale, cx, cy, count) {
  for (let i = 0; i < n; i++) {
    const x = at[3 * i], y = at[3 * i + 1], z = at[3 * i + 2];
    const a = normal[3 * i], b = normal[3 * i + 1], c = normal[3 * i + 2];
    let nx = m[0] * a + m[1] * b + m[2] * c, ny = m[3] * a + m[4] * b + m[5] * c, nz = m[6] * a + m[7] * b + m[8] * c;
    if (nz < 0) { nx = -nx; ny = -ny; nz = -nz; }
    /* Discs of the far side peep out at the outline with their normals flipped: there light comes from the front only. */
    const side = Math.min(1, 2 * nz), steep = flat ? 0 : 1 / Math.max(nz, 0.25);
    const lit = flat ? 1 : 0.5 + 0.57 * Math.max(0, side * (nx * LIGHT[0] + ny * LIGHT[1]) + nz * LIGHT[2]);
    const k = DISC * count++;
    discs[k] = cx + scale * (m[0] * x + m[1] * y + m[2] * z);
    discs[k + 1] = cy - scale * (m[3] * x + m[4] * y + m[5] * z);
    discs[k + 2] = scale * (m[6] * x + m[7] * y + m[8] * z);
    discs[k + 3] = Math.max(0.75, scale * radius[i] * shrink);
    discs[k + 4] = -nx * steep;
    discs[k + 5] = ny * steep;
    discs[k + 6] = lit * rgb[3 * i];
    discs[k + 7] = lit * rgb[3 * i + 1];
    discs[k + 8] = lit * rgb[3 * i + 2];
    discs[k + 9] = weight;
    discs[k + 10] = scale * Math.max(slack, 0.8 * radius[i]);
  }
  return count;
}

/* First pass: how near the surface is at each pixel. Second: blend all discs that lie at that surface. A disc is the
   ellipse dx^2 + dy^2 + (gx dx + gy dy)^2 <= r^2; each of its rows of pixels is an interval. */
function raster(count, w, h, second) {
  for (let i = 0; i < count; i++) {
    const k = DISC * i, px = discs[k], py = discs[k + 1], pz = discs[k + 2], r = discs[k + 3], r2 = r * r;
    const gx = discs[k + 4], gy = discs[k + 5], behind = discs[k + 10], lead = 1 + gx * gx;
    const top = Math.max(0, Math.ceil(py - r)), end = Math.min(h - 1, Math.floor(py + r));
    for (let v = top; v <= end; v++) {
      const dy = v - py, half = gx * gy * dy, room = half * half - lead * (dy * dy * (1 + gy * gy) - r2);
      if (room < 0) continue;
      const wide = Math.sqrt(room), from = Math.max(0, Math.ceil(px - (half + wide) / lead));
      const to = Math.min(w - 1, Math.floor(px + (wide - half) / lead));
      for (let u = from, q = v * w + from; u <= to; u++, q++) {
        const dx = u - px, dz = gx * dx + gy * dy, near = pz + dz;
        if (!second) { if (near > depth[q]) depth[q] = near; continue; }
        if (near < depth[q] - behind) continue;
        const g = 1 - (dx * dx + dy * dy + dz * dz) / r2, f = discs[k + 9] * (g * g + 1e-4);
        blend[4 * q] += f * discs[k + 6];
        blend[4 * q + 1] += f * discs[k + 7];
        blend[4 * q + 2] += f * discs[k + 8];
        blend[4 * q + 3] += f;
      }
    }
  }
}

/* Rows of the returned matrix: right, up, towards the viewer; z is up unless one looks along it. */
function looking(t) {
  const pole = Math.abs(t[2]) < 0.9 ? [0, 0, 1] : [0, 1, 0];
  const cross = (u, v) => [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
  const right = cross(pole, t), length = Math.hypot(...right), r = right.map((value) => value / length);
  return [...r, ...cross(t, r), ...t];
}

function turned(m, dx, dy) {
  const [c, s, d, t] = [Math.cos(dx), Math.sin(dx), Math.cos(dy), Math.sin(dy)];
  const out = m.slice();
  for (let k = 0; k < 3; k++) {
    const x = m[k], y = m[3 + k], z = m[6 + k], z1 = c * z - s * x;
    out[k] = c * x + s * z;
    out[3 + k] = d * y - t * z1;
    out[6 + k] = d * z1 + t * y;
  }
  return out;
}
