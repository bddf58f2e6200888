/* What muster bench measured: for each measurement its figures, and plots of its curves. */
const reports = report.reports || [report];
const MARKERS = ["circle", "rect", "triangle", "rectRot", "cross", "star", "rectRounded", "crossRot"];
const LARGE = [[1e9, " G"], [1e6, " M"], [1e3, " k"]];
const charts = []; /* functions that draw one each, and return it */

/* At most three digits, and a letter for thousands. */
function brief(number) {
  const [unit, letter] = LARGE.find(([size]) => Math.abs(number) >= size) || [1, ""];
  return Number((number / unit).toPrecision(3)) + letter;
}

function bytes(number) {
  const power = number >= 1 ? Math.min(3, Math.floor(Math.log2(number) / 10)) : 0;
  return Number((number / 1024 ** power).toPrecision(4)) + ["", " KiB", " MiB", " GiB"][power];
}

function value(number, unit) {
  if (number === null) return "\u2013";
  if (unit === "us") return time(number * 1e-6);
  if (unit === "ns") return time(number * 1e-9);
  const [size, letter] = unit.endsWith("/s") && LARGE.find(([least]) => number >= least) || [1, ""];
  const gap = unit === "" || unit === "%" || unit === "x" ? "" : " ";
  return (number / size).toFixed(number < 0.1 ? 3 : 2) + letter + gap + (unit === "x" ? "\u00d7" : unit);
}

/* The unit once, where it is that of both. */
function range(low, high, unit) {
  const [from, to] = [value(low, unit), value(high, unit)], measure = to.replace(/^[-.\d]+/, "");
  return (from.endsWith(measure) ? from.slice(0, from.length - measure.length) : from) + " .. " + to;
}

function ratio(number) { return number < 0.1 ? number.toPrecision(2) : number.toFixed(2); }

/* Figures of a measurement, and what is to be noted of each: beside it, or, where much else is, below.
   The memory ladder has times of an operation, and what they would be if a cycle took a second. */
function figures(parent, found) {
  const held = found.figures.some(figure => figure.baseline);
  const scaled = found.figures.some(figure => "scaled" in figure);
  const columns = [
    ["figure", figure => figure.figure],
    ["median", figure => value(figure.value, figure.unit), "of the rounds"],
    ["middle half", figure => figure.value === null ? "\u2013" : range(figure.low, figure.high, figure.unit),
      "half of the rounds lie between these"],
  ];
  if (held) columns.push(
    ["ratio", figure => figure.ratio ? ratio(figure.ratio) + "\u00d7" : "\u2013", "median / what it is held against"],
    ["against", figure => figure.ratio ? value(figure.baseline_value, figure.unit) : "\u2013", "measured in the same run"],
    ["of", figure => figure.baseline || "", "what that is", "name"]);
  if (scaled) columns.push(["a cycle = 1 s", figure => figure.scaled || "\u2013", "if a cycle of the processor took a second"]);
  const notes = found.figures.map(figure => [figure.noisy ? "noisy: the rounds are too far apart to tell" : "", figure.note]
    .filter(text => text).join("; "));
  if (!held && notes.some(note => note)) columns.push(["", (figure, i) => notes[i], "", "words"]);
  const lines = table(parent, columns, found.figures).querySelectorAll("tr");
  found.figures.forEach((figure, i) => {
    if (figure.noisy) lines[i + 1].children[2].className = "noisy";
    if (held && notes[i]) noteBelow(lines[i + 1], notes[i]);
  });
}

function noteBelow(line, note) {
  const below = document.createElement("tr");
  line.className = "noted";
  line.after(below);
  add(below, "td", note, "words").colSpan = line.children.length;
}

function colour(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }

/* An axis that says its powers of ten, or of two where it counts bytes. */
function axis(title, log, points, of) {
  const sizes = title.startsWith("bytes"), whole = points.every(point => Number.isInteger(point[of]));
  const made = {
    type: log ? "logarithmic" : "linear",
    title: { display: true, text: title, color: colour("--ink") },
    grid: { color: colour("--line") },
    ticks: { color: colour("--faint"), maxRotation: 0, autoSkipPadding: 12 },
  };
  made.ticks.callback = function (number) {
    if (!log) return sizes ? bytes(number) : brief(number);
    const first = Math.round(number / 10 ** Math.floor(Math.log10(number) + 1e-9));
    const shown = this.max / this.min > 1000 ? [1] : [1, 2, 5];
    return sizes ? bytes(number) : shown.includes(first) ? brief(number) : null;
  };
  if (log && sizes) made.afterBuildTicks = scale => {
    const ticks = [];
    for (let power = Math.ceil(Math.log2(scale.min)); power <= Math.log2(scale.max); power += 2) ticks.push({ value: 2 ** power });
    scale.ticks = ticks;
  };
  if (!log && whole && Math.max(...points.map(point => point[of])) <= 20) made.ticks.stepSize = 1;
  if (!log && of === "y") made.beginAtZero = true;
  return made;
}

function pointsOf(curve) {
  return curve.points.map(([x, y]) => ({ x, y })).filter(({ x, y }) => (!curve.x_log || x > 0) && (!curve.y_log || y > 0));
}

/* Curves that were computed and not measured are dashed. */
function line(curve, place) {
  const colours = colour("--curves").split(" "), shade = colours[place % colours.length];
  return {
    label: curve.name, data: pointsOf(curve), showLine: true, borderColor: shade, backgroundColor: shade, borderWidth: 2,
    borderDash: curve.computed ? [6, 4] : [], pointRadius: curve.computed ? 0 : 3.5, pointHoverRadius: 6,
    pointStyle: curve.computed ? "line" : MARKERS[place % MARKERS.length],
  };
}

function told(point, title) { return title + ": " + (title.startsWith("bytes") ? bytes(point) : brief(point)); }

function drawPlot(canvas, curves) {
  const [{ x_axis, y_axis, x_log, y_log }] = curves, points = curves.flatMap(pointsOf);
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  return new Chart(canvas, {
    type: "scatter",
    data: { datasets: curves.map(line) },
    options: {
      maintainAspectRatio: false, animation: false,
      interaction: { mode: "nearest", intersect: false },
      scales: { x: axis(x_axis, x_log, points, "x"), y: axis(y_axis, y_log, points, "y") },
      plugins: {
        legend: { position: "bottom", labels: { color: colour("--ink"), usePointStyle: true } },
        tooltip: { callbacks: {
          title: items => items[0].dataset.label,
          label: item => [told(item.parsed.x, x_axis), told(item.parsed.y, y_axis)],
        } },
      },
    },
  });
}

/* The same points for those who cannot see or point. */
function listPoints(parent, curves) {
  const details = add(parent, "details");
  add(details, "summary", "the points of these curves");
  const points = curves.flatMap(curve => curve.points.map(point => [curve.name, ...point]));
  table(details, [["curve", point => point[0]], [curves[0].x_axis, point => brief(point[1])],
                  [curves[0].y_axis, point => brief(point[2])]], points);
}

function plots(parent, found) {
  const names = [...new Set((found.curves || []).map(curve => curve.plot))];
  const all = names.length ? add(parent, "div", undefined, "plots") : null;
  for (const name of names) {
    const curves = found.curves.filter(curve => curve.plot === name && curve.points.length > 0);
    if (curves.length === 0) continue;
    const part = add(all, "div");
    if (name !== found.name) add(part, "h3", name);
    const canvas = add(add(part, "div", undefined, "plot"), "canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", name + ": " + curves[0].y_axis + " by " + curves[0].x_axis);
    charts.push(() => drawPlot(canvas, curves));
    listPoints(part, curves);
  }
}

document.title = "muster bench " + report.name;
add(page, "h1", document.title);
if (reports === report.reports) add(page, "p", plural(reports.length, "measurement") + " of this machine, and of muster on it.", "faint");
for (const found of reports) {
  if (found !== report) add(page, "h2", found.name);
  add(page, "p", found.sentence);
  figures(page, found);
  plots(page, found);
}
facts();

/* Colours are those of the scheme; they are drawn again when that changes. */
let drawn = charts.map(draw => draw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  drawn.forEach(chart => chart.destroy());
  drawn = charts.map(draw => draw());
});
