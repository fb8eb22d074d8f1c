/* The page: which views are drawn and when, filters, theme, print. */

/* Page state is told to whoever drives the page: how many views have been drawn, and the first error. */
const root = document.documentElement;
const fail = (text) => { root.dataset.error ??= String(text); };
window.onerror = (text) => { fail(text); };
window.onunhandledrejection = (event) => { fail(event.reason); };
root.dataset.ready = "0";

const make = (tag, cls, text, parent) => {
  const node = document.createElement(tag);
  if (cls) node.className = cls;
  if (text) node.textContent = text;
  if (parent) parent.append(node);
  return node;
};
const button = (text, parent, act) => {
  const node = make("button", "", text, parent);
  node.type = "button";
  node.addEventListener("click", act);
  return node;
};
const press = (node, on) => node.setAttribute("aria-pressed", String(on));
const minus = (text) => text.replace("-", "\u2212");
const number = (value) => minus(String(Math.abs(value) < 1000 ? Number(value.toPrecision(3)) : Math.round(value)));
const signed = (value) => (value > 0 ? "+" : "") + number(value);
const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim().split(/\s+/).map(Number);

/* One painter for each kind of view; another family of samples adds its own here. A painter is made with its element
   and a function that asks for a redraw, and has load(data), draw(fine) -> drawn, show({mode}), modes. */
const PAINTERS = new Map([["cloud", cloud], ["image", image]]);

const views = [];
let asked = 0;
const frame = () => {
  asked = 0;
  for (const view of views) if (view.wanted && view.onScreen) { view.wanted = false; paintOne(view); }
};
function ask(view, fine) {
  view.fine = fine;
  view.wanted = true;
  asked ||= requestAnimationFrame(frame);
}
function paintOne(view) {
  if (view.broken) return;
  try {
    if (!view.loaded) {
      view.painter.load(JSON.parse(document.getElementById(view.stage.dataset.source).textContent));
      view.loaded = true;
      view.painter.show({});
    }
    view.width = view.stage.clientWidth;
    if (!view.painter.draw(view.fine) || view.drawn) return;
    view.drawn = true;
    root.dataset.ready = String(Number(root.dataset.ready) + 1);
  } catch (error) {
    /* One damaged view must not take the table and the others with it. */
    view.broken = true;
    fail(error);
    make("p", "note", "This view cannot be drawn.", view.stage);
  }
}

const sight = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const view = views.find(({ stage }) => stage === entry.target);
    view.onScreen = entry.isIntersecting;
    if (view.onScreen && (view.wanted || !view.drawn)) ask(view, true);
  }
}, { rootMargin: "120px" });
const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const view = views.find(({ stage }) => stage === target);
    if (view.drawn && view.width !== target.clientWidth) ask(view, true);
  }
});
for (const stage of document.querySelectorAll(".stage")) {
  const build = PAINTERS.get(stage.dataset.kind);
  if (!build) { make("p", "note", `This page cannot draw views of kind \u201c${stage.dataset.kind}\u201d.`, stage); continue; }
  const view = { stage, fine: true, wanted: false, onScreen: false, loaded: false, drawn: false };
  view.painter = build(stage, (fine) => ask(view, fine));
  views.push(view);
}
/* What is in sight is drawn at once, with the page's first picture; the observers see to the rest. All painters are
   built by now: measuring earlier would lay the page out once for each. */
for (const view of views) {
  const box = view.stage.getBoundingClientRect();
  if (box.bottom > 0 && box.top < innerHeight) paintOne(view);
  sight.observe(view.stage);
  sizes.observe(view.stage);
}
root.dataset.views = String(views.length);

const all = document.getElementById("all-modes");
for (const mode of new Set(views.flatMap(({ painter }) => painter.modes))) {
  button(mode, all, () => { for (const { painter } of views) if (painter.modes.includes(mode)) painter.show({ mode }); });
}
all.hidden = views.length < 2;
const outlines = document.getElementById("outlines");
if (outlines) {
  outlines.hidden = false;
  outlines.addEventListener("click", () => {
    const part = outlines.getAttribute("aria-pressed") !== "true";
    press(outlines, part);
    for (const { painter, stage } of views) if (stage.dataset.kind === "image") painter.show({ part });
  });
}
const again = () => { for (const view of views) if (view.loaded) { view.painter.show({}); ask(view, true); } };
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
addEventListener("beforeprint", () => {
  for (const view of views) { view.fine = true; paintOne(view); }
  /* What is folded cannot be opened on paper. */
  for (const node of document.querySelectorAll(".gen:not([open])")) { node.open = true; node.dataset.folded = ""; }
});
addEventListener("afterprint", () => {
  for (const node of document.querySelectorAll("[data-folded]")) { node.open = false; delete node.dataset.folded; }
});

const text = (node) => node.textContent.toLowerCase();
const rows = [...document.querySelectorAll("#rows tr")].map((node) => ({ node, text: text(node) }));
/* A card is found by all that its row says, its source among it. */
const linked = new Map(rows.map((row) => [row.node.querySelector("a")?.hash, row.text]));
const cards = [...document.querySelectorAll(".card")].map((node) => ({ node, text: linked.get(`#${node.id}`) ?? text(node) }));
const chips = [...document.querySelectorAll(".chip")];
const find = document.getElementById("find"), shown = document.getElementById("shown"), clear = document.getElementById("clear");
const pressed = (chip) => chip.getAttribute("aria-pressed") === "true";
const fits = ({ node, text }, wanted, words) => words.every((word) => text.includes(word)) &&
  Object.entries(wanted).every(([field, values]) => values.has(node.dataset[field]));
const said = (count, all, what) => (count === all ? [] : [`${count.toLocaleString("en")} of ${all.toLocaleString("en")} ${what}`]);
function filter() {
  const wanted = {}, words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const chip of chips) if (pressed(chip) && chip.dataset.field) (wanted[chip.dataset.field] ??= new Set()).add(chip.dataset.value);
  /* The part that was found is known of what is drawn alone. */
  const { part, ...ofRows } = wanted;
  let count = 0, seen = 0;
  for (const row of rows) { row.node.hidden = !fits(row, ofRows, words); count += Number(!row.node.hidden); }
  for (const card of cards) { card.node.hidden = !fits(card, wanted, words); seen += Number(!card.node.hidden); }
  shown.textContent = [...said(count, rows.length, "samples"), ...said(seen, cards.length, "views")].join(", ");
  clear.hidden = !words.length && !Object.keys(wanted).length;
  root.dataset.shown = `${count} ${seen}`;
}
for (const chip of chips) if (chip.dataset.field) chip.addEventListener("click", () => { press(chip, !pressed(chip)); filter(); });
clear.addEventListener("click", () => {
  for (const chip of chips) if (chip.dataset.field) press(chip, false);
  find.value = "";
  filter();
  find.focus();
});
find.addEventListener("input", filter);
filter();
