// Settings as parallel axes. Each line is a config; coloured are the best of those that the filter keeps.

const AXIS_NONE = -0.1; // place of "none" below an axis that goes from 0 to 1
const MAX_GREY = 1500, MAX_LINES = 3000, MIN_BEST = 50;

// The axes: settings by their index, then the size and the metric.
const axisScales = new Map();

function axisScale(axis) {
  if (axisScales.has(axis)) return axisScales.get(axis);
  let found;
  if (axis === "y") found = scale(...data.frame.y, 0, 1);
  else if (axis === "x") found = scale(...data.frame.x, 0, 1, data.frame.is_log);
  else {
    const {values, number: isNumber, log} = data.settings.varying[axis], last = values.length - 1;
    found = isNumber && last > 0 ? scale(values[0], values[last], 0, 1, log) : scale(0, Math.max(1, last), 0, 1);
    found.named = !isNumber || last === 0;
  }
  axisScales.set(axis, found);
  return found;
}

function axisPlace(axis, config) {
  const at = axisScale(axis);
  if (axis === "x" || axis === "y") {
    const value = configs[axis][config];
    return value === null ? AXIS_NONE : Math.min(1, Math.max(0, at(value)));
  }
  const {values, codes} = data.settings.varying[axis], code = codes[config];
  return code < 0 ? AXIS_NONE : at(at.named ? code : values[code]);
}

function axisName(axis) {
  return axis === "y" ? data.metric.name : axis === "x" ? data.size.label : data.settings.varying[axis].key;
}

function axisTicks(axis) { // [place, text]
  const at = axisScale(axis);
  if (axis === "y") return ticks(at, 6).map((one) => [at(one), String(one)]);
  if (axis === "x") return ticks(at, 6).map((one) => [at(one), sizeText(one)]);
  const {values} = data.settings.varying[axis];
  if (at.named) return values.map((value, code) => [at(code), String(value)]);
  const shown = values.length <= 8 ? values : ticks(at, 6);
  return shown.map((value) => [at(value), short(value)]);
}

function settingsView(parent) {
  let share = numConfigs > MIN_BEST ? 0.05 : 1;
  const caption = make("span");
  const select = make("select", {"aria-label": "which lines are coloured",
    onchange: () => { share = +select.value; later("draw"); }});
  for (const [value, text] of [[0.05, "best 5 %"], [0.25, "best 25 %"], [1, "all"]])
    select.append(make("option", {value, text, selected: value === share}));
  parent.append(make("div", {class: "tools"}, make("label", {}, "Coloured:", select), caption));
  const picture = new Picture(parent, "settings of configs as parallel axes", 400);
  picture.box.classList.add("brush");
  let axes = [], top = 0, bottom = 0, lit = [];

  function layout() {
    const narrow = picture.width < 560;
    const settings = narrow ? mostTelling(3) : data.settings.axes;
    axes = data.frame ? [...settings, "x", "y"] : [...settings];
    [top, bottom] = [54, picture.height - 44];
  }

  function mostTelling(most) { // on a narrow screen: the axes with the most values
    const numValues = (axis) => data.settings.varying[axis].values.length;
    const order = [...data.settings.axes].sort((a, b) => numValues(b) - numValues(a));
    return data.settings.axes.filter((axis) => order.indexOf(axis) < most);
  }

  const axisX = (index) => {
    const [left, right] = [34, picture.width - 42];
    return axes.length === 1 ? (left + right) / 2 : left + index / (axes.length - 1) * (right - left);
  };
  const pixelY = (place) => place < 0 ? bottom + 18 : bottom - place * (bottom - top);

  function trace(c, config) {
    axes.forEach((axis, i) => {
      const px = axisX(i), py = pixelY(axisPlace(axis, config));
      if (i === 0) c.moveTo(px, py); else c.lineTo(px, py);
    });
  }

  function strokeAll(c, list, ink, alpha, width = 1) {
    c.beginPath();
    for (const config of list) trace(c, config);
    Object.assign(c, {strokeStyle: ink, globalAlpha: alpha, lineWidth: width});
    c.stroke();
    Object.assign(c, {globalAlpha: 1, lineWidth: 1});
  }

  function draw() {
    const c = picture.clear(picture.base);
    layout();
    const kept = [];
    for (let i = 0; i < numConfigs; i++) if (keepConfig[i]) kept.push(i); // best first, as the data are
    kept.sort((a, b) => (configs.state[a] > DOMINATED) - (configs.state[b] > DOMINATED) || a - b);
    const most = Math.max(MIN_BEST, Math.ceil(share * kept.length));
    lit = thin(kept.slice(0, share < 1 ? most : kept.length), MAX_LINES);
    const bright = new Set(lit);
    const others = [];
    for (let i = 0; i < numConfigs; i++) if (!bright.has(i)) others.push(i);
    strokeAll(c, thin(others, MAX_GREY), colour("grey"), others.length > 300 ? 0.35 : 0.7);
    const alpha = lit.length > 300 ? 0.3 : 0.65;
    const those = (state) => lit.filter((i) => configs.state[i] === state);
    for (const state of [WASTED, STOPPED, INFEASIBLE]) strokeAll(c, those(state), colour(STATE_NAMES[state]), alpha);
    strokeAll(c, those(DOMINATED), colour("dominated"), Math.max(0.45, alpha), 1.2);
    strokeAll(c, those(FRONT), colour("front"), 0.95, 1.8);
    axes.forEach((axis, i) => drawAxis(c, axis, axisX(i), i));
    caption.textContent = describe(kept.length, others.length);
  }

  function describe(numKeptConfigs, numOthers) {
    const sampled = numOthers > MAX_GREY ? `; grey: ${whole(MAX_GREY)} of the other ${whole(numOthers)}` : "";
    if (numKeptConfigs === 0) return "No config is kept by the filter.";
    return `${whole(lit.length)} of ${plural(numKeptConfigs, "config")}${sampled}. Blue: on the front.`;
  }

  function thin(list, most) {
    return list.length <= most ? list : Array.from({length: most}, (_, i) => list[Math.floor(i * list.length / most)]);
  }

  function drawAxis(c, axis, px, index) {
    const last = index === axes.length - 1;
    c.strokeStyle = colour("soft"); line(c, px, top, px, bottom);
    c.textAlign = last ? "right" : index === 0 ? "left" : "center";
    const parts = nameLines(axis), edge = last ? px + 40 : index === 0 ? px - 34 : px;
    c.fillStyle = colour("soft"); if (parts.length > 1) c.fillText(parts[0], edge, top - 34);
    c.fillStyle = colour("ink"); c.fillText(parts[parts.length - 1], edge, top - 18);
    c.textAlign = "left";
    for (const [place, text] of axisTicks(axis)) label(c, text, px + 5, pixelY(place) + 4);
    const isScore = axis === "x" || axis === "y";
    const hasNone = isScore ? configs[axis].includes(null) : data.settings.varying[axis].codes.includes(-1);
    if (hasNone) label(c, "none", px + 5, bottom + 22);
  }

  function nameLines(axis) { // section and name; on a narrow screen the name in two lines
    const parts = axisName(axis).split("."), words = parts[parts.length - 1].replaceAll("_", " ").split(" ");
    if (picture.width >= 560) return [...parts.slice(0, -1), words.join(" ")];
    return words.length > 1 ? [words.slice(0, -1).join(" "), words[words.length - 1]] : words;
  }

  function label(c, text, px, py) { // with a rim, so that lines do not cross it
    const cut = text.length > 18 ? text.slice(0, 17) + "…" : text;
    c.strokeStyle = colour("background"); c.lineWidth = 3; c.strokeText(cut, px, py); c.lineWidth = 1;
    c.fillStyle = colour("soft"); c.fillText(cut, px, py);
  }

  function mark() {
    const c = picture.clear(picture.over);
    for (const [axis, range] of selection.ranges) {
      const i = axes.indexOf(axis);
      if (i >= 0) drawRange(c, axisX(i), pixelY(range[1]), pixelY(range[0]));
    }
    const marked = [chosen.hover, chosen.config].filter((config) => config !== null);
    strokeAll(c, marked, colour("hover"), 1, 2.2);
  }

  function drawRange(c, px, from, to) {
    c.fillStyle = c.strokeStyle = colour("accent");
    c.globalAlpha = 0.25; c.fillRect(px - 7, from, 14, to - from);
    c.globalAlpha = 1; c.strokeRect(px - 7, from, 14, to - from);
  }

  const axisAt = (px) => {
    let best = 0;
    axes.forEach((_, i) => { if (Math.abs(axisX(i) - px) < Math.abs(axisX(best) - px)) best = i; });
    return Math.abs(axisX(best) - px) < 26 ? best : null;
  };
  const placeAt = (py) => py > bottom + 8 ? AXIS_NONE : Math.min(1, Math.max(0, (bottom - py) / (bottom - top)));

  function lineAt(px, py) { // of the coloured ones
    let best = null, distance = 8;
    for (const config of lit) {
      for (let i = 0; i + 1 < axes.length; i++) {
        const [x1, x2] = [axisX(i), axisX(i + 1)];
        if (px < x1 || px > x2) continue;
        const [y1, y2] = [pixelY(axisPlace(axes[i], config)), pixelY(axisPlace(axes[i + 1], config))];
        const d = Math.abs(y1 + (px - x1) / (x2 - x1) * (y2 - y1) - py);
        if (d < distance) { distance = d; best = config; }
      }
    }
    return best;
  }

  listen(picture, {
    move: (px, py, event) => { const i = lineAt(px, py); hover(i); tooltip(i === null ? null : about(i), event); },
    drag: (from, to) => {
      const i = axisAt(from[0]);
      mark();
      if (i !== null) drawRange(picture.over, axisX(i), Math.min(from[1], to[1]), Math.max(from[1], to[1]));
    },
    done: (from, to) => {
      const i = axisAt(from[0]);
      if (i === null) return;
      const range = [placeAt(from[1]), placeAt(to[1])].sort((a, b) => a - b);
      if (range[0] <= 0.005) range[0] = Math.min(range[0], 0);
      selection.ranges.set(axes[i], [range[0] - 1e-9, range[1] + 1e-9]);
      update();
    },
    click: (px, py) => {
      const i = axisAt(px), found = lineAt(px, py);
      if (i !== null && Math.abs(axisX(i) - px) < 10 && selection.ranges.delete(axes[i])) update();
      else if (found !== null) choose(found);
    },
  });
  return {draw, mark};
}
