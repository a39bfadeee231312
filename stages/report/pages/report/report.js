const { charts, plots, binary, classes, is_digit, target, linear, svm } = JSON.parse(document.getElementById("embedded").textContent);
const rows = ([names, ...lines]) => lines.map((line) => Object.fromEntries(line.map((value, i) => [names[i], value])));
const whole = new Intl.NumberFormat("en");
const precise = (value) => value.toLocaleString("en", { maximumFractionDigits: Math.abs(value) < 10 ? 4 : 1 });
const show = (name, text) => (document.querySelector(`[data-value="${name}"]`).textContent = text);

const views = {};
for (const figure of document.querySelectorAll("[data-chart]")) {
  const { chart, plot } = figure.dataset;
  views[chart] = await draw(figure.querySelector(".chart"), charts[chart], rows(plots[plot]));
}

// The threshold: a slider over the points of a detector's precision/recall curve.
const curve = Object.groupBy(rows(plots.precision_recall), (row) => row.model);
const { model, point } = document.getElementById("threshold-form").elements;
model.append(...Object.keys(curve).map((name) => new Option(name, name)));

// Where the slider is, for each detector.
const positions = {};
for (const [name, points] of Object.entries(curve)) {
  const chosen = points.findIndex((row) => row.chosen === "1");
  positions[name] = chosen < 0 ? points.length >> 1 : chosen;
}

const chooseModel = () => {
  point.max = curve[model.value].length - 1;
  point.value = positions[model.value];
  choosePoint();
};

const choosePoint = () => {
  positions[model.value] = Number(point.value);
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
  const shown = precise(threshold);
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
const { actual, predicted } = document.getElementById("errors-form").elements;
const canvas = document.getElementById("examples");
const tiles = document.querySelector("details img");
await tiles.decode();
const tile = tiles.naturalWidth / (classes.length + 1);
// The images of a cell, without its frame and without the blank ones after the last.
const imagesOf = (row, column) => {
  const sheet = new OffscreenCanvas(tile, tile).getContext("2d", { willReadFrequently: true });
  sheet.drawImage(tiles, -(1 + column) * tile, -(1 + row) * tile);
  const images = [];
  for (let top = 3; top + SIDE < tile; top += SIDE) {
    for (let left = 3; left + SIDE < tile; left += SIDE) {
      const { data } = sheet.getImageData(left, top, SIDE, SIDE);
      images.push(Uint8ClampedArray.from({ length: SIDE * SIDE }, (_, at) => 255 - data[4 * at]));
    }
  }
  return images.filter((image) => image.some(Boolean));
};

const a = is_digit ? "a " : "";
const chooseCell = () => {
  const [row, column] = [actual.value, predicted.value];
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
  select.append(...classes.map((name) => new Option(name, name)));
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
// A digit, drawn or taken as an example, and what the classifiers say of it.
const byId = (id) => document.getElementById(id);
const models = classifiers(linear.digits, false);
const [detector] = classifiers(linear.detector, true);
let pixels;

// For machines as it is, for people short; blank paper has none.
const showScore = (data, score, text) => {
  data.value = score;
  data.textContent = pixels.some(Boolean) ? text : "–";
};

const askDetector = () => {
  const score = scoreOf(detector, pixels);
  const threshold = Number(curve.sgd[positions.sgd].threshold);
  const says = score < threshold ? `below it: not ${a}${target}` : `at or above it: ${a}${target}`;
  byId("detector-threshold").textContent = precise(threshold);
  showScore(byId("detector-score"), score, precise(score));
  byId("detector-says").textContent = pixels.some(Boolean) ? says : "–";
};

// The SVM, once its support vectors are read; what is said instead until then.
const n_support = whole.format(svm.n_support.reduce((sum, size) => sum + size));
let instead = svm.packed ? "" : `Its ${n_support} support vectors are too many for this page.`;
let best, learned, waiting;

const askSvm = () => {
  const isBlank = !pixels.some(Boolean);
  let [says, margin, differ] = [`SVM says: ${isBlank || !svm.packed ? "–" : "…"}`, instead, ""];
  if (learned && !isBlank) {
    const found = ranked(learned, features(pixels));
    const [first, second, of_sgd] = [found.first, found.second, best].map((i) => classes[i]);
    says = `SVM says: ${first}`;
    margin = `Its margin over ${second}: ${found.margin.toFixed(2)}.${found.margin < 1 ? " Below 1, it hesitates." : ""}`;
    differ = first === of_sgd ? "They agree." : `They differ: ink on the pixels of ${a}${of_sgd}, in strokes of ${a}${first}.`;
  }
  for (const [id, text] of Object.entries({ "svm-says": says, "svm-margin": margin, differ })) {
    // What is written again is read out again.
    if (byId(id).textContent !== text) {
      byId(id).textContent = text;
    }
  }
};
if (svm.packed) {
  // Not before it is wanted: that takes a second.
  new IntersectionObserver(async (entries, observer) => {
    if (entries.some(({ isIntersecting }) => isIntersecting)) {
      observer.disconnect();
      learned = await unpack(svm, (share) => {
        instead = `It reads its ${n_support} support vectors: ${Math.floor(100 * share)} %.`;
        askSvm();
      });
      instead = "The class that wins the most pairs wins.";
      askSvm();
    }
  }).observe(byId("paper"));
}

const ask = (digit) => {
  pixels = digit;
  const isBlank = !pixels.some(Boolean);
  const scores = models.map((each) => scoreOf(each, pixels));
  best = scores.indexOf(Math.max(...scores));
  scaled(scores, 1).forEach((share, i) => {
    const row = byId("scores").rows[i];
    row.toggleAttribute("data-best", i === best && !isBlank);
    const bar = row.querySelector("span");
    bar.className = share < 0 ? "against" : "for";
    bar.style.left = `${50 + 50 * Math.min(0, share)}%`;
    bar.style.width = `${isBlank ? 0 : 50 * Math.abs(share)}%`;
    showScore(row.querySelector("data"), scores[i], whole.format(Math.round(scores[i])));
  });
  // Of many classes, some are out of sight.
  const { offsetTop, parentNode } = byId("scores").rows[best];
  const list = parentNode.closest(".scroll");
  list.scrollTop = offsetTop - list.clientHeight / 2;
  byId("says").textContent = isBlank ? "Nothing is drawn." : `SGD says: ${classes[best]}`;
  paint(byId("seen"), Array.from(pixels, (level) => level / 255), [0, 0, 0]);
  paint(byId("reasons"), scaled(models[best].weights.map((weight, at) => weight * pixels[at]), 1));
  askDetector();
  // When all is asked that the pointer has done meanwhile.
  clearTimeout(waiting);
  waiting = setTimeout(askSvm);
};
// After the listeners above, which move the threshold.
model.addEventListener("change", askDetector);
point.addEventListener("input", askDetector);

const { example, clear } = byId("draw-form").elements;
const paper = byId("paper");
const pen = paper.getContext("2d", { willReadFrequently: true });
Object.assign(pen, { lineCap: "round", lineJoin: "round", lineWidth: paper.width / 12 });
let isExample, stroke;

const clearPaper = (caption) => {
  pen.clearRect(0, 0, paper.width, paper.height);
  byId("paper-caption").textContent = caption;
  isExample = false;
};
const askPaper = () => {
  const { data } = pen.getImageData(0, 0, paper.width, paper.height);
  // Ink is what is opaque: of the four bytes of a pixel, the last.
  ask(toMnist(new Uint32Array(data.buffer).map((pixel) => pixel >>> 24), paper.width));
};

// Through the middles of what the pointer reports, so that a stroke has no corners.
const drawTo = (to) => {
  const middle = { x: (stroke.x + to.x) / 2, y: (stroke.y + to.y) / 2 };
  pen.beginPath();
  pen.moveTo(stroke.from.x, stroke.from.y);
  pen.quadraticCurveTo(stroke.x, stroke.y, middle.x, middle.y);
  pen.stroke();
  stroke = { ...to, from: middle };
};
const place = ({ clientX, clientY }) => {
  const { left, top } = paper.getBoundingClientRect();
  const zoom = paper.width / paper.clientWidth;
  return { x: (clientX - left - paper.clientLeft) * zoom, y: (clientY - top - paper.clientTop) * zoom };
};
paper.addEventListener("pointerdown", (event) => {
  if (event.isPrimary && event.button === 0) {
    if (isExample) {
      clearPaper("");
    }
    byId("paper-caption").textContent = "Your drawing.";
    paper.setPointerCapture(event.pointerId);
    stroke = { ...place(event), from: place(event) };
    drawTo(stroke);
    askPaper();
  }
});
paper.addEventListener("pointermove", (event) => {
  if (event.isPrimary && stroke) {
    // A page that is served without TLS has no such method.
    (event.getCoalescedEvents?.() ?? [event]).forEach((each) => drawTo(place(each)));
    askPaper();
  }
});
paper.addEventListener("lostpointercapture", () => {
  drawTo(stroke);
  stroke = undefined;
  askPaper();
});
clear.addEventListener("click", () => {
  clearPaper("Draw here.");
  askPaper();
});

// One of each class after another, from the diagonal of the picture of all cells.
const examples = classes
  .flatMap((name, i) => imagesOf(i, i).map((image, nth) => ({ name, image, nth })))
  .sort((a, b) => a.nth - b.nth);
example.max = examples.length - 1;
example.value = examples.findIndex(({ name }) => name === target);
const showExample = () => {
  const { name, image } = examples[example.value];
  example.setAttribute("aria-valuetext", `${a}${name}, ${Number(example.value) + 1} of ${examples.length}`);
  clearPaper(`An example: ${a}${name}. Draw your own over it.`);
  ask(image);
  pen.drawImage(byId("seen"), 0, 0, paper.width, paper.height);
  isExample = true;
};
example.addEventListener("input", showExample);
if (examples.length) {
  showExample();
} else {
  clear.click();
}

// What they look for.
const weightsOf = ({ weights }, name) => {
  const figure = byId("weights").appendChild(document.createElement("figure"));
  const canvas = figure.appendChild(document.createElement("canvas"));
  canvas.role = "img";
  canvas.ariaLabel = `Weights of ${name}`;
  figure.appendChild(document.createElement("figcaption")).textContent = name;
  paint(canvas, scaled(weights, 0.95));
};
models.forEach((each, i) => weightsOf(each, classes[i]));
weightsOf(detector, `detector of ${target}`);
document.body.dataset.drawn = true;
