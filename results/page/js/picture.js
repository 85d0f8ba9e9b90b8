// Two canvases over each other: one for all marks, one for what is hovered or chosen. Axes, shapes, tooltips.

const FONT = "12px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
const PRINT_WIDTH = 690; // fits A4 and Letter with their margins
let printScale = 0; // while printing: pixels of the canvas for each pixel of the page

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

function make(name, attributes = {}, ...children) {
  const found = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") found.textContent = value;
    else if (key.startsWith("on")) found.addEventListener(key.slice(2), value);
    else if (value === true) found.setAttribute(key, "");
    else if (value !== null && value !== undefined && value !== false) found.setAttribute(key, value);
  }
  found.append(...children.filter((child) => child !== null));
  return found;
}

class Picture {
  constructor(parent, label, height) {
    this.box = make("div", {class: "picture", role: "img", "aria-label": label});
    this.canvases = [make("canvas"), make("canvas")];
    this.box.append(...this.canvases);
    parent.append(this.box);
    this.setHeight(height);
    // without a GPU a canvas that is read often is drawn by the processor, which is far quicker than an emulated GPU
    [this.base, this.over] = this.canvases.map((one) => one.getContext("2d", {willReadFrequently: true}));
  }

  setHeight(height) {
    this.height = height;
    this.box.style.height = height + "px";
  }

  get width() { return printScale ? PRINT_WIDTH : this.box.clientWidth || 600; }

  clear(context) {
    const ratio = printScale || Math.min(2, window.devicePixelRatio || 1);
    const width = Math.round(this.width * ratio), height = Math.round(this.height * ratio);
    const canvas = context.canvas;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, {width, height});
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    context.font = FONT;
    context.globalAlpha = 1;
    context.setLineDash([]);
    return context;
  }

  axisX(at, y, top, label, write, options = {}) {
    const c = this.base, every = options.steps ? 110 : 80;
    c.textAlign = "center";
    for (const tick of ticks(at, Math.max(2, Math.floor((at.end - at.start) / every)), options.steps)) {
      const x = Math.round(at(tick)) + 0.5;
      c.strokeStyle = colour("grid"); line(c, x, top, x, y);
      c.fillStyle = colour("soft"); c.fillText(write(tick), x, y + 17);
    }
    c.fillText(label, (at.start + at.end) / 2, y + 36);
  }

  axisY(at, x, right, label, write) {
    const c = this.base;
    c.textAlign = "right";
    for (const tick of ticks(at, Math.max(2, Math.floor((at.start - at.end) / 55)))) {
      const y = Math.round(at(tick)) + 0.5;
      c.strokeStyle = colour("grid"); line(c, x, y, right, y);
      c.fillStyle = colour("soft"); c.fillText(write(tick), x - 8, y + 4);
    }
    c.textAlign = "left";
    c.fillText(label, 0, at.end - 12);
  }

  place(event) {
    const box = this.box.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }
}

function line(c, x1, y1, x2, y2) {
  c.beginPath(); c.moveTo(x1, y1); c.lineTo(x2, y2); c.stroke();
}

// Adds a state's shape to the path; strokes or fills are for all of a state at once.
function shape(c, state, x, y, size) {
  const name = data.states[state].shape;
  if (name === "circle" || name === "dot") {
    const radius = name === "dot" ? size * 0.7 : size;
    c.moveTo(x + radius, y); c.arc(x, y, radius, 0, 7);
  } else if (name === "cross") {
    c.moveTo(x - size, y - size); c.lineTo(x + size, y + size);
    c.moveTo(x - size, y + size); c.lineTo(x + size, y - size);
  } else if (name === "triangle") {
    c.moveTo(x - size, y - size); c.lineTo(x + size, y - size); c.lineTo(x, y + size); c.closePath();
  } else c.rect(x - size, y - size, 2 * size, 2 * size);
}

function paint(c, state, ink = colour(STATE_NAMES[state])) {
  const outlined = ["cross", "triangle"].includes(data.states[state].shape);
  c[outlined ? "strokeStyle" : "fillStyle"] = ink;
  c.lineWidth = 1.4;
  if (outlined) c.stroke(); else c.fill();
  c.lineWidth = 1;
}

function sign(state) { // a state's mark for texts
  const space = "http://www.w3.org/2000/svg", svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 14 14"); svg.setAttribute("class", "sign"); svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  const circle = (r) => `M${7 - r} 7a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
  path.setAttribute("d", {circle: circle(4.5), dot: circle(3.2), cross: "M2.5 2.5L11.5 11.5M2.5 11.5L11.5 2.5",
    triangle: "M2.5 3H11.5L7 11.5Z", square: "M2.5 2.5H11.5V11.5H2.5Z"}[data.states[state].shape]);
  path.setAttribute("class", "mark " + STATE_NAMES[state]);
  svg.append(path);
  return svg;
}

// Calls move(x, y, event) without a button, drag(from, to) while one is held, and done(from, to) or click(x, y) after.
function listen(picture, {move, drag, done, click, leave}) {
  let from = null, dragged = false;
  const box = picture.box;
  box.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    from = picture.place(event); dragged = false;
    if (event.pointerType === "mouse") box.setPointerCapture(event.pointerId);
  });
  box.addEventListener("pointermove", (event) => {
    const to = picture.place(event);
    if (from && event.pointerType === "mouse" && Math.hypot(to[0] - from[0], to[1] - from[1]) > 4) dragged = true;
    if (from && dragged && drag) drag(from, to); else if (move) move(...to, event);
  });
  box.addEventListener("pointerup", (event) => {
    if (!from) return;
    const start = from, to = picture.place(event), wasDragged = dragged;
    from = null; dragged = false;
    if (wasDragged && done) done(start, to); else click(...to);
  });
  box.addEventListener("pointercancel", () => { from = null; dragged = false; });
  box.addEventListener("pointerleave", () => { tooltip(null); hover(null); if (leave) leave(); });
}

function tooltip(text, event) {
  const box = document.getElementById("tooltip");
  box.hidden = text === null;
  if (text === null) return;
  box.textContent = text;
  const right = event.clientX + 16 + box.offsetWidth > window.innerWidth;
  box.style.left = Math.max(4, event.clientX + (right ? -12 - box.offsetWidth : 16)) + "px";
  box.style.top = Math.max(4, Math.min(event.clientY + 14, window.innerHeight - box.offsetHeight - 8)) + "px";
}

function stateText(config, part) { // a config that is compared with no other says why, in place of its state
  return configs.no_rank[config] ?? data.states[configs.state[config]][part];
}

function about(config) { // what a tooltip says of a config
  const lines = [configs.label[config], stateText(config, "label")];
  if (configs.y[config] !== null) {
    const score = withInterval(configs.y[config], configs.half_width[config]);
    lines.push(`${data.metric.name} ${score} (${plural(configs.seeds[config], "seed")})`);
    lines.push(`${data.size.label}: ${sizeText(configs.x[config])}`);
  } else lines.push(wordOf("error", trialsOf[config][0]) || "no score");
  for (const one of data.settings.varying.slice(0, 12)) {
    const code = one.codes[config];
    if (code >= 0) lines.push(`${one.key}: ${one.values[code]}`);
  }
  return lines.join("\n");
}

function nearest(x, y, size, placeOf) { // the index whose place is nearest, within 12 pixels
  let best = null, distance = 144;
  for (let i = 0; i < size; i++) {
    const at = placeOf(i);
    if (!at) continue;
    const d = (at[0] - x) ** 2 + (at[1] - y) ** 2;
    if (d < distance) { distance = d; best = i; }
  }
  return best;
}
