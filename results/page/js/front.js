// The front: cross-entropy over bytes. Drag a box to keep what is in it; click a point to choose its config.

function frontView(parent) {
  const frame = data.frame;
  const height = window.innerWidth < 640 ? 360 : 440;
  const picture = new Picture(parent, `${data.metric.label} over ${data.size.label}`, height);
  picture.box.classList.add("brush");
  const numShown = configs.x.filter((size, i) => size !== null && configs.y[i] !== null).length;
  let x, y, places = [];

  function layout() {
    const narrow = picture.width < 560;
    x = scale(...frame.x, narrow ? 44 : 64, picture.width - 14, frame.is_log);
    y = scale(...frame.y, picture.height - 50, 34);
    places = configs.x.map((size, i) =>
      size === null || configs.y[i] === null ? null : [x(size), Math.max(y.end, y(configs.y[i]))]);
  }

  function draw() {
    const c = picture.clear(picture.base);
    layout();
    picture.axisY(y, x.start, x.end, data.metric.label, (value) => String(+value.toPrecision(5)));
    picture.axisX(x, y.start, y.end, data.size.label + (frame.is_log ? ", logarithmic" : ""), sizeText);
    drawLimit(c);
    const size = numConfigs > 2000 ? 2.2 : numConfigs > 200 ? 3 : 4.5;
    drawMarks(c, (i) => !keepConfig[i], () => colour("grey"), size, 0.6);
    const faint = numConfigs > 2000 ? 0.6 : 0.8;
    for (const state of [WASTED, STOPPED, DOMINATED, INFEASIBLE])
      drawMarks(c, (i) => keepConfig[i] && configs.state[i] === state, () => colour(STATE_NAMES[state]), size, faint);
    c.globalAlpha = 1;
    for (const front of data.fronts) drawStep(c, front);
    if (numShown <= 30) drawSeeds(c);
    drawFront(c);
  }

  function drawMarks(c, wanted, ink, size, alpha) {
    c.globalAlpha = alpha;
    for (const state of [DOMINATED, INFEASIBLE, FRONT]) {
      c.beginPath();
      places.forEach((at, i) => {
        if (at && configs.state[i] === state && wanted(i)) shape(c, state, at[0], at[1], size);
      });
      paint(c, state, ink(state));
    }
    c.globalAlpha = 1;
  }

  function drawLimit(c) {
    if (!frame.limit) return;
    const at = x(frame.limit.artifact_bytes), inside = at >= x.start && at <= x.end;
    c.strokeStyle = c.fillStyle = colour("limit");
    if (inside) {
      c.setLineDash([5, 3]); line(c, at, y.end, at, y.start); c.setLineDash([]);
    }
    const name = inside ? frame.limit.name : at > x.end ? frame.limit.name + " →" : "← " + frame.limit.name;
    const isLeft = at > x.end || inside && at - 6 - c.measureText(name).width > x.start;
    c.textAlign = isLeft ? "right" : "left";
    c.fillText(name, inside ? at + (isLeft ? -6 : 6) : isLeft ? x.end - 4 : x.start + 4, y.end + 12);
  }

  function drawStep(c, front) {
    const points = front.map((i) => places[i]);
    if (data.size.best === "max") points.reverse();
    c.beginPath();
    c.moveTo(points[0][0], y.end);
    let level = y.end;
    for (const [px, py] of points) { c.lineTo(px, level); c.lineTo(px, py); level = py; }
    const last = points[points.length - 1][0];
    const limit = frame.limit ? Math.max(last, x(frame.limit.artifact_bytes)) : x.end;
    c.lineTo(data.size.best === "max" ? x.start : Math.min(x.end, limit), level);
    c.strokeStyle = colour("front"); c.lineWidth = 1.5; c.stroke(); c.lineWidth = 1;
  }

  function drawFront(c) {
    const taken = [];
    places.forEach((at, i) => {
      if (!at || configs.state[i] !== FRONT) return;
      const kept = keepConfig[i], ink = colour(kept ? "front" : "grey"), half = configs.half_width[i];
      if (half !== undefined) errorBar(c, at[0], y(configs.y[i] - half), y(configs.y[i] + half), ink);
      c.beginPath(); shape(c, FRONT, at[0], at[1], 4.5); paint(c, FRONT, ink);
      if (kept) drawName(c, i, taken);
    });
    if (numShown <= 12) places.forEach((at, i) => {
      if (at && configs.state[i] !== FRONT && keepConfig[i]) drawName(c, i, taken);
    });
  }

  function errorBar(c, px, low, high, ink) {
    [low, high] = [Math.min(y.start, low), Math.max(y.end, high)];
    c.strokeStyle = ink;
    line(c, px, low, px, high); line(c, px - 3, low, px + 3, low); line(c, px - 3, high, px + 3, high);
  }

  // On the front below the mark, on its better side, where no other config can be; others, if they are few, above it.
  function drawName(c, i, taken) {
    const [px, py] = places[i], name = configs.label[i], isFront = configs.state[i] === FRONT;
    const width = c.measureText(name).width, baseline = py + (isFront ? 15 : -8);
    const isLeft = px - 8 - width > x.start && (isFront ? data.size.best === "min" : px + 8 + width > x.end);
    const left = isLeft ? px - 8 - width : px + 8, right = left + width;
    const clear = taken.every(([a, b, other]) => Math.abs(baseline - other) > 14 || left > b || right < a);
    const few = numShown <= 12;
    if (isFront && !few && isLeft !== (data.size.best === "min")) return; // on the other side are other configs
    if (!clear || right > x.end || baseline > y.start || baseline < y.end || taken.length >= (few ? 12 : 8)) return;
    taken.push([left, right, baseline]);
    c.fillStyle = colour("ink");
    c.textAlign = isLeft ? "right" : "left";
    c.fillText(name, isLeft ? right : left, baseline);
  }

  function drawSeeds(c) { // each trial that counts, where there are few configs
    for (const state of [INFEASIBLE, DOMINATED, FRONT]) {
      c.beginPath();
      trials.y.forEach((value, trial) => {
        const size = trials.x[trial], isOne = trials.state[trial] === state && !trials.stage[trial];
        if (!isOne || !keepTrial[trial] || size === null || value === null) return;
        const [px, py] = [x(size), Math.min(y.start, Math.max(y.end, y(value)))];
        c.moveTo(px + 1.5, py); c.arc(px, py, 1.5, 0, 7);
      });
      c.fillStyle = colour(STATE_NAMES[state]); c.fill();
    }
  }

  function mark() {
    const c = picture.clear(picture.over), box = selection.box;
    if (box) drawBox(c, x(box.x[0]), Math.max(y.end, y(box.y[1])), x(box.x[1]), y(box.y[0]));
    for (const [config, size] of [[chosen.hover, 7], [chosen.config, 9]]) {
      const at = config === null ? null : places[config];
      if (!at) continue;
      c.strokeStyle = colour("hover"); c.lineWidth = 2;
      c.beginPath(); c.arc(at[0], at[1], size, 0, 7); c.stroke();
      if (config === chosen.config) drawSeedsOf(c, config);
    }
  }

  function drawSeedsOf(c, config) { // each seed of the chosen config
    c.fillStyle = colour("hover");
    for (const trial of trialsOf[config]) {
      const [size, value] = [trials.x[trial], trials.y[trial]];
      if (size === null || value === null) continue;
      c.beginPath(); c.arc(x(size), Math.max(y.end, y(value)), 2, 0, 7); c.fill();
    }
  }

  function drawBox(c, x1, y1, x2, y2) {
    c.strokeStyle = c.fillStyle = colour("accent");
    c.globalAlpha = 0.08; c.fillRect(x1, y1, x2 - x1, y2 - y1);
    c.globalAlpha = 1; c.lineWidth = 1; c.strokeRect(x1, y1, x2 - x1, y2 - y1);
  }

  const at = (px, py) => nearest(px, py, numConfigs, (i) => keepConfig[i] ? places[i] : null);
  listen(picture, {
    move: (px, py, event) => { const i = at(px, py); hover(i); tooltip(i === null ? null : about(i), event); },
    drag: (from, to) => { mark(); drawBox(picture.over, from[0], from[1], to[0], to[1]); },
    done: (from, to) => {
      const xs = [x.back(from[0]), x.back(to[0])].sort((a, b) => a - b);
      const ys = [y.back(from[1]), y.back(to[1])].sort((a, b) => a - b);
      if (Math.min(from[1], to[1]) <= y.end) ys[1] = Infinity; // those at the upper edge belong to it
      selection.box = {x: xs, y: ys};
      update();
    },
    click: (px, py) => {
      const i = at(px, py);
      if (i !== null) choose(i); else if (selection.box) { selection.box = null; update(); }
    },
  });
  return {draw, mark};
}
