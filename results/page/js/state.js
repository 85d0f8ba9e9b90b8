// The data, and the one selection that all views follow.

const data = JSON.parse(document.getElementById("data").textContent);
const configs = data.configs, trials = data.trials;
const numConfigs = configs.label.length, numTrials = trials.id.length;
const [FRONT, DOMINATED, INFEASIBLE, STOPPED, WASTED] = [0, 1, 2, 3, 4];
const STATE_NAMES = data.states.map((one) => one.name);
const isBytes = data.size.name.endsWith("_bytes");
const sizeText = isBytes ? bytes : short;

const selection = {states: data.states.map(() => true), text: "", feasibleOnly: false, box: null, ranges: new Map()};
const keepTrial = new Uint8Array(numTrials).fill(1);
const keepConfig = new Uint8Array(numConfigs).fill(1);
let numKept = numTrials;
const chosen = {config: null, trial: null, hover: null};
const views = []; // each has draw() for all of it and mark() for what is hovered or chosen

const trialsOf = Array.from({length: numConfigs}, () => []);
trials.config.forEach((config, trial) => trialsOf[config].push(trial));

function wordOf(column, index) {
  const code = trials[column].codes[index];
  return code < 0 ? null : trials[column].words[code];
}

const runOf = (trial) => data.runs[trials.run ? trials.run[trial] : 0];

let haystacks = null; // what the text filter looks in; made when it is first needed
function haystack(trial) {
  haystacks = haystacks || trials.id.map((id, i) => {
    const words = ["status", "accelerator", "host", "error"].map((column) => wordOf(column, i));
    return [id, runOf(i), configs.label[trials.config[i]], ...words].join(" ").toLowerCase();
  });
  return haystacks[trial];
}

function isFiltered() {
  return selection.text !== "" || selection.feasibleOnly || selection.box !== null || selection.ranges.size > 0 ||
    selection.states.includes(false);
}

function configPasses(config) {
  if (selection.feasibleOnly && (configs.state[config] > DOMINATED || configs.unsure[config])) return false;
  const box = selection.box, within = (value, [low, high]) => value !== null && value >= low && value <= high;
  if (box && !(within(configs.x[config], box.x) && within(configs.y[config], box.y))) return false;
  for (const [axis, [low, high]] of selection.ranges) {
    const place = axisPlace(axis, config);
    if (place < low || place > high) return false;
  }
  return true;
}

function update() {
  const words = selection.text.toLowerCase().split(/\s+/).filter(Boolean);
  const passes = new Uint8Array(numConfigs);
  for (let config = 0; config < numConfigs; config++) passes[config] = configPasses(config) ? 1 : 0;
  keepConfig.fill(0);
  numKept = 0;
  for (let trial = 0; trial < numTrials; trial++) {
    const config = trials.config[trial];
    const kept = passes[config] && selection.states[trials.state[trial]] &&
      !(selection.feasibleOnly && trials.state[trial] > DOMINATED) && // of a config within the limits, one that failed
      words.every((word) => haystack(trial).includes(word));
    keepTrial[trial] = kept ? 1 : 0;
    if (kept) { keepConfig[config] = 1; numKept++; }
  }
  later("draw");
}

function clearAll() {
  Object.assign(selection, {states: data.states.map(() => true), text: "", feasibleOnly: false, box: null});
  selection.ranges.clear();
  update();
}

function choose(config, trial = null) {
  Object.assign(chosen, {config, trial: trial ?? (config === null ? null : trialsOf[config][0])});
  later("mark");
}

function hover(config) {
  if (chosen.hover === config) return;
  chosen.hover = config;
  later("mark");
}

// At most one drawing a frame, whatever happens in between.
const waiting = new Set();
function later(what) {
  if (waiting.size === 0) requestAnimationFrame(() => {
    const all = waiting.has("draw");
    waiting.clear();
    for (const view of views) { if (all) view.draw(); view.mark(); }
  });
  waiting.add(what);
}
