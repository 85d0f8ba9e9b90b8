// Starts the views that the page has a place for, one after the other, so that the first is there at once.

document.documentElement.classList.add("js");

const makers = {front: frontView, settings: settingsView, curves: curvesView, devices: devicesView, table: tableView};
const hasSettings = data.settings.varying.length > 0;
const present = {front: data.frame, settings: hasSettings, curves: data.curves, devices: data.timeline, table: true};

if (numTrials) views.push(filterView(document.getElementById("filter")), pinView(document.getElementById("pin")));
else document.getElementById("filter").hidden = true;

const places = [...document.querySelectorAll("[data-view]")].filter((one) => present[one.dataset.view]);

const curvesPlace = document.querySelector("[data-view=curves]");
if (curvesPlace && !data.curves && data.left_out) curvesPlace.append(make("p", {class: "empty", text: data.left_out}));

function startNext() {
  const place = places.shift();
  if (!place) return ready();
  const view = makers[place.dataset.view](place);
  view.draw();
  view.mark();
  views.push(view);
  setTimeout(startNext, 0);
}

function ready() {
  document.documentElement.dataset.ready = "yes";
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (chosen.config !== null) choose(null); else clearAll();
});

let resizing = 0;
window.addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(() => later("draw"), 80); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => later("draw"));

// Paper is light, and finer than a screen.
function printing(isPrint) {
  document.documentElement.classList.toggle("print", isPrint);
  printScale = isPrint ? 3 : 0;
  for (const box of document.querySelectorAll(".picture")) box.style.width = isPrint ? PRINT_WIDTH + "px" : "";
  for (const view of views) { view.draw(); view.mark(); }
}
window.addEventListener("beforeprint", () => printing(true));
window.addEventListener("afterprint", () => printing(false));

views.forEach((view) => view.draw());
startNext();
