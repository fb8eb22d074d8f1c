/* Views of kind "image": a photo before and after, its signed effect and its label, with a close-up of the defect. */

/* Difference: how far each channel of a pixel changed, whichever way. Effect: the largest signed change of what is labelled. */
const PART = [0, 114, 178];
const PHOTO_MODES = ["before", "after", "difference", "effect", "mask"];

function image(stage, redraw) {
  const state = { mode: "after", label: true, part: false, zoom: 1, x: 0, y: 0 };
  const frame = make("div", "frame", "", stage), canvas = make("canvas", "", "", frame);
  const probe = make("div", "probe", "", frame);
  const controls = make("div", "controls", "", stage), legend = make("div", "legend", "", stage);
  const segments = make("div", "segments", "", controls);
  const context = canvas.getContext("2d");
  let data, layers, most = 1;

  segments.setAttribute("role", "group");
  segments.setAttribute("aria-label", "What is shown");
  const modes = PHOTO_MODES.map((mode) => button(mode, segments, () => show({ mode })));
  const label = button("label", controls, () => show({ label: !state.label }));
  label.title = "Outline the labelled pixels";
  const part = button("foreground", controls, () => show({ part: !state.part }));
  part.title = "Outline where defects may lie";
  part.className = "part";
  canvas.tabIndex = 0;
  canvas.title = "Click to enlarge the defect";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Photo of ${stage.dataset.name}. Enter shows the defect enlarged, arrow keys move, plus and minus zoom, 0 resets.`);

  function load(source) {
    data = source;
    layers = data.layers.map((layer) => unlayered(data, layer));
    most = Math.max(1, ...layers.map((layer) => layer.most));
    part.hidden = data.foreground == null;
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
      if (state.mode === "mask") rgb = Array(3).fill(255 * mask[i]);
      else if (state.mode === "difference") rgb = rgb.map((_, c) => {
        const at = data.channels === PLANES ? c * n + i : i;
        return (255 * Math.abs(after[at] - before[at])) / most;
      });
      else if (state.mode === "effect") {
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
    if (state.mode === "difference") {
      const [low, high] = data.window ?? [0, 1];
      shown.textContent = `black: unchanged, brightest: ${number((100 * (high - low) * data.step * most) / 255)}\u00a0%`;
    }
    if (state.mode === "effect" && data.peak > 0) {
      shown.remove();
      const [low, high] = [-data.peak, data.peak].map((value) => `${signed(100 * value)}\u00a0%`);
      scaled(legend, colour("--neutral"), [["", low, " darker"], ["", "0", ""], ["lighter ", high, ""]]);
    }
    const defects = data.instances > 1 ? `, ${data.instances} defects` : "";
    if (state.mode === "mask") legend.append(`white: labelled${defects}`);
    else if (state.label) swatch(legend, LABEL, `labelled${defects}`);
    if (state.part && data.foreground != null) swatch(legend, PART, `defects may lie here, ${number(100 * data.foreground)}\u00a0%`);
    else if (state.part && data.foreground === null) legend.append("defects may lie anywhere: whole image");
  }

  function stroke(path, rgb, scale, bold) {
    context.lineCap = "square";
    for (const [style, wide] of [["rgb(255 255 255 / 70%)", 4.2], [`rgb(${rgb.join(" ")})`, 2.6]]) {
      context.strokeStyle = style;
      context.lineWidth = (bold * wide) / scale;
      context.stroke(path);
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
    layers.forEach((layer, i) => {
      context.save();
      const whole = new Path2D(), above = layers[i + 1]?.box;
      whole.rect(0, 0, data.size[1], data.size[0]);
      if (above) {
        const rest = new Path2D(whole);
        rest.rect(above[1], above[0], above[3] - above[1], above[2] - above[0]);
        context.clip(rest, "evenodd");
      }
      if (state.part && layer.part) {
        const beyond = new Path2D(whole);
        beyond.addPath(layer.part.inside);
        context.fillStyle = "rgb(0 0 0 / 45%)";
        context.fill(beyond, "evenodd");
        stroke(layer.part.outline, PART, scale, 0.6);
      }
      /* Outside of what it surrounds, so that a thin defect is not hidden by its own label. */
      whole.addPath(layer.inside);
      context.clip(whole, "evenodd");
      if (state.label && state.mode !== "mask") stroke(layer.outline, LABEL, scale, 1);
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
    modes.forEach((node, i) => press(node, PHOTO_MODES[i] === state.mode));
    press(label, state.label);
    press(part, state.part);
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
  return { load, draw, show, modes: PHOTO_MODES };
}
