// The bar that stays on top: states, text, feasible only, what was brushed, and how many trials are left.

function filterView(bar) {
  const text = make("input", {type: "search", placeholder: "filter by words", "aria-label": "filter by words",
    oninput: () => { selection.text = text.value; update(); }});
  const feasible = make("input", {type: "checkbox",
    onchange: () => { selection.feasibleOnly = feasible.checked; update(); }});
  const chips = data.states.map((state, index) => {
    const count = trials.state.filter((one) => one === index).length;
    if (!count) return null;
    const chip = make("button", {class: "chip", title: state.title, "aria-label": `${state.label}, ${count} trials`,
      onclick: () => { selection.states[index] = !selection.states[index]; update(); }},
    sign(index), make("span", {text: state.label}), make("b", {text: whole(count)}));
    chip.addEventListener("dblclick", () => { selection.states = data.states.map((_, i) => i === index); update(); });
    return chip;
  });
  const clear = make("button", {text: "clear", title: "Esc", onclick: clearAll});
  const count = make("span", {class: "count", role: "status"});
  const brushed = make("span", {class: "tools"});
  const box = make("label", {title: "within all constraints, with a score"}, feasible, "feasible only");
  bar.append(count, text, ...chips.filter(Boolean), box, brushed, clear);

  function draw() {
    if (text.value !== selection.text) text.value = selection.text;
    feasible.checked = selection.feasibleOnly;
    chips.forEach((chip, index) => chip && chip.setAttribute("aria-pressed", String(selection.states[index])));
    clear.hidden = !isFiltered();
    count.textContent = `${whole(numKept)} of ${plural(numTrials, "trial")}`;
    const parts = [...selection.ranges.keys()].map((axis) => drop(axisName(axis), () => selection.ranges.delete(axis)));
    if (selection.box) parts.unshift(drop("box on the front", () => { selection.box = null; }));
    brushed.replaceChildren(...parts);
  }

  function drop(name, undo) {
    return make("button", {class: "chip", text: `${name} ✕`, "aria-label": `drop the range of ${name}`,
      onclick: () => { undo(); update(); }});
  }

  return {draw, mark() {}};
}
