// Makes an element look like a fresh one with as few changes as possible, so that focus, typed text, open <details> and
// a button that is being pressed stay as they are. Children with an id are matched by it.

export function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || (old.id ?? "") !== (fresh.id ?? "")) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  const stateChanged = old.dataset.state !== undefined && old.dataset.state !== fresh.dataset.state;
  attributes(old, fresh);
  if (old.nodeName !== "TEXTAREA") children(old, fresh);
  if (stateChanged) flash(old);
}

export function flash(element) {
  element.classList.remove("changed");
  void element.offsetWidth; // restarts the animation
  element.classList.add("changed");
}

function attributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

function children(old, fresh) {
  const named = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  const kept = new Set([...fresh.children].map((child) => child.id).filter(Boolean));
  let here = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    while (here?.id && !kept.has(here.id)) here = drop(here);
    const match = next.id ? named.get(next.id) : undefined;
    if (match) {
      // What stands before it without a name goes, so that it need not move: moving takes the focus away.
      while (here && here !== match && !here.id) here = drop(here);
      if (match === here) here = here.nextSibling;
      else old.insertBefore(match, here);
      morph(match, next);
    } else if (here && !here.id && !next.id && here.nodeName === next.nodeName) {
      const after = here.nextSibling;
      morph(here, next);
      here = after;
    } else {
      old.insertBefore(next, here);
      if (next.id && next.dataset?.state !== undefined) flash(next);
    }
  }
  while (here) here = drop(here);
}

function drop(node) {
  const after = node.nextSibling;
  node.remove();
  return after;
}
