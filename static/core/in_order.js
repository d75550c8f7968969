// Moves a picker up or down in a list of pickers. They share a name, so their order is what is sent.
"use strict";
document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-move]");
    if (!button) {
        return;
    }
    const item = button.closest("li");
    if (button.dataset.move === "up" && item.previousElementSibling) {
        item.previousElementSibling.before(item);
    } else if (button.dataset.move === "down" && item.nextElementSibling) {
        item.nextElementSibling.after(item);
    }
    button.focus();
});
