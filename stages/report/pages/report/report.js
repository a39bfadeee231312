const { charts, plots, binary, is_digit } = JSON.parse(document.getElementById("embedded").textContent);
const rows = ([names, ...lines]) => lines.map((line) => Object.fromEntries(line.map((value, i) => [names[i], value])));
const whole = new Intl.NumberFormat("en");
const show = (name, text) => (document.querySelector(`[data-value="${name}"]`).textContent = text);

const views = {};
for (const figure of document.querySelectorAll("[data-chart]")) {
  const { chart, plot } = figure.dataset;
  views[chart] = await draw(figure.querySelector(".chart"), charts[chart], rows(plots[plot]));
}

// The threshold: a slider over the points of a detector's precision/recall curve.
const curve = Object.groupBy(rows(plots.precision_recall), (row) => row.model);
const { model, point } = document.getElementById("threshold-form").elements;
model.append(...Object.keys(curve).map((name) => new Option(name)));

const chooseModel = () => {
  const points = curve[model.value];
  const chosen = points.findIndex((row) => row.chosen === "1");
  point.max = points.length - 1;
  point.value = chosen < 0 ? points.length >> 1 : chosen;
  choosePoint();
};

const choosePoint = () => {
  const row = curve[model.value][point.value];
  const [threshold, tp, fp] = [row.threshold, row.true_positives, row.false_positives].map(Number);
  const at = binary[model.value].confusion;
  const fn = at.tp + at.fn - tp;
  const tn = at.fp + at.tn - fp;
  for (const [name, count] of Object.entries({ tn, fp, fn, tp })) {
    show(name, whole.format(count));
  }
  const shares = { precision: tp / (tp + fp), recall: tp / (tp + fn), f1: (2 * tp) / (2 * tp + fp + fn), fpr: fp / (fp + tn) };
  for (const [name, share] of Object.entries(shares)) {
    show(name, share.toFixed(4));
  }
  const shown = threshold.toLocaleString("en", { maximumFractionDigits: Math.abs(threshold) < 10 ? 4 : 1 });
  show("threshold", shown);
  point.setAttribute("aria-valuetext", shown);
  views.threshold.signal("at", { model: model.value, threshold }).runAsync();
};

model.addEventListener("change", chooseModel);
point.addEventListener("input", choosePoint);
chooseModel();

// The errors: of a cell, its tile, without the line around it, in the picture that has one for each,
// after a row and a column of headings.
const counts = rows(plots.confusion);
const classes = [...new Set(counts.map((cell) => cell.actual))];
const { actual, predicted } = document.getElementById("errors-form").elements;
const canvas = document.getElementById("examples");
const tiles = document.querySelector("details img");
await tiles.decode();

const a = is_digit ? "a " : "";
const chooseCell = () => {
  const [row, column] = [actual.value, predicted.value];
  const tile = tiles.naturalWidth / (classes.length + 1);
  canvas.width = canvas.height = tile - 2;
  const [left, top] = [column, row].map((name) => (1 + classes.indexOf(name)) * tile + 1);
  canvas.getContext("2d").drawImage(tiles, -left, -top);
  const ofRow = counts.filter((cell) => cell.actual === row);
  const { count } = ofRow.find((cell) => cell.predicted === column);
  const total = ofRow.reduce((sum, cell) => sum + Number(cell.count), 0);
  const text = `${whole.format(count)} of ${whole.format(total)} images of ${a}${row} are classified as ${column}.`;
  document.getElementById("examples-caption").textContent = text;
  canvas.setAttribute("aria-label", `Examples of ${a}${row} classified as ${column}`);
};

for (const select of [actual, predicted]) {
  select.append(...classes.map((name) => new Option(name)));
  select.addEventListener("change", chooseCell);
}
const choose = (cell) => {
  actual.value = cell.actual;
  predicted.value = cell.predicted;
  chooseCell();
};
for (const name of ["confusion", "errors"]) {
  views[name].addEventListener("click", (_, item) => item?.datum?.actual !== undefined && choose(item.datum));
}
const mistakes = counts.filter((cell) => cell.actual !== cell.predicted);
choose(mistakes.reduce((most, cell) => (Number(cell.count) > Number(most.count) ? cell : most)));
document.body.dataset.drawn = true;
