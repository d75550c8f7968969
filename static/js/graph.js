// Draws the graph of services (catalog/views/graph.py): dagre places it, this draws, moves and recolours it. What it
// shows stands in a table or a list beside it as well. An arrow leads from a service to what it needs.
/* global dagre */
import { refresh } from "./fragments.js";

const WIDTH = 190;
const HEIGHT = 46;
const FAR = 0.6; // below this the names are drawn larger and stand alone
const TINY = 0.35; // below this only what is in trouble has a name
const SMALLEST = 0.08;
const BUTTONS = 48; // the width of those that lie over the left side
const LARGEST = 2.5;
const LABELS = {
  critical: "Critical", high: "High", medium: "Medium", low: "Low", info: "Info",
  maintenance: "Maintenance", risk: "At risk", fine: "Fine",
};
// A state is a colour, a shape and a word. The shapes fill a square from -6 to 6; static/css/services.css has the same.
const SHAPES = {
  critical: "M0-6.5 6.5 6h-13z",
  high: "M0-6.5 6.5 0 0 6.5-6.5 0z",
  medium: "M-5.5-5.5h11v11h-11z",
  low: "M-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0z",
  info: "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",
  maintenance: "M-3.5-6h7l3.5 6-3.5 6h-7l-3.5-6z",
  risk: "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",
  fine: "M-5.5 0-1.5 4.5 6-4.5",
};
const SVG = "http://www.w3.org/2000/svg";

const markOf = (node) => (node.state === "fine" && node.troubled_by.length ? "risk" : node.state);
const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1).trimEnd()}…` : text);

function make(name, attributes = {}, ...children) {
  const isDrawing = ["svg", "g", "path", "rect", "text", "title", "defs", "marker"].includes(name);
  const element = isDrawing ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

class Picture {
  constructor(root) {
    this.root = root;
    this.url = root.dataset.graph;
    this.isWhole = root.classList.contains("graph-whole");
    this.view = { x: 0, y: 0, k: 1 };
    this.filter = { team: "", state: "" };
    this.pointers = new Map();
    this.nodes = new Map();
    this.build();
  }

  build() {
    this.edgeLayer = make("g", { class: "edges" });
    this.nodeLayer = make("g", { class: "nodes" });
    this.port = make("g", {}, this.edgeLayer, this.nodeLayer);
    const arrow = (id) =>
      make("marker", { id, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" },
        make("path", { d: "M0 0 8 4 0 8z", class: id }));
    this.svg = make("svg", { class: "graph-svg" }, make("defs", {}, arrow("arrow"), arrow("arrow-lit")), this.port);
    this.stage = make("div", {
      class: "graph-stage", role: "application",
      "aria-label": "Graph of services. The arrow keys go along the dependencies, Enter tells more about a service, "
        + "plus, minus and 0 zoom. The same stands below as text.",
    }, this.svg);
    const button = (label, text, act) => {
      const made = make("button", { type: "button", class: "graph-button", "aria-label": label, title: label }, text);
      made.addEventListener("click", act);
      return made;
    };
    this.tools = make("div", { class: "graph-tools" },
      button("Zoom in", "+", () => this.zoom(1.3)),
      button("Zoom out", "−", () => this.zoom(1 / 1.3)),
      button("Show everything", "⤢", () => this.fit(SMALLEST)));
    this.map = make("svg", { class: "graph-map", "aria-hidden": "true" });
    this.card = make("section", { class: "graph-about", "aria-label": "The chosen service", hidden: "" });
    this.nothing = make("p", { class: "graph-nothing soft", hidden: "" });
    this.root.replaceChildren(this.stage, this.tools, this.map, this.nothing, this.card);
    this.listen();
  }

  // --- data -------------------------------------------------------------------------------------------------------
  async load() {
    const answer = await fetch(this.url, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    this.data = await answer.json();
    this.show();
  }

  // The services that the filters leave, and, paler, those next to them.
  kept() {
    const { team, state } = this.filter;
    if (!team && !state) return new Map(this.data.nodes.map((node) => [node.slug, false]));
    const isWanted = (node) =>
      (!team || node.team === team)
      && (!state || (state === "affected" ? markOf(node) !== "fine" || node.troubled_by.length : markOf(node) === state));
    const found = new Map(this.data.nodes.filter(isWanted).map((node) => [node.slug, false]));
    if (state === "affected") return found;
    const wanted = new Set(found.keys());
    for (const { service, needs } of this.data.edges) {
      if (wanted.has(service) && !found.has(needs)) found.set(needs, true);
      if (wanted.has(needs) && !found.has(service)) found.set(service, true);
    }
    return found;
  }

  show() {
    const kept = this.kept();
    const nodes = this.data.nodes.filter((node) => kept.has(node.slug));
    const edges = this.data.edges.filter((edge) => kept.has(edge.service) && kept.has(edge.needs));
    const key = JSON.stringify([nodes.map((node) => [node.slug, kept.get(node.slug)]), edges]);
    if (key !== this.key) {
      const isFirst = this.key === undefined;
      this.key = key;
      this.place(nodes, edges, kept);
      this.draw();
      this.begin(isFirst);
    }
    this.paint(nodes);
    this.say(nodes.length ? "" : "No service matches. Choose other filters.");
  }

  // Why there is nothing to see; no words when there is something.
  say(words) {
    this.nothing.textContent = words;
    this.nothing.hidden = !words;
  }

  place(nodes, edges, kept) {
    const graph = new dagre.graphlib.Graph();
    const isLarge = nodes.length > 60;
    graph.setGraph({ rankdir: "LR", nodesep: isLarge ? 12 : 20, ranksep: isLarge ? 110 : 80, edgesep: 6, ranker: "network-simplex" });
    graph.setDefaultEdgeLabel(() => ({}));
    for (const node of nodes) graph.setNode(node.slug, { width: WIDTH, height: HEIGHT });
    for (const edge of edges) graph.setEdge(edge.service, edge.needs);
    dagre.layout(graph);
    this.nodes = new Map();
    for (const node of nodes) {
      const { x, y } = graph.node(node.slug);
      this.nodes.set(node.slug, { ...node, x, y, needs: [], neededBy: [], isBeside: kept.get(node.slug) });
    }
    this.edges = edges.map((edge) => {
      this.nodes.get(edge.service).needs.push(edge.needs);
      this.nodes.get(edge.needs).neededBy.push(edge.service);
      // dagre bends an edge at each column and between them; the columns are enough.
      const middle = graph.edge(edge.service, edge.needs).points.slice(1, -1).filter((_, place) => place % 2);
      const [from, to] = [this.nodes.get(edge.service), this.nodes.get(edge.needs)];
      return { ...edge, points: [{ x: from.x + WIDTH / 2, y: from.y }, ...middle, { x: to.x - WIDTH / 2, y: to.y }] };
    });
    this.bounds = { width: graph.graph().width || 1, height: graph.graph().height || 1 };
    if (!Number.isFinite(this.bounds.width)) this.bounds = { width: 1, height: 1 };
  }

  // --- drawing ----------------------------------------------------------------------------------------------------
  draw() {
    this.edgeLayer.replaceChildren(...this.edges.map((edge) => {
      edge.element = make("path", { class: "edge", d: curve(edge.points), "marker-end": "url(#arrow)" });
      edge.element.classList.toggle("edge-holds", edge.holds_alerts);
      return edge.element;
    }));
    this.nodeLayer.replaceChildren(...[...this.nodes.values()].map((node) => this.drawNode(node)));
    this.map.setAttribute("viewBox", `0 0 ${this.bounds.width} ${this.bounds.height}`);
    this.frame = make("rect", { class: "map-frame" });
    this.map.replaceChildren(...[...this.nodes.values()].map((node) => {
      node.dot = make("rect", { x: node.x - WIDTH / 2, y: node.y - HEIGHT / 2, width: WIDTH, height: HEIGHT });
      return node.dot;
    }), this.frame);
    const first = this.nodes.get(this.focused) ?? this.inOrder()[0];
    if (first) this.rove(first);
    this.choose(this.nodes.has(this.chosen) ? this.chosen : null);
  }

  drawNode(node) {
    node.mark = make("path", { class: "node-mark" });
    node.words = make("text", { class: "node-words", x: 32, y: 34 });
    node.element = make("g", {
      class: "node", role: "button", tabindex: -1, "data-slug": node.slug,
      transform: `translate(${node.x - WIDTH / 2} ${node.y - HEIGHT / 2})`,
    },
    make("title", {}, node.name),
    make("rect", { class: "node-box", width: WIDTH, height: HEIGHT, rx: 9 }),
    make("g", { transform: `translate(17 ${HEIGHT / 2})` }, node.mark),
    make("text", { class: "node-name", x: 32, y: 19 }, short(node.name, 21)),
    make("text", { class: "node-name-far", x: 32, y: 31 }, short(node.name, 12)),
    node.words);
    return node.element;
  }

  // How everything is now. Nothing moves.
  paint(fresh) {
    for (const now of fresh) {
      const node = this.nodes.get(now.slug);
      const mark = markOf(now);
      const old = node.element.dataset.mark;
      Object.assign(node, { state: now.state, open_incidents: now.open_incidents, troubled_by: now.troubled_by, in_maintenance: now.in_maintenance });
      node.element.dataset.mark = mark;
      node.element.classList.toggle("is-beside", node.isBeside);
      node.mark.setAttribute("d", SHAPES[mark]);
      node.dot.setAttribute("class", `map-dot mark-${mark}`);
      const open = now.open_incidents ? `, ${now.open_incidents} open` : "";
      node.words.textContent = short(`${LABELS[mark]}${open} · ${now.team_name}`, 28);
      // Its title is its name, for who hears the page and for who points at it.
      node.element.firstChild.textContent = (
        `${now.name}: ${LABELS[mark]}${now.open_incidents ? `, ${now.open_incidents} open incidents` : ""}, `
        + `team ${now.team_name}. Needs ${node.needs.length}, needed by ${node.neededBy.length}.`);
      if (old && old !== mark) {
        node.element.classList.remove("is-news");
        void node.element.getBoundingClientRect(); // starts the animation anew
        node.element.classList.add("is-news");
      }
    }
    const loud = [...this.nodes.values()].filter((node) => ["critical", "high", "medium"].includes(node.state));
    this.nodeLayer.append(...loud.map((node) => node.element).filter((element) => element !== document.activeElement));
    for (const edge of this.edges) {
      const mark = markOf(this.nodes.get(edge.needs));
      edge.element.dataset.mark = ["critical", "high", "medium", "risk"].includes(mark) ? mark : "";
    }
    if (this.chosen) this.tell();
  }

  // --- the view ---------------------------------------------------------------------------------------------------
  size() {
    return { width: this.stage.clientWidth || 600, height: this.stage.clientHeight || 400 };
  }

  begin(isFirst) {
    if (!this.nodes.size) return;
    const center = this.nodes.get(this.chosen ?? this.root.dataset.center);
    this.fit(isFirst || !center ? this.smallestReadable() : SMALLEST);
    if (this.overflows()) this.settle(center ?? this.worst());
  }

  smallestReadable() {
    return 0.5;
  }

  overflows() {
    const { width, height } = this.size();
    return this.bounds.width * this.view.k > width - BUTTONS || this.bounds.height * this.view.k > height;
  }

  worst() {
    const order = Object.keys(LABELS);
    const rank = (node) => order.indexOf(markOf(node));
    const weight = (node) => node.needs.length + node.neededBy.length;
    return [...this.nodes.values()].sort((a, b) => rank(a) - rank(b) || weight(b) - weight(a))[0];
  }

  fit(smallest) {
    const { width, height } = this.size();
    const room = width - BUTTONS;
    const wanted = Math.min((room - 32) / this.bounds.width, (height - 32) / this.bounds.height, 1.15);
    const k = Math.max(wanted, smallest);
    this.move(BUTTONS + (room - this.bounds.width * k) / 2, (height - this.bounds.height * k) / 2, k);
  }

  // The node in the middle, as far as that leaves no empty side.
  settle(node) {
    const { width, height } = this.size();
    const { k } = this.view;
    const at = (middle, room, length) =>
      length <= room ? (room - length) / 2 : Math.min(24, Math.max(room - 24 - length, room / 2 - middle));
    this.move(at(node.x * k, width, this.bounds.width * k), at(node.y * k, height, this.bounds.height * k));
  }

  center(node, k = this.view.k) {
    const { width, height } = this.size();
    this.move(width / 2 - node.x * k, height / 2 - node.y * k, k);
  }

  zoom(factor, at) {
    const { width, height } = this.size();
    const { x, y } = at ?? { x: width / 2, y: height / 2 };
    const k = Math.min(Math.max(this.view.k * factor, SMALLEST), LARGEST);
    this.move(x - (x - this.view.x) * (k / this.view.k), y - (y - this.view.y) * (k / this.view.k), k);
  }

  move(x, y, k = this.view.k) {
    const { width, height } = this.size();
    const keep = 60; // so much of the graph stays in sight
    x = Math.min(Math.max(x, keep - this.bounds.width * k), width - keep);
    y = Math.min(Math.max(y, keep - this.bounds.height * k), height - keep);
    this.view = { x, y, k };
    this.port.setAttribute("transform", `translate(${x} ${y}) scale(${k})`);
    this.stage.classList.toggle("is-far", k < FAR);
    this.stage.classList.toggle("is-tiny", k < TINY);
    this.map.toggleAttribute("hidden", !this.isWhole || !this.overflows());
    for (const [name, value] of Object.entries({ x: -x / k, y: -y / k, width: width / k, height: height / k })) {
      this.frame?.setAttribute(name, value);
    }
  }

  // --- choosing ---------------------------------------------------------------------------------------------------
  reach(slug, way) {
    const seen = new Set([slug]);
    for (const one of seen) for (const next of this.nodes.get(one)?.[way] ?? []) seen.add(next);
    return seen;
  }

  choose(slug) {
    this.chosen = slug;
    const up = slug ? this.reach(slug, "needs") : null;
    const down = slug ? this.reach(slug, "neededBy") : null;
    for (const [name, node] of this.nodes) {
      node.element.classList.toggle("is-chosen", name === slug);
      node.element.classList.toggle("is-pale", Boolean(slug) && !up.has(name) && !down.has(name));
      node.element.setAttribute("aria-pressed", String(name === slug));
    }
    const lit = [];
    for (const edge of this.edges) {
      const isLit = slug && ((up.has(edge.service) && up.has(edge.needs)) || (down.has(edge.service) && down.has(edge.needs)));
      edge.element.classList.toggle("is-lit", Boolean(isLit));
      edge.element.classList.toggle("is-pale", Boolean(slug) && !isLit);
      edge.element.setAttribute("marker-end", isLit ? "url(#arrow-lit)" : "url(#arrow)");
      if (isLit) lit.push(edge.element);
    }
    this.edgeLayer.append(...lit); // on top of the others
    this.card.hidden = !slug;
    if (slug) this.tell();
  }

  tell() {
    const node = this.nodes.get(this.chosen);
    const mark = markOf(node);
    const sign = make("span", { class: `state-chip state-${mark}` }, make("span", { class: `mark mark-${mark}`, "aria-hidden": "true" }), LABELS[mark]);
    const open = node.open_incidents ? `${node.open_incidents} open incident${node.open_incidents > 1 ? "s" : ""} · ` : "";
    const close = make("button", { type: "button", class: "graph-button", "aria-label": "Close", title: "Close" }, "×");
    close.addEventListener("click", () => this.leave());
    const risk = node.troubled_by.map((slug) => this.data.nodes.find((one) => one.slug === slug)?.name).filter(Boolean);
    this.card.replaceChildren(
      make("div", { class: "graph-about-head" }, sign, close),
      make("p", { class: "graph-about-name" }, make("a", { href: `${this.root.dataset.services}/${node.slug}` }, node.name)),
      make("p", { class: "soft" }, `${open}${node.team_name} · Tier ${node.tier}`),
      ...(risk.length ? [make("p", { class: "graph-about-risk" }, `Needs ${short(risk.join(", "), 90)}, in trouble.`)] : []),
      this.names("Needs", node.needs), this.names("Needed by", node.neededBy),
    );
  }

  names(title, slugs) {
    const most = 8;
    const list = make("div", { class: "graph-about-names" }, make("span", { class: "soft" }, `${title}: `));
    if (!slugs.length) list.append("nothing that is known");
    for (const slug of slugs.slice(0, most)) {
      const one = this.nodes.get(slug);
      const button = make("button", { type: "button", class: "graph-name" }, one.name);
      button.addEventListener("click", () => this.go(one));
      list.append(button);
    }
    if (slugs.length > most) list.append(` and ${slugs.length - most} more`);
    return list;
  }

  // To a service: it is chosen, in sight and has the focus.
  go(node) {
    this.rove(node);
    this.choose(node.slug);
    this.center(node, Math.max(this.view.k, this.smallestReadable() + 0.2));
    node.element.focus({ preventScroll: true });
  }

  leave() {
    const node = this.nodes.get(this.chosen);
    this.choose(null);
    node?.element.focus({ preventScroll: true });
  }

  find(text) {
    const words = text.trim().toLowerCase();
    if (!words) return;
    const fits = [(name) => name === words, (name) => name.startsWith(words), (name) => name.includes(words)];
    const found = fits.map((fit) => this.data.nodes.find((node) => fit(node.name.toLowerCase()))).find(Boolean);
    if (!found) {
      document.getElementById("announcer").textContent = "No service has this in its name.";
      return;
    }
    if (!this.nodes.has(found.slug)) this.clear();
    this.go(this.nodes.get(found.slug));
  }

  // --- hands ------------------------------------------------------------------------------------------------------
  rove(node) {
    this.nodes.get(this.focused)?.element.setAttribute("tabindex", "-1");
    this.focused = node.slug;
    node.element.setAttribute("tabindex", "0");
  }

  inOrder() {
    return [...this.nodes.values()].sort((a, b) => a.x - b.x || a.y - b.y);
  }

  step(key) {
    const here = this.nodes.get(this.focused);
    const near = (nodes) => nodes.sort((a, b) => Math.abs(a.y - here.y) - Math.abs(b.y - here.y))[0];
    const named = (slugs) => slugs.map((slug) => this.nodes.get(slug));
    const column = (side) => near([...this.nodes.values()].filter((one) => Math.abs(one.x - here.x) < 1 && Math.sign(one.y - here.y) === side));
    const all = this.inOrder();
    const next = {
      ArrowRight: () => near(named(here.needs)),
      ArrowLeft: () => near(named(here.neededBy)),
      ArrowDown: () => column(1) ?? all[all.indexOf(here) + 1],
      ArrowUp: () => column(-1) ?? all[all.indexOf(here) - 1],
      Home: () => all[0],
      End: () => all.at(-1),
    }[key]?.();
    if (!next) return;
    this.rove(next);
    if (this.chosen) this.choose(next.slug);
    next.element.focus({ preventScroll: true });
    this.center(next);
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const pans = { ArrowRight: [-80, 0], ArrowLeft: [80, 0], ArrowDown: [0, -80], ArrowUp: [0, 80] };
    const acts = {
      "+": () => this.zoom(1.3), "=": () => this.zoom(1.3), "-": () => this.zoom(1 / 1.3), 0: () => this.fit(SMALLEST),
      Enter: () => this.choose(this.focused), " ": () => this.choose(this.focused),
    };
    if (event.key === "Escape" && this.chosen) this.leave();
    else if (event.shiftKey && pans[event.key]) this.move(this.view.x + pans[event.key][0], this.view.y + pans[event.key][1]);
    else if (acts[event.key]) acts[event.key]();
    else if (/^(Arrow|Home|End)/.test(event.key) && this.nodes.size) this.step(event.key);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  listen() {
    this.stage.addEventListener("keydown", (event) => this.press(event));
    this.card.addEventListener("keydown", (event) => event.key === "Escape" && this.leave());
    this.nodeLayer.addEventListener("focusin", (event) => {
      const node = this.nodes.get(event.target.closest(".node")?.dataset.slug);
      if (node) this.rove(node);
    });
    this.stage.addEventListener("wheel", (event) => {
      if (!this.isWhole && !event.ctrlKey && !event.metaKey) return; // the page scrolls
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0018)), this.at(event));
    }, { passive: false });
    this.stage.addEventListener("pointerdown", (event) => this.down(event));
    this.stage.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"]) this.stage.addEventListener(name, (event) => this.up(event));
    this.map.addEventListener("pointerdown", (event) => {
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.map.getScreenCTM().inverse());
      this.center(point);
    });
    new ResizeObserver(() => this.data && this.move(this.view.x, this.view.y)).observe(this.stage);
  }

  at(event) {
    const box = this.stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  down(event) {
    if (event.button) return;
    if (!this.pointers.size) this.pressed = { ...this.at(event), slug: event.target.closest(".node")?.dataset.slug, isDrag: false };
    this.pointers.set(event.pointerId, this.at(event));
  }

  drag(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = this.at(event);
    if (Math.hypot(now.x - this.pressed.x, now.y - this.pressed.y) > 4 && !this.pressed.isDrag) {
      this.pressed.isDrag = true;
      this.stage.setPointerCapture(event.pointerId);
    }
    if (this.pressed.isDrag && this.pointers.size === 1) this.move(this.view.x + now.x - before.x, this.view.y + now.y - before.y);
    if (this.pointers.size === 2) this.pinch(event.pointerId, before, now);
    this.pointers.set(event.pointerId, now);
  }

  pinch(id, before, now) {
    const [, other] = [...this.pointers].find(([key]) => key !== id);
    this.pressed.isDrag = true;
    const apart = (one) => Math.hypot(one.x - other.x, one.y - other.y) || 1;
    this.zoom(apart(now) / apart(before), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId) || this.pointers.size || event.type === "pointercancel") return;
    if (this.pressed.isDrag) return;
    this.choose(this.pressed.slug && this.pressed.slug !== this.chosen ? this.pressed.slug : null);
    if (this.chosen) this.card.scrollIntoView({ block: "nearest" });
  }

  // --- filters ----------------------------------------------------------------------------------------------------
  clear() {
    for (const select of document.querySelectorAll("[data-graph-filter] select")) select.value = "";
    this.narrow(document.querySelector("[data-graph-filter]"));
  }

  narrow(form) {
    const query = new URLSearchParams(new FormData(form));
    for (const [name, value] of [...query]) if (!value) query.delete(name);
    history.replaceState(history.state, "", `${location.pathname}${query.size ? `?${query}` : ""}`);
    this.filter = { team: query.get("team") ?? "", state: query.get("state") ?? "" };
    this.show();
    refresh();
  }
}

// A smooth line through these points, level at each of them.
function curve([first, ...rest]) {
  let path = `M${first.x} ${first.y}`;
  let from = first;
  for (const to of rest) {
    const middle = (from.x + to.x) / 2;
    path += `C${middle} ${from.y} ${middle} ${to.y} ${to.x} ${to.y}`;
    from = to;
  }
  return path;
}

for (const root of document.querySelectorAll("[data-graph]")) start(new Picture(root));

async function start(picture) {
  const form = document.querySelector("[data-graph-filter]");
  const search = document.querySelector("[data-graph-find]");
  if (form) {
    const chosen = new FormData(form);
    picture.filter = { team: chosen.get("team"), state: chosen.get("state") };
    form.querySelector("[data-graph-submit]").hidden = true;
    form.addEventListener("change", (event) => event.target.matches("select") && picture.narrow(form));
    form.addEventListener("submit", (event) => event.preventDefault());
  }
  // The next news ask again; what is drawn stays, and an empty place says why it is empty.
  const load = async () => {
    await picture.load().catch(() => {});
    if (!picture.data) picture.say("The graph could not be loaded. Reload the page, or read the list below.");
  };
  let waits;
  const soon = () => {
    clearTimeout(waits);
    waits = setTimeout(load, 150); // a burst of news is one question
  };
  document.body.addEventListener("news", soon);
  document.addEventListener("fragments:merged", soon);
  document.querySelector("[data-graph-depth]")?.addEventListener("change", (event) => {
    const url = new URL(picture.url, location.href);
    url.searchParams.set("depth", event.target.value);
    picture.url = url.href;
    history.replaceState(history.state, "", `?depth=${event.target.value}`);
    load();
  });
  await load();
  if (!search || !picture.data) return;
  search.closest("[hidden]").hidden = false;
  document.getElementById("graph-names").replaceChildren(...picture.data.nodes.map((node) => make("option", { value: node.name })));
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    picture.find(search.value);
  });
  search.addEventListener("input", (event) => event.inputType === "insertReplacementText" && picture.find(search.value));
}
