/* Views of kind "cloud": a part before and after, its signed heights and its label. */

const MODES = ["before", "after", "difference"];
const LABEL = [0, 158, 115];
const OTHER = [240, 148, 20];
/* Signed height: blue inward, red outward; readable with any colour vision by hue and by lightness. */
const STOPS = [[-1, [16, 62, 142]], [-0.5, [52, 122, 205]], [-0.08, [150, 190, 228]], [0, null],
  [0.08, [240, 180, 158]], [0.5, [216, 82, 62]], [1, [142, 10, 32]]];

function ramp(t, neutral) {
  let k = 1;
  while (k < STOPS.length - 1 && t > STOPS[k][0]) k++;
  const [t0, a] = STOPS[k - 1], [t1, b] = STOPS[k];
  const f = (t - t0) / (t1 - t0), from = a ?? neutral, to = b ?? neutral;
  return [0, 1, 2].map((c) => from[c] + f * (to[c] - from[c]));
}

/* Into a legend: the colours of signed effects over what their ends and their middle say, each [before, value, after]. */
function scaled(legend, neutral, ends) {
  const box = make("div", "ramp", "", legend), bar = make("i", "", "", box), ticks = make("div", "ticks", "", box);
  const stops = STOPS.map(([t]) => `rgb(${ramp(t, neutral).map(Math.round).join(" ")}) ${50 + 50 * t}%`);
  bar.style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
  for (const [before, value, after] of ends) {
    const tick = make("span", "", before, ticks);
    make("b", "", value, tick);
    tick.append(after);
  }
}

/* Into a legend: a colour and what it stands for. */
function swatch(legend, rgb, text) {
  const item = make("span", "swatch", "", legend);
  make("i", "", "", item).style.background = `rgb(${rgb.join(" ")})`;
  item.append(text);
}

function unpack(text, Type) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return new Type(bytes.buffer);
}

function points(data, name, middle, spread) {
  const q = unpack(data[name], Uint16Array), n = q.length / 3, at = new Float32Array(3 * n);
  for (let i = 0; i < 3 * n; i++) at[i] = q[i] * data.step - middle[i % 3];
  return surfels({ n, at, normal: new Float32Array(3 * n), radius: new Float32Array(n), rgb: new Float32Array(3 * n) }, spread);
}

function cloud(stage, redraw) {
  const state = { mode: "difference", label: false, turn: null, zoom: 1, dx: 0, dy: 0 };
  const frame = make("div", "frame", "", stage), canvas = make("canvas", "", "", frame);
  const ruler = make("div", "ruler", "", frame), probe = make("div", "probe", "", frame);
  const controls = make("div", "controls", "", stage), legend = make("div", "legend", "", stage);
  const segments = make("div", "segments", "", controls);
  const context = canvas.getContext("2d");
  let data, parts, middle, shown, home, fit = 1, busy = 0;

  segments.setAttribute("role", "group");
  segments.setAttribute("aria-label", "What is shown");
  const modes = MODES.map((mode) => button(mode, segments, () => show({ mode })));
  const label = button("label", controls, () => show({ label: !state.label }));
  label.title = "Highlight the labelled points";
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `3-D view of ${stage.dataset.name}. Arrow keys turn, plus and minus zoom, 0 resets.`);

  function load(source) {
    data = source;
    const all = [data.plain, data.marked, data.origin, data.removed].map((text) => unpack(text, Uint16Array));
    const low = [65535, 65535, 65535], high = [0, 0, 0];
    for (const q of all) for (let i = 0; i < q.length; i++) {
      low[i % 3] = Math.min(low[i % 3], q[i]);
      high[i % 3] = Math.max(high[i % 3], q[i]);
    }
    middle = low.map((value, c) => (data.step * (value + high[c])) / 2);
    parts = {};
    /* Thinned points lie evenly; all points of a scan lie as they like, and take wider discs to close the gaps. */
    const thinned = data.count.after > (all[0].length + all[1].length) / 3;
    ["plain", "marked", "origin", "removed"].forEach((name, i) => {
      parts[name] = points(data, name, middle, thinned && i === 0 ? 0.95 : 1.05);
    });
    /* What is marked may be narrower than the discs around it: it shows through their rims. */
    const rim = Float32Array.from(parts.plain.radius).sort()[parts.plain.n >> 1] || 0;
    Object.assign(parts.marked, { weight: 30, slack: rim });
    parts.marked.height = unpack(data.height, Int16Array);
    parts.marked.flags = unpack(data.flags, Uint8Array);
    const kept = Array.from(parts.marked.flags.keys()).filter((i) => !(parts.marked.flags[i] & 2));
    parts.stayed = subset(parts.marked, kept);
    home = looking(data.look);
    reset();
  }

  function subset(group, rows) {
    const take = (from, width) => Float32Array.from({ length: width * rows.length }, (_, i) =>
      from[width * rows[Math.floor(i / width)] + (i % width)]);
    return { n: rows.length, at: take(group.at, 3), normal: take(group.normal, 3), radius: take(group.radius, 1),
      rgb: new Float32Array(3 * rows.length), flags: Uint8Array.from(rows, (i) => group.flags[i]) };
  }

  function reset() {
    Object.assign(state, { turn: home, zoom: 1, dx: 0, dy: 0 });
    let across = 1e-12, along = 1e-12, reach = 1e-12;
    for (const { n, at } of Object.values(parts)) for (let i = 0; i < n; i++) {
      const x = at[3 * i], y = at[3 * i + 1], z = at[3 * i + 2];
      across = Math.max(across, Math.abs(home[0] * x + home[1] * y + home[2] * z));
      along = Math.max(along, Math.abs(home[3] * x + home[4] * y + home[5] * z));
      reach = Math.max(reach, Math.hypot(x, y, z));
    }
    /* Fill the frame as it stands, but do not let a long part run far out of it when it is turned. */
    fit = Math.min(0.46 / across, 0.325 / along, 0.5 / reach);
  }

  /* In shares of the frame's width. */
  const scale = () => fit * state.zoom;

  function shade() {
    const neutral = colour("--neutral"), faint = colour("--faint");
    const fill = (group, pick) => { for (let i = 0; i < group.n; i++) group.rgb.set(pick(i), 3 * i); };
    const { mode, label: only } = state, { plain, marked, origin, removed, stayed } = parts;
    const grey = only ? faint : neutral;
    fill(plain, () => grey);
    fill(origin, () => (only ? LABEL : neutral));
    fill(stayed, (i) => (only && stayed.flags[i] & 1 ? LABEL : grey));
    removed.shrink = mode === "difference" ? 0.42 : 1;
    removed.flat = mode === "difference";
    fill(removed, () => (only ? LABEL : mode === "difference" ? OTHER : neutral));
    fill(marked, (i) => {
      const labelled = marked.flags[i] & 1;
      if (only) return labelled ? LABEL : faint;
      if (mode !== "difference") return neutral;
      if (marked.height[i] === 0) return labelled || marked.flags[i] & 2 ? OTHER : neutral;
      return ramp(marked.height[i] / 32767, neutral);
    });
    return mode === "before" ? [plain, stayed, origin, removed] : mode === "after" ? [plain, marked] : [plain, marked, removed];
  }

  function explain() {
    legend.replaceChildren();
    const unit = data.unit ? ` ${data.unit}` : "", neutral = colour("--neutral");
    if (!data.count.before && !data.count.after) { legend.append("no valid points"); return; }
    if (state.label) { swatch(legend, LABEL, "labelled"); swatch(legend, colour("--faint"), "not labelled"); return; }
    if (state.mode !== "difference") { legend.append(`${data.count[state.mode].toLocaleString("en")} points`); return; }
    if (data.peak > 0) {
      const [low, high] = [-data.peak, data.peak].map((value) => signed(value) + unit);
      scaled(legend, neutral, [["", low, " inward"], ["", "0", ""], ["outward ", high, ""]]);
    }
    const { marked, removed } = parts;
    const other = Array.from(marked.flags).some((flag, i) => flag && marked.height[i] === 0);
    if (removed.n || other) swatch(legend, OTHER, "added or removed");
    if (!data.peak) swatch(legend, neutral, "unchanged");
  }

  function measure(width) {
    const units = 0.26 / scale(), ten = 10 ** Math.floor(Math.log10(units));
    const nice = [5, 2, 1].find((step) => step * ten <= units) * ten;
    ruler.style.width = `${nice * scale() * width}px`;
    ruler.textContent = number(nice) + (data.unit ? ` ${data.unit}` : "");
  }

  function draw(fine) {
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!data || !width) return false;
    const ratio = fine ? Math.min(Math.max(2, window.devicePixelRatio), 1200 / width) : 1;
    const w = Math.round(width * ratio), h = Math.round(height * ratio);
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
    paint(context, shown, state.turn, scale() * w, w * (0.5 + state.dx), h * 0.48 + w * state.dy);
    measure(width);
    return true;
  }

  function moving() {
    redraw(false);
    clearTimeout(busy);
    busy = setTimeout(() => redraw(true), 140);
  }

  function show(change) {
    Object.assign(state, change);
    modes.forEach((node, i) => press(node, MODES[i] === state.mode));
    press(label, state.label);
    if (data) { shown = shade(); explain(); redraw(true); }
  }

  function zoom(factor, x = 0, y = 0) {
    const wanted = Math.min(24, Math.max(0.4, state.zoom * factor)), f = wanted / state.zoom;
    state.dx = x + (state.dx - x) * f;
    state.dy = y + (state.dy - y) * f;
    state.zoom = wanted;
    moving();
  }

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width - 0.5, (event.clientY - box.top - box.height * 0.48) / box.width];
  };

  const held = new Map();
  canvas.addEventListener("pointerdown", (event) => {
    if (!data || event.button > 0) return;
    held.set(event.pointerId, place(event));
    canvas.setPointerCapture(event.pointerId);
    probe.textContent = "";
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!data) return;
    const now = place(event), was = held.get(event.pointerId);
    if (!was) { if (event.pointerType === "mouse") tell(now); return; }
    const others = [...held].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    held.set(event.pointerId, now);
    const dx = now[0] - was[0], dy = now[1] - was[1];
    if (others.length) {
      const [fx, fy] = others[0], far = (at) => Math.hypot(at[0] - fx, at[1] - fy) || 1e-6;
      zoom(far(now) / far(was), fx, fy);
    } else if (event.shiftKey) {
      state.dx += dx;
      state.dy += dy;
      moving();
    } else {
      state.turn = turned(state.turn, 4.2 * dx, 4.2 * dy);
      moving();
    }
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => held.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => { probe.textContent = ""; });
  canvas.addEventListener("dblclick", () => { if (data) { reset(); redraw(true); } });
  canvas.addEventListener("wheel", (event) => {
    /* A wheel over a view that was not clicked scrolls the page: a grid of views must not trap it. */
    if (!data || !(event.ctrlKey || document.activeElement === canvas)) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.04 : 0.0014) * (event.ctrlKey ? 4 : 1)), ...place(event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const step = 0.14, turns = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (!data || event.ctrlKey || event.metaKey || event.altKey) return;
    if (turns[event.key]) { state.turn = turned(state.turn, ...turns[event.key]); moving(); }
    else if (event.key === "+" || event.key === "=") zoom(1.2);
    else if (event.key === "-") zoom(1 / 1.2);
    else if (event.key === "0" || event.key === "Home") { reset(); redraw(true); }
    else return;
    event.preventDefault();
  });

  /* What lies under the pointer: the foremost point within a few pixels. */
  function tell([x, y]) {
    /* A thousandth of the part is as fine as one can point at. */
    const places = Math.min(9, Math.max(0, Math.ceil(-Math.log10(0.001 / fit))));
    const m = state.turn, s = scale(), reach = (6 / canvas.clientWidth) ** 2;
    let best = -Infinity, text = "";
    for (const name of state.mode === "before" ? ["plain", "stayed", "origin", "removed"] : ["plain", "marked"]) {
      const { n, at } = parts[name];
      for (let i = 0; i < n; i++) {
        const a = at[3 * i], b = at[3 * i + 1], c = at[3 * i + 2];
        const u = state.dx + s * (m[0] * a + m[1] * b + m[2] * c) - x, v = state.dy - s * (m[3] * a + m[4] * b + m[5] * c) - y;
        const near = m[6] * a + m[7] * b + m[8] * c;
        if (u * u + v * v > reach || near <= best) continue;
        best = near;
        text = [a, b, c].map((value, k) => `${"xyz"[k]} ${minus((value + middle[k] + data.low[k]).toFixed(places))}`).join("  ");
        const height = name === "marked" ? parts.marked.height[i] * data.height_step : 0;
        if (height) text += `  height ${signed(height)}${data.unit ? ` ${data.unit}` : ""}`;
      }
    }
    probe.textContent = text;
  }

  show({});
  return { load, draw, show, modes: MODES };
}
