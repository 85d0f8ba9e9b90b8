// Which device was busy when. Bars below a pixel merge into the share that was busy; what was lost lies on top.

function devicesView(parent) {
  const time = data.timeline, bars = time.bars, all = [0, time.seconds || 1];
  let span = [...all], x;
  const inks = [...STATE_NAMES, "running", "check"], others = ["running", "canary or sentinel"];
  const reset = make("button", {text: "whole time", hidden: true, onclick: () => zoom(all)});
  parent.append(make("div", {class: "tools"}, legend(), reset));
  const gap = 16, head = 6;
  const laneHeight = Math.max(1, Math.min(14, Math.floor(640 / Math.max(1, time.lanes))));
  const height = head + time.lanes * laneHeight + time.nodes.length * gap + 44;
  const picture = new Picture(parent, "devices over time", height);
  picture.box.classList.add("brush");
  const nodeOfLane = [];
  time.nodes.forEach((node, i) => { for (let lane = 0; lane < node.lanes; lane++) nodeOfLane.push(i); });
  const order = bars.lane.map((_, i) => i).sort((a, b) => importance(a) - importance(b));
  function importance(i) { return bars.state[i] === WASTED ? 2 : bars.state[i] === FRONT ? 1 : 0; }

  function legend() {
    const items = make("span", {class: "tools"});
    for (const state of [...new Set(bars.state)].sort()) {
      const swatch = make("span");
      swatch.className = "swatch";
      swatch.style.background = `var(--${inks[state]})`;
      const known = data.states.length, name = state < known ? data.states[state].label : others[state - known];
      items.append(make("label", {}, swatch, name));
    }
    return items;
  }

  function zoom(to) {
    span = to[1] - to[0] < 1 ? span : [...to];
    reset.hidden = span[0] <= all[0] && span[1] >= all[1];
    later("draw");
  }

  const top = (lane) => head + lane * laneHeight + (nodeOfLane[lane] + 1) * gap;

  function draw() {
    const c = picture.clear(picture.base);
    x = scale(span[0], span[1], 4, picture.width - 4);
    const low = picture.height - 40;
    const wall = scale(time.start + span[0], time.start + span[1], x.start, x.end);
    const seconds = span[1] - span[0] < 600;
    const days = [...new Set([day(wall.low), day(wall.high)])].join(" to ");
    picture.axisX(wall, low, head, `${days}, UTC`, (one) => hour(one, seconds), {steps: TIME_STEPS});
    drawNodes(c);
    drawBars(c);
  }

  function drawNodes(c) {
    time.nodes.forEach((node) => {
      const y = top(node.lane);
      c.fillStyle = colour("band"); // where the machine was there: what shows of it is idle
      const [left, right] = [Math.max(x.start, x(node.from)), Math.min(x.end, x(node.to))];
      if (right > left) c.fillRect(left, y, right - left, node.lanes * laneHeight - 1);
      c.fillStyle = colour("soft"); c.textAlign = "left";
      c.fillText(nodeText(node), x.start, y - 4);
    });
  }

  function nodeText(node) {
    const parts = [`${node.host} · ${node.accelerator}`];
    if (node.up_seconds) {
      const busy = Math.round(100 * node.busy_seconds / node.up_seconds);
      parts.push(`${busy} % busy`, `${duration(node.idle_seconds)} idle`);
      if (node.lost_seconds) parts.push(`${duration(node.lost_seconds)} lost`);
    }
    return parts.join(", ");
  }

  function drawBars(c) {
    const width = Math.ceil(picture.width), shares = new Map();
    const thick = laneHeight > 3 ? laneHeight - 1 : laneHeight;
    for (const i of order) {
      const left = Math.max(x.start, x(bars.from[i])), right = Math.min(x.end, x(bars.to[i]));
      if (right < x.start || left > x.end || right < left) continue;
      const kept = bars.row[i] < 0 || keepTrial[bars.row[i]], state = bars.state[i];
      const wasted = state === WASTED && kept;
      if (right - left < 1 && !wasted) { // a share of one pixel
        const key = bars.lane[i] * width + Math.floor(left);
        shares.set(key, (shares.get(key) || 0) + right - left);
        continue;
      }
      if (wasted && shares.size) flush();
      c.fillStyle = colour(kept ? inks[state] : "grey");
      c.globalAlpha = kept && state === DOMINATED ? 0.75 : 1;
      const gapRight = right - left > 4 ? 1 : 0; // so that neighbours are told apart
      c.fillRect(left, top(bars.lane[i]), Math.max(wasted ? 1.5 : 0.7, right - left - gapRight), thick);
    }
    flush();

    function flush() {
      c.fillStyle = colour("dominated");
      for (const [key, share] of shares) {
        c.globalAlpha = Math.min(1, share);
        c.fillRect(key % width, top(Math.floor(key / width)), 1, thick);
      }
      c.globalAlpha = 1;
      shares.clear();
    }
  }

  function mark() {
    const c = picture.clear(picture.over);
    if (chosen.hover === null && chosen.config === null) return;
    c.strokeStyle = colour("hover"); c.lineWidth = 1.5;
    for (let i = 0; i < bars.row.length; i++) {
      const config = bars.row[i] < 0 ? null : trials.config[bars.row[i]];
      if (config === null || (config !== chosen.hover && config !== chosen.config)) continue;
      const [left, right] = [x(bars.from[i]), x(bars.to[i])];
      if (right < x.start || left > x.end) continue;
      c.strokeRect(left - 0.5, top(bars.lane[i]) - 1, Math.max(3, right - left), laneHeight + 1);
    }
  }

  function at(px, py) {
    for (let k = order.length - 1; k >= 0; k--) {
      const i = order[k], y = top(bars.lane[i]);
      if (py >= y && py <= y + laneHeight && px >= x(bars.from[i]) - 1 && px <= x(bars.to[i]) + 1) return i;
    }
    return null;
  }

  function describe(i) {
    const row = bars.row[i], since = time.start + bars.from[i];
    const isCheck = inks[bars.state[i]] === "check";
    const wasted = bars.lost[i] ? "lost: its worker died" : "wasted";
    const what = bars.state[i] === WASTED ? wasted : isCheck ? others[1] : inks[bars.state[i]];
    const name = row >= 0 ? trials.id[row] : isCheck ? "a check of the node" : "a trial without a row yet";
    const lines = [name, what, `${clock(since)}, ${duration(bars.to[i] - bars.from[i])}`];
    if (row >= 0 && wordOf("error", row)) lines.push(wordOf("error", row));
    return lines.join("\n");
  }

  listen(picture, {
    move: (px, py, event) => {
      const i = at(px, py);
      hover(i === null || bars.row[i] < 0 ? null : trials.config[bars.row[i]]);
      tooltip(i === null ? null : describe(i), event);
    },
    drag: (from, to) => {
      mark();
      const c = picture.over, left = Math.min(from[0], to[0]);
      c.fillStyle = colour("accent"); c.globalAlpha = 0.15;
      c.fillRect(left, 0, Math.abs(to[0] - from[0]), picture.height); c.globalAlpha = 1;
    },
    done: (from, to) => {
      const ends = [x.back(from[0]), x.back(to[0])].sort((a, b) => a - b);
      zoom(ends.map((one) => Math.max(all[0], Math.min(all[1], one))));
    },
    click: (px, py) => {
      const i = at(px, py);
      if (i !== null && bars.row[i] >= 0) choose(trials.config[bars.row[i]], bars.row[i]);
    },
  });
  picture.box.addEventListener("dblclick", () => zoom(all));
  return {draw, mark};
}
