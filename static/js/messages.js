// What there is to say: good news goes away by itself, bad news stays until it is put away.

const STAYS_MS = 6000;

function dress(message) {
  if (message.querySelector(".message-close")) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "message-close";
  button.setAttribute("aria-label", "Put this message away");
  button.textContent = "×";
  button.addEventListener("click", () => message.remove());
  message.append(button);
  if (message.classList.contains("message-success")) setTimeout(() => message.remove(), STAYS_MS);
}

// Adds messages that the server sent with a fragment.
export function take(list) {
  const place = document.getElementById("messages");
  for (const message of [...list.children]) {
    place.append(message);
    dress(message);
  }
}

export function say(text, level = "error") {
  const message = document.createElement("div");
  message.className = `message message-${level}`;
  message.setAttribute("role", level === "error" ? "alert" : "status");
  message.textContent = text;
  document.getElementById("messages").append(message);
  dress(message);
}

document.querySelectorAll("#messages > .message").forEach(dress);
