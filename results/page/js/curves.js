// Loss over steps: the front and a sample, on a band that most trials keep in; what was stopped, and why.

function curvesView(parent) {
  const curves = data.curves;
  const names = {train_ce: "training loss (nats/token)", val_ce: "validation loss before packing (nats/token)"};
  let log = false;
  const box = make("input", {type: "checkbox", onchange: () => { log = box.checked; later("draw"); }});
  const caption = make("span");
  parent.append(make("div", {class: "tools"}, make("label", {}, box, "logarithmic steps"), caption));
  const picture = new Picture(parent, "loss over training steps", 400);
  const steps = decode16(curves.steps, 0, curves.max_step), values = decode16(curves.values, curves.low, curves.high);
  const starts = [];
  curves.lengths.reduce((sum, length) => { starts.push(sum); return sum + length; }, 0);
  const front = curves.rows.filter((row) => trials.state[row] === FRONT).sort((a, b) => trials.y[a] - trials.y[b]);
  const lineOf = new Map(curves.rows.map((row, i) => [row, i]));
  let x, y;

  function layout() {
    const first = Math.max(1, Math.min(...starts.map((start) => steps[start])));
    x = scale(log ? first : 0, curves.max_step, picture.width < 560 ? 44 : 64, picture.width - 14, log);
    const high = log ? curves.high : topOf();
    const room = (high - curves.low || 1) * 0.04;
    y = scale(curves.low - room, high + room, picture.height - 50, 34);
  }

  function topOf() { // the first steps are far above the rest: on linear steps they may leave the picture
    const late = [];
    for (let i = 0; i < steps.length; i++) if (steps[i] > 0.08 * curves.max_step) late.push(values[i]);
    late.sort((a, b) => a - b);
    return late.length ? late[Math.floor(0.99 * (late.length - 1))] : curves.high;
  }

  function trace(c, index) {
    const start = starts[index], end = start + curves.lengths[index];
    for (let i = start; i < end; i++) {
      const px = x(Math.max(steps[i], x.low)), py = Math.max(y.end - 6, y(values[i]));
      if (i === start) c.moveTo(px, py); else c.lineTo(px, py);
    }
  }

  function end(index) {
    const i = starts[index] + curves.lengths[index] - 1;
    return [x(Math.max(steps[i], x.low)), Math.max(y.end - 6, y(values[i]))];
  }

  function strokeAll(c, wanted, ink, alpha, width) {
    c.beginPath();
    curves.rows.forEach((row, index) => { if (wanted(row)) trace(c, index); });
    Object.assign(c, {strokeStyle: ink, globalAlpha: alpha, lineWidth: width});
    c.stroke();
    Object.assign(c, {globalAlpha: 1, lineWidth: 1});
  }

  function draw() {
    const c = picture.clear(picture.base);
    layout();
    picture.axisY(y, x.start, x.end, names[curves.metric], short);
    picture.axisX(x, y.start, y.end, "optimizer steps" + (log ? ", logarithmic" : ""), short);
    c.save();
    c.beginPath(); c.rect(x.start, y.end - 6, picture.width - x.start, y.start - y.end + 8); c.clip();
    drawBand(c);
    const many = curves.rows.length > 60;
    strokeAll(c, (row) => !keepTrial[row], colour("grey"), many ? 0.4 : 0.7, 1);
    const isKept = (state) => (row) => keepTrial[row] && trials.state[row] === state;
    for (const state of [WASTED, INFEASIBLE, DOMINATED, STOPPED])
      strokeAll(c, isKept(state), colour(STATE_NAMES[state]), many ? 0.4 : 0.75, 1);
    const crowded = front.length > 30;
    strokeAll(c, isKept(FRONT), colour("front"), crowded ? 0.35 : 0.9, crowded ? 1 : 1.5);
    strokeAll(c, (row) => row === front[0] && keepTrial[row], colour("front"), 1, 2.5);
    drawEnds(c);
    c.restore();
    caption.textContent = describe();
  }

  function describe() {
    const kept = curves.rows.filter((row) => keepTrial[row]).length, drawn = curves.rows.length;
    const sample = drawn < curves.num_all ? ` (the front and a sample of ${whole(curves.num_all)})` : "";
    const parts = [`${kept} of ${drawn} curves drawn in colour${sample}.`];
    if (curves.band.length) parts.push("Band: 10 to 90 % of all trials that came to that step.");
    if (front.length) parts.push("Thick: the best on the front.");
    if (data.left_out) parts.push(data.left_out);
    return parts.join(" ");
  }

  function drawBand(c) {
    if (curves.band.length < 2) return;
    const low = curves.band.map(([step, value]) => [step, value]);
    const high = curves.band.map(([step, , , value]) => [step, value]).reverse();
    c.beginPath();
    for (const [step, value] of [...low, ...high]) c.lineTo(x(Math.max(step, x.low)), y(value));
    c.closePath();
    c.fillStyle = colour("band"); c.fill();
  }

  function drawEnds(c) { // a mark where a trial was stopped or lost
    for (const state of [STOPPED, WASTED]) {
      c.beginPath();
      curves.rows.forEach((row, index) => {
        if (trials.state[row] === state && keepTrial[row]) shape(c, state, ...end(index), 3.5);
      });
      paint(c, state);
    }
  }

  function mark() {
    const c = picture.clear(picture.over);
    c.save();
    c.beginPath(); c.rect(x.start, y.end - 6, picture.width - x.start, y.start - y.end + 8); c.clip();
    for (const config of [chosen.hover, chosen.config]) {
      if (config === null) continue;
      for (const trial of trialsOf[config]) if (lineOf.has(trial)) {
        c.beginPath(); trace(c, lineOf.get(trial));
        c.strokeStyle = colour("hover"); c.lineWidth = 2; c.stroke(); c.lineWidth = 1;
        drawStop(c, trial);
      }
    }
    c.restore();
  }

  function drawStop(c, trial) { // from where it was stopped to what it was expected to reach, and its best case
    const stop = trials.stop[trial];
    if (!stop || stop[1] === null || stop[3] === null) return;
    const [px, py] = end(lineOf.get(trial)), right = x(Math.min(stop[1], curves.max_step)) - 4;
    c.strokeStyle = colour("stopped"); c.setLineDash([4, 3]);
    line(c, px, py, right, y(stop[2])); c.setLineDash([]);
    line(c, right, y(stop[2]), right, y(stop[3])); line(c, right - 4, y(stop[3]), right + 4, y(stop[3]));
  }

  function at(px, py) {
    let best = null, distance = 144;
    curves.rows.forEach((row, index) => {
      if (!keepTrial[row]) return;
      for (let i = starts[index]; i < starts[index] + curves.lengths[index]; i++) {
        const d = (x(Math.max(steps[i], x.low)) - px) ** 2 + (y(values[i]) - py) ** 2;
        if (d < distance) { distance = d; best = row; }
      }
    });
    return best;
  }

  listen(picture, {
    move: (px, py, event) => {
      const row = at(px, py);
      hover(row === null ? null : trials.config[row]);
      tooltip(row === null ? null : [trials.id[row], ...stopText(row), about(trials.config[row])].join("\n"), event);
    },
    click: (px, py) => { const row = at(px, py); if (row !== null) choose(trials.config[row], row); },
  });
  return {draw, mark};
}

function stopText(trial) { // what early stopping found of a trial, in words
  const stop = trials.stop[trial];
  if (!stop) return [];
  const [step, planned, predicted, best, rival, ranOn] = stop;
  const what = ranOn ? "to be stopped, ran on to check the rule:" : "stopped early";
  const lines = [`${what} at step ${number(step, 0)} of ${number(planned, 0)}`];
  lines.push(`expected to end with ${number(predicted)}, at best ${number(best)}`);
  if (rival) lines.push(`${rival} is better, with no more bytes`);
  return lines;
}
