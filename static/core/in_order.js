// Places in a list: move one up or down, remove it, add one. They share a name, so their order is what is sent.
"use strict";
{
    const changed = (list) => list.dispatchEvent(new Event("change", { bubbles: true }));

    // A place without people, made from one that is there. The picker is built anew around the bare select.
    const emptied = (item) => {
        const made = item.cloneNode(true);
        made.querySelectorAll(".select2-container, noscript").forEach((one) => one.remove());
        for (const select of made.querySelectorAll("select")) {
            select.replaceChildren();
            select.classList.remove("select2-hidden-accessible");
            for (const name of ["data-select2-id", "tabindex", "aria-hidden"]) {
                select.removeAttribute(name);
            }
            select.id = `${select.name}_${Date.now()}`;
        }
        made.querySelectorAll("input[type=checkbox]").forEach((one) => (one.checked = false));
        return made;
    };

    const add = (list) => {
        const made = emptied(list.lastElementChild);
        list.append(made);
        django.jQuery(made).find(".admin-autocomplete").djangoAdminSelect2();
        return made;
    };

    document.addEventListener("click", (event) => {
        const button = event.target.closest("[data-move], [data-remove], [data-add]");
        const list = button?.closest(".wb-places")?.querySelector(".wb-in-order");
        if (!list) {
            return;
        }
        const item = button.closest("li");
        if (button.dataset.move === "up" && item.previousElementSibling) {
            item.previousElementSibling.before(item);
        } else if (button.dataset.move === "down" && item.nextElementSibling) {
            item.nextElementSibling.after(item);
        } else if ("add" in button.dataset) {
            add(list).querySelector(".select2-search__field, select")?.focus();
            changed(list);
            return;
        } else if ("remove" in button.dataset) {
            const next = item.nextElementSibling ?? item.previousElementSibling ?? add(list);
            item.remove();
            next.querySelector("[data-remove]").focus();
            changed(list);
            return;
        }
        button.focus();
        changed(list);
    });

    const reveal = (root) => root.querySelectorAll(".wb-places [data-add]").forEach((one) => (one.hidden = false));
    document.addEventListener("DOMContentLoaded", () => reveal(document));
    document.addEventListener("formset:added", (event) => reveal(event.target));
}
