// The panel of the chosen config: what it is, whether it can be believed, its files and its commands.

function pinView(panel) {
  let last = null;

  function mark() {
    const key = chosen.config === null ? null : chosen.config + "/" + chosen.trial;
    if (key === last) return;
    last = key;
    panel.hidden = key === null;
    if (key !== null) panel.replaceChildren(...parts(chosen.config, chosen.trial));
  }

  function parts(config, trial) {
    return [
      make("button", {class: "close", text: "✕", "aria-label": "close", onclick: () => choose(null)}),
      make("h2", {}, sign(configs.state[config]), " " + configs.label[config]),
      ...facts(config, trial),
      ...trialRows(config, trial),
      ...settingsOf(config),
      ...filesOf(trial),
      ...commands(trial),
    ];
  }

  function facts(config, trial) {
    const found = [], add = (name, value) => found.push(make("dt", {text: name}), make("dd", {text: value}));
    if (configs.y[config] !== null) {
      add(data.metric.name, withInterval(configs.y[config], configs.half_width[config]));
      add(data.size.label, number(configs.x[config], 0));
    }
    const percent = configs.percent[config];
    if (percent !== undefined) {
      const difference = signed(percent, configs.percent_half_width[config]);
      const control = configs.label[configs.control[config]] ?? "its control";
      add(`against ${control}`, `${difference} % (${plural(configs.pairs[config], "seed")})`);
    }
    if (configs.chance[config] !== undefined) add("chance to stay on the front", number(configs.chance[config], 2));
    const notes = [...(configs.claim[config] || []), ...stopText(trial)];
    if (configs.seeds[config] === 1) notes.unshift("One seed: nobody knows how far chance moved it.");
    const error = wordOf("error", trial);
    if (error) notes.push(error);
    return [make("p", {class: "note", text: stateText(config, "title")}), make("dl", {}, ...found),
      ...notes.map((text) => make("p", {text}))];
  }

  function trialRows(config, chosenTrial) {
    const ordered = [...trialsOf[config]].sort((a, b) => (trials.seed[a] ?? 0) - (trials.seed[b] ?? 0) || a - b);
    const rows = ordered.slice(0, 20).map((trial) => trialRow(config, trial, trial === chosenTrial));
    const names = ["seed", "status", data.metric.name, "minutes"];
    const heads = names.map((text, i) => make("th", {text, scope: "col", class: i > 1 ? "number" : null}));
    const table = make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows));
    return [make("h3", {text: "Its trials"}), make("div", {class: "scroll"}, table)];
  }

  function trialRow(config, trial, isChosen) {
    const pick = () => choose(config, trial);
    return make("tr", {class: isChosen ? "row chosen" : "row", tabindex: "0", onclick: pick,
      onkeydown: (event) => { if (event.key === "Enter") pick(); }},
    make("td", {text: String(trials.seed[trial] ?? NONE)}),
    make("td", {text: wordOf("status", trial) + (trials.stage[trial] ? ", confirming" : "")}),
    make("td", {class: "number", text: number(trials.y[trial])}),
    make("td", {class: "number", text: number(trials.minutes[trial], 1)}));
  }

  function settingsOf(config) {
    const list = make("dl");
    for (const one of data.settings.varying) {
      const code = one.codes[config];
      const text = data.settings.exact[one.key]?.[code] ?? String(one.values[code]);
      if (code >= 0) list.append(make("dt", {text: one.key}), make("dd", {text}));
    }
    const copy = make("button", {text: "copy config", title: "all settings as YAML, for `frostline train`"});
    copy.addEventListener("click", () => copyText(configYaml(config, chosen.trial), copy));
    return [make("h3", {text: "Settings that vary"}), list, copy];
  }

  function filesOf(trial) {
    const bits = trials.files.have[trial];
    if (!bits) return [];
    const root = trials.files.roots[trials.run ? trials.run[trial] : 0];
    const links = trials.files.names.filter((_, bit) => bits & (1 << bit)).map((name) =>
      make("a", {href: [root, ...[trials.id[trial], name].map(encodeURIComponent)].join("/"), text: name}));
    return [make("h3", {text: "Files, beside this page"}), make("p", {}, ...links.flatMap((one) => [one, " "]))];
  }

  function commands(trial) {
    const run = runOf(trial), id = trials.id[trial];
    const artifact = 1 << trials.files.names.indexOf("artifact.frost"), status = wordOf("status", trial);
    const lines = [];
    if (status === "completed") lines.push(`frostline replay ${quoted(run)} ${quoted(id)}`);
    if (trials.files.have[trial] & artifact)
      lines.push("frostline eval " + quoted(`${run}/trials/${id}/artifact.frost`));
    if (["stopped_early", "failed", "out_of_memory"].includes(status))
      lines.push(`frostline retry ${quoted(run)} ${quoted(id)}`);
    if (!lines.length) return [];
    const copy = make("button", {text: "copy"});
    copy.addEventListener("click", () => copyText(lines.join("\n"), copy));
    return [make("h3", {text: "Commands"}), make("pre", {}, make("code", {text: lines.join("\n")})), copy];
  }

  return {draw() {}, mark};
}

function quoted(text) { // for a shell
  return /^[\w./:@%+=-]+$/.test(text) ? text : "'" + text.replaceAll("'", "'\\''") + "'";
}

// A trial file. A null is written too, as a family of models may fill it otherwise; but no section that is all null,
// which the recipe does not read. Texts are JSON strings, which YAML reads.
function configYaml(config, trial) {
  const sections = new Map([["", [["seed", trials.seed[trial], String(trials.seed[trial])]]]]);
  const put = (key, value, code = 0) => {
    const cut = key.indexOf("."), section = cut < 0 ? "" : key.slice(0, cut);
    if (!sections.has(section)) sections.set(section, []);
    const isList = value !== null && data.settings.lists.includes(key);
    const given = isList ? value.split(",").filter(Boolean) : value;
    sections.get(section).push([key.slice(cut + 1), given, data.settings.exact[key]?.[code] ?? JSON.stringify(given)]);
  };
  for (const [key, value] of Object.entries(data.settings.shared)) put(key, value);
  for (const {key, codes, values} of data.settings.varying) put(key, values[codes[config]] ?? null, codes[config]);
  const lines = [];
  for (const [section, settings] of sections) {
    if (settings.every(([, value]) => value === null)) continue;
    if (section) lines.push(section + ":");
    for (const [name, , text] of settings) lines.push(`${section ? "  " : ""}${name}: ${text}`);
  }
  return lines.join("\n") + "\n";
}

function copyText(text, button) {
  const before = button.textContent;
  const done = (word) => {
    button.textContent = word;
    setTimeout(() => { button.textContent = before; }, 1200);
  };
  const byHand = () => { // where a page from a disk may not use the clipboard
    const area = make("textarea");
    area.value = text;
    document.body.append(area); area.select();
    const copied = document.execCommand("copy");
    area.remove(); button.focus();
    done(copied ? "copied" : "could not copy");
  };
  if (navigator.clipboard) navigator.clipboard.writeText(text).then(() => done("copied"), byHand); else byHand();
}
