// What every page does: fresh times, messages that go away by themselves, menus that close.
import "./times.js";
import "./messages.js";
import "./theme.js";
import "./texts.js";

document.documentElement.dataset.js = ""; // styles that need a script to be useful hang on this

document.querySelectorAll("form[data-autosubmit]").forEach((form) =>
  form.addEventListener("change", (event) => event.target.matches("select") && form.requestSubmit()),
);

// A menu closes with Escape and with a click elsewhere.
const MENUS = ".verb[open], .more[open]";
document.addEventListener("keydown", (event) => event.key === "Escape" && close());
document.addEventListener("click", (event) => close(event.target.closest(".verb, .more")));
function close(except) {
  for (const menu of document.querySelectorAll(MENUS)) {
    if (menu === except) continue;
    const inside = menu.contains(document.activeElement);
    menu.open = false;
    if (inside) menu.querySelector("summary").focus();
  }
}

// What is open on top of a page, for whoever is signed in. Without it (the server went away just now) everything is still reached by its links.
const palette = document.getElementById("palette") && (await import("./palette.js").catch(() => null));
if (palette) {
  document.documentElement.dataset.keys = ""; // what opens them is shown from now on
  document.addEventListener("click", (event) => {
    const opens = event.target.closest("[data-opens]")?.dataset.opens;
    if (opens === "palette") palette.open();
    else if (opens) document.getElementById(opens).showModal();
    // A click beside a dialog closes it.
    if (event.target.matches("dialog.palette, dialog.sheet") || event.target.closest("[data-closes]")) {
      event.target.closest("dialog").close();
    }
  });
}
