// The page behind the button of a message. Mail scanners open links too, so opening it is no answer: this answers once a
// person really has the page in front of them for a moment, and says so first.

const WAIT_MS = 1200;
const form = document.querySelector("form[data-answer]");
const box = document.getElementById("countdown");
const text = document.getElementById("countdown-text");
const bar = document.getElementById("countdown-bar");
let left = WAIT_MS;
let last;
let stopped = false;

function seen() {
  return document.visibilityState === "visible" && !document.prerendering;
}

function step() {
  if (stopped) return;
  const now = performance.now();
  if (seen() && last !== undefined) left -= Math.min(now - last, 250);
  last = now;
  bar.value = WAIT_MS - Math.max(left, 0);
  text.textContent = `Acknowledging for you in ${(Math.max(left, 0) / 1000).toFixed(1)} s`;
  if (left <= 0) {
    stopped = true;
    text.textContent = "Acknowledging …";
    form.requestSubmit();
  } else setTimeout(step, 50);
}

if (form && box) {
  box.hidden = false;
  bar.max = WAIT_MS;
  document.getElementById("not-now").addEventListener("click", () => {
    stopped = true;
    box.hidden = true;
    document.getElementById("stopped").hidden = false;
    form.querySelector("button").focus();
  });
  form.addEventListener("submit", () => { stopped = true; });
  addEventListener("pageshow", (event) => { if (event.persisted) { stopped = true; box.hidden = true; } });
  step();
}
