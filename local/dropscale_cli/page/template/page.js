"use strict";

let cards = [...document.querySelectorAll(".card")];
const byName = cards, failedFirst = cards.toSorted((a, b) => isBad(b) - isBad(a));
const list = document.querySelector(".cards");
const filters = document.querySelector(".filters");
const shown = document.querySelector("output");
const none = document.querySelector(".none");

/* Filters and the order. They are kept in the address, so that a reload, or a friend, sees the same. */

function isBad(card) {
  return card.classList.contains("bad");
}

function filter() {
  const { state, folder, warning, order, name } = filters.elements;
  const part = name.value.toLowerCase();
  let count = 0;
  // Chromium takes seconds to hide a thousand cards one by one, unless their list is out of sight.
  list.hidden = true;
  list.getBoundingClientRect();
  const ordered = order.value ? failedFirst : byName;
  if (cards !== ordered) list.append(...(cards = ordered));
  for (const card of cards) {
    const { state: its, key, warnings } = card.dataset;
    card.hidden =
      (state.value && its !== state.value) ||
      (warning?.value && !warnings.split(" ").includes(warning.value)) ||
      (folder.value && !key.startsWith(folder.value + "/")) ||
      !key.toLowerCase().includes(part);
    count += !card.hidden;
  }
  list.hidden = false;
  shown.value = count === cards.length ? "" : `${count} of ${cards.length} shown`;
  none.hidden = count > 0 || cards.length === 0;
}

function keepFilters() {
  const chosen = [...new FormData(filters)].filter(([, value]) => value);
  history.replaceState(null, "", "#" + new URLSearchParams(chosen));
}

for (const [field, value] of new URLSearchParams(location.hash.slice(1))) {
  const control = filters.elements.namedItem(field);
  if (control) control.value = value;
}
filters.addEventListener("submit", (event) => event.preventDefault());
filters.addEventListener("input", () => { filter(); keepFilters(); });
none.querySelector("button").addEventListener("click", () => {
  filters.reset();
  filter();
  keepFilters();
});
filter();

/* The sliders, on the cards and in the dialog. */

document.addEventListener("input", ({ target }) => {
  if (target.type !== "range") return;
  target.parentElement.style.setProperty("--cut", `${target.value}%`);
  target.ariaValueText = `${Math.round(target.value)} % original`;
});

/* The dialog: one result, at any zoom, with its original at the same spot. */

const dialog = document.querySelector("dialog");
const stage = dialog.querySelector(".stage");
const after = stage.querySelector(".after");
const before = stage.querySelector(".before img");
const note = dialog.querySelector(".note");
const tools = Object.fromEntries(
  [...dialog.querySelectorAll("button")].map((button) => [button.name, button]),
);
const view = { x: 0, y: 0, zoom: 1, width: 1, height: 1 }; // zoom: of CSS pixels per image pixel
let current = null;

const oneToOne = () => 1 / devicePixelRatio;
const fitting = () => Math.min(stage.clientWidth / view.width, stage.clientHeight / view.height);

function within(offset, length, room) {
  return length <= room ? (room - length) / 2 : Math.min(0, Math.max(room - length, offset));
}

function draw() {
  const width = view.width * view.zoom, height = view.height * view.zoom;
  view.x = within(view.x, width, stage.clientWidth);
  view.y = within(view.y, height, stage.clientHeight);
  for (const [name, value] of Object.entries({ x: view.x, y: view.y, width, height })) {
    stage.style.setProperty(`--${name}`, `${value}px`);
  }
  tools.fit.ariaPressed = String(Math.abs(view.zoom - fitting()) < 1e-6);
  tools.whole.ariaPressed = String(Math.abs(view.zoom - oneToOne()) < 1e-6);
}

/* Zoom so that what is at a point of the stage stays there. */
function zoomTo(zoom, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const least = Math.min(fitting(), oneToOne()), most = 8 * oneToOne();
  const next = Math.min(most, Math.max(least, zoom));
  view.x = x - ((x - view.x) / view.zoom) * next;
  view.y = y - ((y - view.y) / view.zoom) * next;
  view.zoom = next;
  draw();
}

/* Put a spot of the image, in shares of its size, into the middle of the stage. */
function centre(across, down) {
  view.x = stage.clientWidth / 2 - across * view.width * view.zoom;
  view.y = stage.clientHeight / 2 - down * view.height * view.zoom;
  draw();
}

async function load(image, address, thumbnail) {
  image.src = thumbnail;
  const full = new Image();
  full.src = address;
  try {
    await full.decode();
    return full;
  } catch {
    return null; // it has been moved, or is of a type that this browser does not show
  }
}

async function open(card, across = 0.5, down = 0.5) {
  const zoom = card.querySelector(".zoom");
  const small = card.querySelector(".pair > .after"), smallBefore = card.querySelector(".before img");
  current = card;
  dialog.querySelector("h2").textContent = card.dataset.key;
  stage.classList.toggle("alone-result", !smallBefore);
  note.textContent = "loading …";
  if (!dialog.open) {
    dialog.showModal();
    stage.focus();
  }
  Object.assign(view, { width: +zoom.dataset.width, height: +zoom.dataset.height, zoom: oneToOne() });
  centre(across, down);
  const loading = [
    load(after, zoom.dataset.after, small.currentSrc || small.src),
    smallBefore && load(before, zoom.dataset.before, smallBefore.currentSrc || smallBefore.src),
  ];
  const [result, original] = await Promise.all(loading);
  if (current !== card) return;
  if (original) before.src = original.src;
  if (result) {
    after.src = result.src;
    const { naturalWidth: width, naturalHeight: height } = result;
    if (width !== view.width || height !== view.height) { // it is turned, or has been replaced
      Object.assign(view, { width, height });
      centre(across, down);
    }
  }
  note.textContent =
    !result ? "The result cannot be shown in full; this is its thumbnail."
    : smallBefore && !original ? "The original cannot be shown in full; this is its thumbnail."
    : "";
}

function step(by) {
  const open_ = cards.filter((card) => !card.hidden && card.querySelector(".zoom"));
  open(open_[(open_.indexOf(current) + by + open_.length) % open_.length]);
}

document.addEventListener("click", ({ target, clientX, clientY, detail }) => {
  if (!target.matches?.(".zoom")) return;
  const card = target.closest(".card"), image = card.querySelector(".pair > .after");
  if (!detail || !image.naturalWidth) return open(card); // by keyboard
  const box = image.getBoundingClientRect();
  const scale = Math.max(box.width / image.naturalWidth, box.height / image.naturalHeight);
  const share = (at, middle, length) => 0.5 + (at - middle) / (length * scale);
  open(
    card,
    share(clientX, box.left + box.width / 2, image.naturalWidth),
    share(clientY, box.top + box.height / 2, image.naturalHeight),
  );
});
tools.fit.addEventListener("click", () => zoomTo(fitting()));
tools.whole.addEventListener("click", () => zoomTo(oneToOne()));
tools.previous.addEventListener("click", () => step(-1));
tools.next.addEventListener("click", () => step(1));
tools.close.addEventListener("click", () => dialog.close());
addEventListener("resize", draw);

dialog.addEventListener("keydown", (event) => {
  if (event.target.type === "range") return;
  const move = { ArrowLeft: [80, 0], ArrowRight: [-80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80] };
  if (event.key in move) {
    view.x += move[event.key][0];
    view.y += move[event.key][1];
    draw();
  } else if ("+=".includes(event.key)) zoomTo(view.zoom * 1.25);
  else if (event.key === "-") zoomTo(view.zoom / 1.25);
  else return;
  event.preventDefault();
});

stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = stage.getBoundingClientRect();
  zoomTo(view.zoom * 2 ** (-event.deltaY / 300), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });

/* One pointer moves the image, two zoom it. */
const pointers = new Map();
stage.addEventListener("pointerdown", (event) => {
  if (event.target.type === "range") return;
  pointers.set(event.pointerId, event);
  stage.setPointerCapture(event.pointerId);
});
stage.addEventListener("pointermove", (event) => {
  const last = pointers.get(event.pointerId);
  if (!last) return;
  pointers.set(event.pointerId, event);
  const other = [...pointers.values()].find((pointer) => pointer.pointerId !== event.pointerId);
  if (other) {
    const distance = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
    const box = stage.getBoundingClientRect();
    const ratio = distance(event) / (distance(last) || 1);
    zoomTo(view.zoom * ratio, other.clientX - box.left, other.clientY - box.top);
  } else {
    view.x += event.clientX - last.clientX;
    view.y += event.clientY - last.clientY;
    draw();
  }
});
for (const end of ["pointerup", "pointercancel"]) {
  stage.addEventListener(end, (event) => pointers.delete(event.pointerId));
}

/* A page that is made again and again is read again, while nobody is at work on it. */
if ("live" in document.body.dataset) {
  let touched = 0;
  for (const sign of ["input", "pointerdown", "keydown"]) {
    addEventListener(sign, () => { touched = Date.now(); }, true);
  }
  setInterval(() => {
    if (!document.hidden && !dialog.open && Date.now() - touched > 5000) location.reload();
  }, 3000);
}
