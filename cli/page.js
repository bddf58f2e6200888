"use strict";
const report = JSON.parse(document.getElementById("report").textContent);
const page = document.getElementById("page");

/* An element with a class, appended; text is never read as markup. */
function add(parent, tag, text, kind) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return parent.appendChild(made);
}

function time(seconds) {
  const size = Math.abs(seconds);
  if (size >= 1) return seconds.toFixed(2) + " s";
  if (size >= 1e-3) return (seconds * 1e3).toFixed(2) + " ms";
  if (size >= 1e-6 || size === 0) return (seconds * 1e6).toFixed(2) + " \u00b5s";
  return (seconds * 1e9).toFixed(2) + " ns";
}

/* On an axis: no more digits than it needs. */
function mark(seconds) {
  if (seconds === 0) return "0";
  const [unit, name] = seconds >= 1 ? [1, "s"] : seconds >= 1e-3 ? [1e-3, "ms"] : [1e-6, "\u00b5s"];
  return Number((seconds / unit).toPrecision(4)) + " " + name;
}

function percent(share) { return (100 * share).toFixed(1) + "%"; }
function count(number) { return number.toLocaleString("en"); }
function plural(number, word) { return count(number) + " " + word + (number === 1 ? "" : "s"); }
function sum(numbers) { return numbers.reduce((all, one) => all + one, 0); }

/* A table of these rows. Each column: its name, a row's text, a hint, a class. */
function table(parent, columns, rows) {
  const made = add(add(parent, "div", undefined, "scroll"), "table");
  const names = add(made, "tr");
  for (const [name, , hint, kind] of columns) add(names, "th", name, kind).title = hint || "";
  rows.forEach((row, i) => {
    const line = add(made, "tr");
    for (const [, text, , kind] of columns) add(line, "td", text(row, i), kind);
  });
  return made;
}

/* How and where it was measured: what page.c knows about the run. */
function facts() {
  const { command, date, version, machine, cores, memory_bytes, kernel } = report.run;
  add(page, "h2", "How it was measured");
  add(page, "pre", command);
  const list = add(page, "dl");
  for (const [name, value] of [["when", date], ["muster", version],
    ["machine", machine + ", " + plural(cores, "core") + " for muster, " + (memory_bytes / 2 ** 30).toFixed(1) + " GiB"],
    ["kernel", kernel]]) {
    add(list, "dt", name);
    add(list, "dd", value);
  }
}
