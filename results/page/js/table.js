// The trials that the filter keeps, best first; a click on a head sorts, a click on a row chooses its config.

const ROWS_AT_ONCE = 50;

function tableColumns() { // name, value to sort by, text
  const text = (value) => value === null || value === undefined ? NONE : String(value);
  const columns = [
    {name: "config", value: (i) => configs.label[trials.config[i]], left: true},
    ...(trials.run ? [{name: "run", value: runOf, left: true}] : []),
    {name: "seed", value: (i) => trials.seed[i] === null ? null : Number(trials.seed[i]),
      show: (_, i) => text(trials.seed[i])}, // beyond 2 ** 53 seeds are texts
    {name: "status", value: (i) => wordOf("status", i) + (trials.stage[i] ? ", confirming" : ""), left: true},
    {name: data.metric.name, value: (i) => trials.y[i], show: (value) => number(value)},
    {name: data.size.label, value: (i) => trials.x[i], show: (value) => number(value, 0)},
    {name: "vs untuned, %", value: (i) => configs.percent[trials.config[i]] ?? null,
      show: (value, i) => value === null ? NONE : signed(value, configs.percent_half_width[trials.config[i]]),
      title: "difference of the config from its control, which was not tuned itself; negative is better"},
    {name: "minutes", value: (i) => trials.minutes[i], show: (value) => number(value, 1)},
    {name: "USD", value: (i) => trials.usd && trials.usd[i], show: (value) => number(value, 3)},
    {name: "on", value: (i) => wordOf("accelerator", i), show: text, left: true, word: true},
    {name: "trial", value: (i) => trials.id[i], left: true},
  ];
  const isEmpty = {"USD": !trials.usd, "vs untuned, %": !Object.keys(configs.percent).length};
  return columns.filter((one) => !isEmpty[one.name]);
}

function tableView(parent) {
  const columns = tableColumns();
  let order = {column: null, down: false}, most = ROWS_AT_ONCE, shown = [];
  const body = make("tbody"), heads = columns.map(headOf);
  const more = make("button", {onclick: () => { most += ROWS_AT_ONCE; fill(); }});
  const caption = make("span", {role: "status"});
  const table = make("table", {}, make("thead", {}, make("tr", {}, make("td"), ...heads)), body);
  const parts = [["tools", caption], ["scroll", table], ["tools", more]];
  parent.append(...parts.map(([kind, inside]) => make("div", {class: kind}, inside)));

  // At first: the best within the limits, then those over a limit, then those without a score.
  function standing(trial) {
    const rank = {[FRONT]: 0, [DOMINATED]: 0, [INFEASIBLE]: 1}[trials.state[trial]] ?? 2;
    return rank * 1e6 + (trials.y[trial] ?? 1e5);
  }

  function headOf(column, index) {
    const button = make("button", {class: "plain", text: column.name, title: column.title, onclick: () => {
      order = {column: index, down: order.column === index && !order.down};
      most = ROWS_AT_ONCE;
      draw();
    }});
    return make("th", {scope: "col", class: column.left ? null : "number"}, button);
  }

  function draw() {
    const value = order.column === null ? standing : columns[order.column].value, sign = order.down ? -1 : 1;
    const kept = [];
    for (let i = 0; i < numTrials; i++) if (keepTrial[i]) kept.push([value(i), i]);
    const isMissing = (one) => one === null || one === undefined; // at the end, whichever way it is sorted
    kept.sort(([a, i], [b, j]) =>
      isMissing(a) - isMissing(b) || (isMissing(a) ? 0 : a < b ? -sign : a > b ? sign : 0) || i - j);
    shown = kept.map(([, i]) => i);
    heads.forEach((head, index) => {
      head.removeAttribute("aria-sort");
      head.firstChild.textContent = columns[index].name;
      if (index !== order.column) return;
      head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      head.firstChild.textContent += order.down ? " ↓" : " ↑";
    });
    fill();
  }

  function fill() {
    body.replaceChildren(...shown.slice(0, most).map(rowOf));
    const nothing = "No trial is kept by the filter. Press Esc to clear it.";
    if (!shown.length) body.append(make("tr", {}, make("td", {colspan: columns.length + 1, text: nothing})));
    const left = shown.length - most;
    more.hidden = left <= 0;
    more.textContent = `${Math.min(ROWS_AT_ONCE, left)} more of ${whole(left)}`;
    caption.textContent = `${Math.min(most, shown.length)} of ${whole(shown.length)} trials listed`;
    mark();
  }

  function rowOf(trial) {
    const pick = () => choose(trials.config[trial], trial);
    const row = make("tr", {class: "row", tabindex: "0", "data-trial": trial, onclick: pick, onkeydown: (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pick(); }
    }});
    row.addEventListener("pointerenter", () => hover(trials.config[trial]));
    row.addEventListener("pointerleave", () => hover(null));
    const state = trials.state[trial];
    const title = state === DOMINATED ? stateText(trials.config[trial], "label") : data.states[state].label;
    row.append(make("td", {title}, sign(state)));
    for (const column of columns) {
      const value = column.value(trial);
      const kind = column.word ? "word" : column.left ? null : "number";
      row.append(make("td", {class: kind, text: column.show ? column.show(value, trial) : value}));
    }
    return row;
  }

  function mark() {
    for (const row of body.children) {
      const isChosen = chosen.config !== null && trials.config[row.dataset.trial] === chosen.config;
      row.classList.toggle("chosen", isChosen);
    }
  }

  return {draw, mark};
}
