/* Views of kind "image": a photo before and after, its signed effect and its label, with a close-up of the defect. */

const PLANES = 3;

/* Decompresses a zlib stream of known size. The browser's own decoder answers later, too late for a page in print. */
function inflate(bytes, size) {
  const out = new Uint8Array(size);
  let at = 2, hold = 0, held = 0, n = 0;
  const bits = (count) => {
    while (held < count) {
      if (at >= bytes.length) throw new Error("a packed picture ends too early");
      hold |= bytes[at++] << held;
      held += 8;
    }
    const value = hold & ((1 << count) - 1);
    hold >>>= count;
    held -= count;
    return value;
  };
  const table = (lengths) => {
    const count = new Uint16Array(16), from = new Uint16Array(16), symbols = new Uint16Array(lengths.length);
    for (const length of lengths) count[length]++;
    count[0] = 0;
    for (let i = 1; i < 15; i++) from[i + 1] = from[i] + count[i];
    lengths.forEach((length, symbol) => { if (length) symbols[from[length]++] = symbol; });
    return { count, symbols };
  };
  const symbol = ({ count, symbols }) => {
    let code = 0, first = 0, index = 0;
    for (let length = 1; length < 16; length++) {
      code |= bits(1);
      if (code - first < count[length]) return symbols[index + code - first];
      index += count[length];
      first = (first + count[length]) << 1;
      code <<= 1;
    }
    throw new Error("a packed picture is damaged");
  };
  /* Base and extra bits of the codes of lengths and of distances. */
  const extra = (i, per) => Math.max(0, Math.floor(i / per) - 1);
  const bases = (count, per, first) => Array.from({ length: count }, (_, i) => {
    const base = first;
    first += 1 << extra(i, per);
    return base;
  });
  const long = bases(28, 4, 3), far = bases(30, 2, 1);
  const fixed = () => [table([...Array(288).keys()].map((i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8))), table(Array(30).fill(5))];
  const dynamic = () => {
    const literals = bits(5) + 257, distances = bits(5) + 1, coded = bits(4) + 4, order = Array(19).fill(0), lengths = [];
    for (let i = 0; i < coded; i++) order[[16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15][i]] = bits(3);
    const codes = table(order);
    while (lengths.length < literals + distances) {
      const s = symbol(codes);
      const [value, times] = s < 16 ? [s, 1] : s === 16 ? [lengths.at(-1), 3 + bits(2)] : [0, s === 17 ? 3 + bits(3) : 11 + bits(7)];
      for (let k = 0; k < times; k++) lengths.push(value);
    }
    return [table(lengths.slice(0, literals)), table(lengths.slice(literals))];
  };
  for (let last = 0; !last;) {
    last = bits(1);
    const kind = bits(2);
    if (kind === 0) {
      hold = held = 0;
      const length = bytes[at] | (bytes[at + 1] << 8);
      out.set(bytes.subarray(at + 4, at + 4 + length), n);
      at += 4 + length;
      n += length;
      continue;
    }
    const [literal, distance] = kind === 1 ? fixed() : dynamic();
    for (let s = symbol(literal); s !== 256; s = symbol(literal)) {
      if (s < 256) { out[n++] = s; continue; }
      const length = s === 285 ? 258 : long[s - 257] + bits(extra(s - 257, 4)), d = symbol(distance);
      const back = far[d] + bits(extra(d, 2));
      for (let k = 0; k < length; k++, n++) out[n] = out[n - back];
    }
  }
  if (n !== size) throw new Error(`a packed picture holds ${n} bytes instead of ${size}`);
  return out;
}

/* Undoes the prediction: each value was stored as what the guess from left, above and above left leaves. */
function restored(rest, planes, h, w) {
  for (let p = 0; p < planes; p++) for (let y = 0, i = p * h * w; y < h; y++) for (let x = 0; x < w; x++, i++) {
    const a = x ? rest[i - 1] : 0, b = y ? rest[i - w] : 0, c = x && y ? rest[i - w - 1] : 0;
    rest[i] += Math.max(Math.min(a, b), Math.min(Math.max(a, b), a + b - c));
  }
  return rest;
}

/* One layer of the view: its pixels before and after as grey levels, its effects, and its label as two outlines. */
function unlayered(data, source) {
  const [h, w] = source.size, [top, left, bottom, right] = source.box, n = h * w, planes = data.channels;
  const read = (name, size) => inflate(unpack(source[name], Uint8Array), size);
  const before = restored(read("before", planes * n), planes, h, w), after = read("after", planes * n);
  if (planes === PLANES) for (let i = 0; i < n; i++) {
    const green = before[i], red = before[n + i] + green - 128, blue = before[2 * n + i] + green - 128;
    before[i] = red;
    before[n + i] = green;
    before[2 * n + i] = blue;
  }
  for (let i = 0; i < planes * n; i++) after[i] += before[i];
  const packed = read("mask", Math.ceil(n / 8)), effect = new Int8Array(read("effect", n).buffer);
  const mask = Uint8Array.from({ length: n }, (_, i) => (packed[i >> 3] >> (7 - (i & 7))) & 1);
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
  const picture = document.createElement("canvas");
  picture.width = w;
  picture.height = h;
  return { box: source.box, h, w, before, after, effect, mask, inside, outline, picture };
}

function image(stage, redraw) {
  const state = { mode: "after", label: true, zoom: 1, x: 0, y: 0 };
  const frame = make("div", "frame", "", stage), canvas = make("canvas", "", "", frame);
  const probe = make("div", "probe", "", frame);
  const controls = make("div", "controls", "", stage), legend = make("div", "legend", "", stage);
  const segments = make("div", "segments", "", controls);
  const context = canvas.getContext("2d");
  let data, layers;

  segments.setAttribute("role", "group");
  segments.setAttribute("aria-label", "What is shown");
  const modes = MODES.map((mode) => button(mode, segments, () => show({ mode })));
  const label = button("label", controls, () => show({ label: !state.label }));
  label.title = "Outline the labelled pixels";
  canvas.tabIndex = 0;
  canvas.title = "Click to enlarge the defect";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Photo of ${stage.dataset.name}. Enter shows the defect enlarged, arrow keys move, plus and minus zoom, 0 resets.`);

  function load(source) {
    data = source;
    layers = data.layers.map((layer) => unlayered(data, layer));
    reset();
  }

  function reset() { Object.assign(state, { zoom: 1, x: data.size[1] / 2, y: data.size[0] / 2 }); }

  /* Pixels of the screen for a pixel of the photo when all of it is shown. */
  const fit = () => Math.min(canvas.clientWidth / data.size[1], canvas.clientHeight / data.size[0]);
  const middle = ([top, left, bottom, right]) => [(left + right) / 2, (top + bottom) / 2];
  const filling = ([top, left, bottom, right], width, height) => Math.min(width / (right - left), height / (bottom - top));
  const closest = () => Math.max(1.5, filling(data.focus, canvas.clientWidth, canvas.clientHeight) / fit());

  function tint({ h, w, before, after, effect, mask, picture }) {
    const n = h * w, pixels = new ImageData(w, h), out = pixels.data, from = state.mode === "before" ? before : after;
    const neutral = colour("--neutral"), level = (i, c) => Math.min(255, data.step * from[data.channels === PLANES ? c * n + i : i]);
    for (let i = 0; i < n; i++) {
      let rgb = [level(i, 0), level(i, 1), level(i, 2)];
      if (state.mode === "difference") {
        /* The photo stays as a faint ground: without it nobody sees where on the part the defect lies. */
        const light = 0.6 + (0.45 * (0.3 * rgb[0] + 0.59 * rgb[1] + 0.11 * rgb[2])) / 255;
        rgb = neutral.map((value) => value * light);
        if (mask[i]) rgb = ramp(effect[i] / 127, rgb);
      }
      out.set([...rgb, 255], 4 * i);
    }
    picture.getContext("2d").putImageData(pixels, 0, 0);
  }

  function explain() {
    legend.replaceChildren();
    const shown = make("span", "", `${data.size[1]} \u00d7 ${data.size[0]} px`, legend);
    if (data.window) shown.append(", contrast stretched");
    if (state.mode === "difference" && data.peak > 0) {
      shown.remove();
      const box = make("div", "ramp", "", legend), bar = make("i", "", "", box), ticks = make("div", "ticks", "", box);
      const stops = STOPS.map(([t]) => `rgb(${ramp(t, colour("--neutral")).map(Math.round).join(" ")}) ${50 + 50 * t}%`);
      bar.style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
      for (const [before, value, after] of [["", -data.peak, " darker"], ["", 0, ""], ["lighter ", data.peak, ""]]) {
        const tick = make("span", "", before, ticks);
        make("b", "", signed(100 * value) + (value ? "\u00a0%" : ""), tick);
        tick.append(after);
      }
    }
    if (state.label) {
      const item = make("span", "swatch", "", legend);
      make("i", "", "", item).style.background = `rgb(${LABEL.join(" ")})`;
      item.append(data.instances > 1 ? `labelled, ${data.instances} defects` : "labelled");
    }
  }

  /* The photo with (x, y) in the middle of the window [left, top, width, height], all in pixels of the screen. */
  function scene([left, top, width, height], scale, x, y, ratio) {
    context.save();
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.beginPath();
    context.rect(left, top, width, height);
    context.clip();
    context.translate(left + width / 2 - x * scale, top + height / 2 - y * scale);
    context.scale(scale, scale);
    for (const { box: [t, l, b, r], w, picture } of layers) {
      /* Far enlarged, a pixel is to look like one. */
      context.imageSmoothingEnabled = (scale * (r - l)) / w < 3;
      context.imageSmoothingQuality = "high";
      context.drawImage(picture, l, t, r - l, b - t);
    }
    if (state.label) layers.forEach((layer, i) => {
      context.save();
      const whole = new Path2D(), above = layers[i + 1]?.box;
      whole.rect(0, 0, data.size[1], data.size[0]);
      if (above) {
        const rest = new Path2D(whole);
        rest.rect(above[1], above[0], above[3] - above[1], above[2] - above[0]);
        context.clip(rest, "evenodd");
      }
      /* Outside of what it surrounds, so that a thin defect is not hidden by its own label. */
      whole.addPath(layer.inside);
      context.clip(whole, "evenodd");
      context.lineCap = "square";
      for (const [style, wide] of [["rgb(255 255 255 / 70%)", 4.2], [`rgb(${LABEL.join(" ")})`, 2.6]]) {
        context.strokeStyle = style;
        context.lineWidth = wide / scale;
        context.stroke(layer.outline);
      }
      context.restore();
    });
    context.restore();
  }

  /* A small defect in a large photo: a lens in the corner farthest from it, and a frame around where it is. */
  function lens(scale, ratio) {
    const width = canvas.clientWidth, height = canvas.clientHeight, [top, left, bottom, right] = data.focus;
    const side = 0.42 * height, [x, y] = middle(data.focus), close = Math.min(side / Math.max(right - left, bottom - top), 8);
    if (state.zoom !== 1 || close < 2.6 * scale) return;
    const [px, py] = [width / 2 + (x - data.size[1] / 2) * scale, height / 2 + (y - data.size[0] / 2) * scale];
    const at = [px > width / 2 ? 8 : width - side - 8, py > height / 2 ? 8 : height - side - 8];
    scene([...at, side, side], close, x, y, ratio);
    context.save();
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const reach = side / close * scale;
    for (const [style, wide] of [["rgb(0 0 0 / 45%)", 3], ["rgb(255 255 255 / 92%)", 1.5]]) {
      context.strokeStyle = style;
      context.lineWidth = wide;
      context.strokeRect(...at, side, side);
      context.strokeRect(px - reach / 2, py - reach / 2, reach, reach);
    }
    context.restore();
  }

  function draw(fine) {
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!data || !width) return false;
    const ratio = fine ? Math.min(Math.max(2, window.devicePixelRatio), 1600 / width) : 1;
    const w = Math.round(width * ratio), h = Math.round(height * ratio);
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, w, h);
    const scale = fit() * state.zoom;
    scene([0, 0, width, height], scale, state.x, state.y, w / width);
    lens(scale, w / width);
    canvas.classList.toggle("near", state.zoom > 1);
    return true;
  }

  function show(change) {
    Object.assign(state, change);
    modes.forEach((node, i) => press(node, MODES[i] === state.mode));
    press(label, state.label);
    if (data) { layers.forEach(tint); explain(); redraw(true); }
  }

  function place(x, y) {
    /* The photo fills the view, or lies in its middle where it is the smaller of the two. */
    const scale = fit() * state.zoom, room = [canvas.clientWidth, canvas.clientHeight].map((length) => length / 2 / scale);
    [state.x, state.y] = [x, y].map((value, k) => {
      const length = data.size[1 - k];
      return 2 * room[k] >= length ? length / 2 : Math.min(length - room[k], Math.max(room[k], value));
    });
    redraw(true);
  }

  function nearer(on) {
    if (!data) return;
    state.zoom = on ? closest() : 1;
    place(...(on ? middle(data.focus) : [data.size[1] / 2, data.size[0] / 2]));
  }

  function zoom(factor, [x, y] = [state.x, state.y]) {
    const wanted = Math.min(Math.max(1, 32 / fit()), Math.max(1, state.zoom * factor)), f = state.zoom / wanted;
    state.zoom = wanted;
    place(x + (state.x - x) * f, y + (state.y - y) * f);
  }

  /* Where on the photo an event is. */
  const under = (event) => {
    const box = canvas.getBoundingClientRect(), scale = fit() * state.zoom;
    return [state.x + (event.clientX - box.left - box.width / 2) / scale, state.y + (event.clientY - box.top - box.height / 2) / scale];
  };

  const held = new Map();
  let moved = false;
  canvas.addEventListener("pointerdown", (event) => {
    if (!data || event.button > 0) return;
    if (!held.size) moved = false;
    held.set(event.pointerId, event);
    canvas.setPointerCapture(event.pointerId);
    probe.textContent = "";
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!data) return;
    const was = held.get(event.pointerId);
    if (!was) { if (event.pointerType === "mouse") tell(under(event)); return; }
    const others = [...held.values()].filter(({ pointerId }) => pointerId !== event.pointerId);
    const dx = event.clientX - was.clientX, dy = event.clientY - was.clientY;
    if (!moved && !others.length && Math.hypot(dx, dy) < 4) return;
    moved = true;
    held.set(event.pointerId, event);
    const far = (one) => Math.hypot(one.clientX - others[0].clientX, one.clientY - others[0].clientY) || 1;
    if (others.length) zoom(far(event) / far(was), under(others[0]));
    else place(state.x - dx / fit() / state.zoom, state.y - dy / fit() / state.zoom);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (held.delete(event.pointerId) && !moved && data) nearer(state.zoom === 1);
  });
  canvas.addEventListener("pointercancel", (event) => held.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => { probe.textContent = ""; });
  canvas.addEventListener("wheel", (event) => {
    /* A wheel over a view that was not clicked scrolls the page: a grid of views must not trap it. */
    if (!data || !(event.ctrlKey || document.activeElement === canvas)) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.04 : 0.0014) * (event.ctrlKey ? 4 : 1)), under(event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!data || event.ctrlKey || event.metaKey || event.altKey || (moves && state.zoom === 1)) return;
    const step = (0.1 * canvas.clientWidth) / fit() / state.zoom;
    if (moves) place(state.x + step * moves[0], state.y + step * moves[1]);
    else if (event.key === "Enter") nearer(state.zoom === 1);
    else if (event.key === "+" || event.key === "=") zoom(1.25);
    else if (event.key === "-") zoom(1 / 1.25);
    else if (event.key === "0" || event.key === "Home") nearer(false);
    else return;
    event.preventDefault();
  });

  /* What lies under the pointer, by the finest layer there. */
  function tell([x, y]) {
    probe.textContent = "";
    for (const { box: [top, left, bottom, right], h, w, effect, mask } of layers) {
      if (x < left || y < top || x >= right || y >= bottom) continue;
      const i = Math.floor(((y - top) / (bottom - top)) * h) * w + Math.floor(((x - left) / (right - left)) * w);
      const change = mask[i] ? `  effect ${signed((100 * data.peak * effect[i]) / 127)}\u00a0%` : "";
      probe.textContent = `x ${Math.floor(x)}  y ${Math.floor(y)}${change}`;
    }
  }

  show({});
  return { load, draw, show, modes: MODES };
}
