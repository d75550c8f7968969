// Light, dark, or as the device: changes the page at once and tells the server.
import { say } from "./messages.js";

const COLOURS = { light: "#ffffff", dark: "#12161d" }; // of the bar: --surface in watchbill.css
const root = document.documentElement;

function show(theme) {
  root.dataset.theme = theme;
  for (const meta of document.querySelectorAll('meta[name="theme-color"]')) {
    meta.content = COLOURS[theme] ?? COLOURS[meta.media.includes("dark") ? "dark" : "light"];
  }
  for (const button of document.querySelectorAll("[data-theme-form] button")) {
    button.setAttribute("aria-pressed", String(button.value === theme));
  }
  follow(theme);
}

// The admin keeps its own choice in this browser.
function follow(theme) {
  try {
    localStorage.setItem("_x_adminTheme", JSON.stringify(theme === "system" ? "auto" : theme));
  } catch {
    // Storage is full or forbidden: the admin then looks as it did.
  }
}

export async function choose(theme) {
  const before = root.dataset.theme;
  const form = document.querySelector("[data-theme-form]");
  const values = new FormData(form);
  values.set("theme", theme);
  show(theme);
  try {
    const answer = await fetch(form.action, { method: "POST", body: values, headers: { Accept: "application/json" } });
    if (answer.status === 204) return;
  } catch {
    // said below
  }
  show(before);
  say("How the pages look could not be saved. Check the connection, then try again.");
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-theme-form]") || !event.submitter) return;
  event.preventDefault();
  choose(event.submitter.value);
});

if (document.querySelector("[data-theme-form]")) follow(root.dataset.theme);
