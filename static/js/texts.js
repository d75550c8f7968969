// Texts that somebody typed and that are not stored yet. The browser keeps them over a lost network, a closed tab and an
// ended session. They are one person's: they end when that person signs out, and when another signs in.

const PREFIX = "watchbill-text:";
const SIGNED_OUT = "watchbill-signed-out"; // says so to the other tabs
const FAILS_AFTER_MS = 10_000; // a form that did not get through

export const person = document.querySelector("meta[name=person]")?.content ?? "";
let isOver = false; // they signed out: what an open page still shows is kept no more

// Keeps a value under a name, and with null lets go of it. Returns what is kept.
export function kept(name, value) {
  const key = `${PREFIX}${person}:${name}`;
  try {
    if (value === null) localStorage.removeItem(key);
    else if (value && !isOver) localStorage.setItem(key, JSON.stringify(value));
    return JSON.parse(localStorage.getItem(key) ?? "null");
  } catch {
    return null; // a browser that keeps nothing: leaving the page asks first
  }
}

// They are signed in after all, or again.
export function goOn() {
  isOver = false;
}

function forget(isOne) {
  try {
    Object.keys(localStorage).filter((key) => key.startsWith(PREFIX) && isOne(key)).forEach((key) => localStorage.removeItem(key));
  } catch {
    // there is nothing to forget
  }
}

if (person) forget((key) => !key.startsWith(`${PREFIX}${person}:`));

document.addEventListener("submit", (event) => {
  if (event.target.getAttribute("action") !== "/logout") return;
  isOver = true;
  setTimeout(goOn, FAILS_AFTER_MS);
  forget(() => true);
  try {
    localStorage.setItem(SIGNED_OUT, String(Date.now()));
  } catch {
    // nor is there another tab that kept something
  }
});
addEventListener("storage", (event) => {
  if (event.key === SIGNED_OUT && event.newValue) isOver = true;
});
