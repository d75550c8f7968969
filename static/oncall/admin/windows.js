// Weekly windows of a layer: remove a row, add one. Without this script one row is empty, and an emptied row is none.
"use strict";
{
    const changed = (list) => list.dispatchEvent(new Event("change", { bubbles: true }));

    const empty = (item) => {
        for (const one of item.querySelectorAll("input, select")) {
            if (one.type === "checkbox") {
                one.checked = false;
            } else {
                one.value = "";
            }
        }
        return item;
    };

    const numberOf = (item) => Number(item.querySelector("input").name.match(/-(\d+)-days$/)[1]);

    const add = (list) => {
        const next = Math.max(...[...list.children].map(numberOf)) + 1;
        const made = empty(list.lastElementChild.cloneNode(true));
        for (const one of made.querySelectorAll("[name]")) {
            one.name = one.name.replace(/-\d+-(\w+)$/, `-${next}-$1`);
        }
        for (const one of made.querySelectorAll("[aria-label*='indow']")) {
            one.setAttribute("aria-label", one.getAttribute("aria-label").replace(/indow \d+/, `indow ${next + 1}`));
        }
        list.append(made);
        return made;
    };

    document.addEventListener("click", (event) => {
        const button = event.target.closest("[data-remove-window], [data-add-window]");
        if (!button) {
            return;
        }
        const list = button.closest(".wb-windows").querySelector("ul");
        if ("addWindow" in button.dataset) {
            add(list).querySelector("input").focus();
        } else {
            const item = button.closest("li");
            const next = item.nextElementSibling ?? item.previousElementSibling;
            if (next) {
                item.remove();
                next.querySelector("input").focus();
            } else {
                empty(item).querySelector("input").focus();
            }
        }
        changed(list);
    });

    const reveal = (root) => root.querySelectorAll("[data-add-window]").forEach((one) => (one.hidden = false));
    document.addEventListener("DOMContentLoaded", () => reveal(document));
    document.addEventListener("formset:added", (event) => reveal(event.target));
}
