// The page of a schedule: dialogs, an override drawn with the pointer, and the line of the present.
// Without this script every link leads to a page of its own. All times are read and written by the server: what one
// draws goes there as a moment, and comes back as a form in the zone that the page shows.

const plan = document.getElementById("plan");
const dialog = document.getElementById("dialog");
const HOLD_MS = 350; // a finger that stays this long draws; one that moves before scrolls
const MOVED = 5; // px: less is a click
const SVG = "http://www.w3.org/2000/svg";

// --- dialogs ---------------------------------------------------------------------------------------------------
let opener;
let asked = 0;

async function open(url) {
  const address = new URL(url, location.href);
  address.searchParams.set("next", location.pathname + location.search);
  const mine = ++asked;
  let answer;
  try {
    answer = await fetch(address, { headers: { "X-Fragment": "part" }, cache: "no-store", credentials: "same-origin" });
  } catch {
    return location.assign(url);
  }
  if (mine !== asked) return; // somebody opened another meanwhile
  // Signed out, refused or broken: the page itself says so.
  if (answer.redirected || (!answer.ok && answer.status !== 404)) return location.assign(url);
  show(await answer.text());
}

function show(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html").body;
  dialog.replaceChildren(...fresh.childNodes);
  if (!dialog.open) dialog.showModal();
  // What is wrong first, else the first choice to make, else the heading, from which one reads on.
  const seen = (selector) => [...dialog.querySelectorAll(selector)].find((one) => one.checkVisibility());
  const first = seen("[aria-invalid=true]") ?? seen("select") ?? dialog.querySelector("h2");
  if (first?.matches("h2")) first.tabIndex = -1;
  first?.focus();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
  if (link.matches("[data-dialog]")) {
    event.preventDefault();
    if (!dialog.open) opener = link;
    open(link.href);
  } else if (link.matches("[data-close]") && dialog.open) {
    event.preventDefault();
    dialog.close();
  }
});

dialog?.addEventListener("click", (event) => {
  if (event.target === dialog && !typed()) dialog.close(); // the backdrop
});
dialog?.addEventListener("close", () => {
  dialog.replaceChildren();
  clear();
  opener?.focus({ preventScroll: true });
});

// What somebody has typed must not go with a click beside the dialog.
function typed() {
  return [...dialog.querySelectorAll("input, select, textarea")].some((field) =>
    field.options ? [...field.options].some((one) => one.selected !== one.defaultSelected && field.value) : field.value !== field.defaultValue,
  );
}

dialog?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const button = event.submitter;
  if (button?.disabled) return;
  if (button) button.disabled = true;
  try {
    const answer = await fetch(form.action, {
      method: "POST", body: new FormData(form), headers: { "X-Fragment": "part" }, redirect: "manual", credentials: "same-origin",
    });
    if (answer.type === "opaqueredirect") return location.reload(); // done: the page says so
    if (answer.status === 403 || answer.status >= 500) return form.submit();
    show(await answer.text());
  } catch {
    if (button) button.disabled = false;
    tell("The server did not answer. Try again.", form);
  }
});

function tell(text, form) {
  const line = form.querySelector(".message-error") ?? document.createElement("p");
  line.className = "message message-error";
  line.setAttribute("role", "alert");
  line.textContent = text;
  form.prepend(line);
}

// --- time on the line ------------------------------------------------------------------------------------------
const start = Number(plan?.dataset.start) * 1000;
const end = Number(plan?.dataset.end) * 1000;
const days = (plan?.dataset.days || "").split(",").map(Number);
const step = Number(plan?.dataset.snap) * 60_000;
const percent = (at) => `${((at - start) / (end - start)) * 100}%`;
const words = plan && new Intl.DateTimeFormat("en-GB", {
  weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZone: plan.dataset.zone,
});

// Counted from the local midnight before, so that it fits the clock of every zone.
function snapped(at) {
  let midnight = start;
  for (const day of days) if (day <= at) midnight = day;
  return Math.min(Math.max(midnight + Math.round((at - midnight) / step) * step, start), end);
}

function moment(lane, x) {
  const box = lane.getBoundingClientRect();
  return start + ((x - box.left) / box.width) * (end - start);
}

// --- drawing an override -----------------------------------------------------------------------------------------
let drag; // {lane, pointer, from, to, x, y, active, timer, mark}
let mark; // stays while the form is open
let note;

function begin(event) {
  const lane = event.target.closest(".lane[data-role]");
  if (!lane || event.button || drag || dialog.open) return;
  drag = { lane, pointer: event.pointerId, x: event.clientX, y: event.clientY, at: moment(lane, event.clientX), active: false };
  if (event.pointerType !== "mouse") {
    drag.isTouch = true;
    drag.timer = setTimeout(() => drag && activate(), HOLD_MS);
  }
}

function activate() {
  clear();
  drag.active = true;
  drag.lane.setPointerCapture?.(drag.pointer);
  mark = document.createElementNS(SVG, "foreignObject");
  mark.setAttribute("y", "0");
  mark.setAttribute("height", "100%");
  const box = document.createElement("div");
  box.className = "choice";
  mark.append(box);
  drag.lane.append(mark);
  note = document.createElement("p");
  note.className = "choice-note";
  note.setAttribute("role", "status");
  document.body.append(note);
  if (drag.isTouch) navigator.vibrate?.(15);
  stretch(drag.x);
}

function stretch(x) {
  const here = moment(drag.lane, x);
  let from = snapped(Math.min(drag.at, here));
  let to = snapped(Math.max(drag.at, here));
  if (to - from < step) [from, to] = from + step <= end ? [from, from + step] : [end - step, end];
  Object.assign(drag, { from, to });
  mark.setAttribute("x", percent(from));
  mark.setAttribute("width", `${((to - from) / (end - start)) * 100}%`);
  note.textContent = `${words.format(from)} – ${words.format(to)} (${plan.dataset.zone})`;
}

function move(event) {
  if (!drag || event.pointerId !== drag.pointer) return;
  const far = Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > MOVED;
  if (!drag.active && drag.isTouch && far) return stop(); // it scrolls
  if (!drag.active && far) activate();
  if (drag.active) stretch(event.clientX);
}

function finish(event) {
  if (!drag || event.pointerId !== drag.pointer) return;
  const { active, from, to, lane } = drag;
  clearTimeout(drag.timer);
  drag = undefined;
  if (!active) return;
  hush();
  note?.remove();
  const url = new URL(plan.dataset.new, location.href);
  url.searchParams.set("start", new Date(from).toISOString());
  url.searchParams.set("end", new Date(to).toISOString());
  url.searchParams.set("role", lane.dataset.role);
  opener = lane.querySelector("a");
  open(url);
}

// The click that ends a drag must not open the bar below it.
function hush() {
  const swallow = (event) => { event.preventDefault(); event.stopPropagation(); };
  addEventListener("click", swallow, { capture: true, once: true });
  setTimeout(() => removeEventListener("click", swallow, { capture: true }), 50);
}

function stop() {
  if (!drag) return;
  clearTimeout(drag.timer);
  if (drag.active) hush();
  drag = undefined;
  clear();
}

function clear() {
  mark?.remove();
  note?.remove();
  mark = note = undefined;
}

if (plan?.dataset.new) {
  plan.classList.add("can-drag");
  plan.addEventListener("pointerdown", begin);
  addEventListener("pointermove", move);
  addEventListener("pointerup", finish);
  addEventListener("pointercancel", stop);
  plan.addEventListener("dragstart", (event) => event.preventDefault());
  plan.addEventListener("contextmenu", (event) => drag?.isTouch && event.preventDefault());
  // While a finger draws, the page must stay where it is.
  plan.addEventListener("touchmove", (event) => drag?.active && event.preventDefault(), { passive: false });
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !drag) return;
    event.preventDefault();
    stop();
  });
}

// --- the present -------------------------------------------------------------------------------------------------
const line = document.getElementById("now-line");
function present() {
  const place = percent(Date.now());
  line.setAttribute("x1", place);
  line.setAttribute("x2", place);
}

// The name of a bar that begins left of what one sees moves along, so that one always reads whose it is.
const names = [...(plan?.querySelectorAll(".stint") ?? [])];
function follow() {
  const lane = plan.querySelector(".lane").getBoundingClientRect();
  const left = plan.parentElement.getBoundingClientRect().left + lane.left - plan.getBoundingClientRect().left;
  const hidden = names.map((bar) => {
    const box = bar.getBoundingClientRect();
    return box.left < left && box.right - left > 48 ? left - box.left + 8 : 0;
  });
  names.forEach((bar, number) => {
    const padding = hidden[number] ? `${hidden[number]}px` : "";
    if (bar.style.paddingLeft !== padding) bar.style.paddingLeft = padding;
  });
}
if (plan) {
  let waits = false;
  const later = () => {
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => { waits = false; follow(); });
  };
  plan.parentElement.addEventListener("scroll", later, { passive: true });
  addEventListener("resize", later);
}

if (line) {
  present();
  setInterval(present, 30_000);
  // Where the line is wider than the screen, begin at the present.
  const scroll = plan.parentElement;
  if (scroll.scrollWidth > scroll.clientWidth) {
    const share = (Date.now() - start) / (end - start);
    scroll.scrollLeft = share * plan.scrollWidth - scroll.clientWidth / 3;
  }
}
addEventListener("pageshow", (event) => event.persisted && location.reload());
