// Shows the next four weeks as they would be, while somebody edits: the form is posted, and nothing is saved.
// Without this script the page shows what is saved.
const WAIT_MS = 500;
const place = document.getElementById("preview");
const form = place?.closest("main, body").querySelector("#schedule_form");
const typed = () => JSON.stringify([...new FormData(form)]);
const nameOf = (details) => details.querySelector("summary").textContent.replace(/[\d\s]+$/, "");
let timer;
let running;
let shown = form && typed();

function later() {
    clearTimeout(timer);
    timer = setTimeout(update, WAIT_MS);
}

// The pickers say "change" when they are built too: only what is really another is asked for.
async function update() {
    const wanted = typed();
    if (wanted === shown) {
        return;
    }
    shown = wanted;
    running?.abort();
    const mine = (running = new AbortController());
    place.setAttribute("aria-busy", "true");
    try {
        const answer = await fetch(place.dataset.url, {
            method: "POST",
            body: new FormData(form),
            headers: { "X-Requested-With": "XMLHttpRequest" },
            signal: mine.signal,
        });
        if (!answer.ok || answer.redirected) {
            throw new Error(answer.status === 403 || answer.redirected ? "sign in again" : `answer ${answer.status}`);
        }
        const html = await answer.text();
        const wasOpen = new Map([...place.querySelectorAll("details")].map((one) => [nameOf(one), one.open]));
        place.innerHTML = html;
        place.querySelectorAll("details").forEach((one) => (one.open = wasOpen.get(nameOf(one)) ?? one.open));
    } catch (error) {
        if (error.name === "AbortError") {
            return;
        }
        const said = document.createElement("p");
        said.className = "wb-wrong";
        said.textContent = `The preview could not be made (${error.message}). What you typed is still here; it is not saved.`;
        place.replaceChildren(said);
        shown = "";
    }
    if (running === mine) {
        place.removeAttribute("aria-busy");
    }
}

if (form) {
    form.addEventListener("input", later);
    // The pickers say their changes through jQuery only; it hears ours too.
    window.django.jQuery(form).on("change", later);
    document.addEventListener("formset:added", later);
    document.addEventListener("formset:removed", later);
    form.addEventListener("click", (event) => {
        if (event.target.closest(".datetimeshortcuts, .calendarbox, .clockbox, .prepopulated")) {
            later();
        }
    });
    if (document.querySelector(".errornote")) {
        shown = "";
        update();
    }
}
