/* What muster compare found: a table, bars, and a timeline for each model. */
const rows = report.rows;

function head() {
  const rounds = report.rounds === 1 ? "one round" : "the median of " + report.rounds + " rounds";
  document.title = "muster compare " + report.function;
  add(page, "h1", report.function + " under " + plural(rows.length, "execution model"));
  add(page, "p", plural(rows[0].jobs, "job") + ", " + plural(report.cores, "core") + ", " + rounds, "faint");
  add(page, "p", report.sentence);
}

function comparison() {
  const columns = [
    ["model", row => row.name, "how the jobs were run"],
    ["workers", row => count(row.workers), ""],
    ["wall", row => time(row.wall_s), "from the first job to the last"],
    ["CPU", row => time(row.cpu_s), "CPU time of all processes"],
    ["speedup", row => row.speedup.toFixed(2) + "\u00d7", "wall of inline / wall"],
    ["efficiency", row => percent(row.efficiency), "speedup / the most that it could be"],
    ["utilization", row => percent(row.utilization), "CPU / (wall \u00d7 cores)"],
    ["overhead/job", row => row.model === "inline" ? "\u2013" : time(row.overhead_us_per_job * 1e-6),
      "core time beyond an ideal run, a job"],
    ["waits", row => count(row.voluntary_switches), "context switches because a thread waited"],
    ["preempted", row => count(row.involuntary_switches), "context switches because another was given the core"],
    ["stall", row => time(row.stall_s), "the longest that the caller was kept from anything else"],
  ];
  table(page, columns, rows);
}

/* Bars, and a mark where the ideal is. An ideal far beyond all bars is only told. */
function speedups() {
  const most = Math.max(...rows.map(row => row.speedup));
  const scale = Math.max(most, ...rows.map(row => row.ideal_speedup).filter(ideal => ideal <= 2 * most)) * 1.05;
  add(page, "h2", "Speedup");
  for (const row of rows) {
    const line = add(page, "div", undefined, "row");
    const share = 100 * row.speedup / scale;
    add(line, "div", row.name);
    const track = add(line, "div", undefined, "track bar");
    add(track, "i").style.width = share + "%";
    const ideal = 100 * row.ideal_speedup / scale, marked = ideal <= 100 && row.model !== "inline";
    if (marked) add(track, "b").style.left = ideal + "%";
    const label = add(track, "span", row.speedup.toFixed(2) + "\u00d7");
    if (share > 75) { label.style.right = 100 - share + "%"; label.style.paddingRight = ".4rem"; label.style.color = "var(--paper)"; }
    else label.style.left = (marked && ideal > share && ideal < share + 10 ? ideal : share) + "%"; /* not under the mark */
    track.title = row.name + ": " + row.speedup.toFixed(2) + "\u00d7, at most " + row.ideal_speedup.toFixed(2) + "\u00d7";
  }
  add(page, "p", "As fast as inline, so many times. Dashed: the most that so many workers and cores could reach " +
    "with these jobs.", "faint");
}

/* The outline of stacked shares, as steps from left to right and back. */
function outline(lower, upper) {
  let path = "";
  for (let i = 0; i < upper.length; i++) path += (i ? "L" : "M") + i + " " + (1 - upper[i]) + "H" + (i + 1);
  for (let i = upper.length - 1; i >= 0; i--) path += "L" + (i + 1) + " " + (1 - lower[i]) + "H" + i;
  return path + "Z";
}

function drawLane(parent, lane, width) {
  const space = "http://www.w3.org/2000/svg";
  const line = add(parent, "div", undefined, "row");
  add(line, "div", lane.label);
  const track = add(line, "div", undefined, "track lane");
  const svg = track.appendChild(document.createElementNS(space, "svg"));
  const both = lane.computing.map((share, i) => share + lane.waiting[i]);
  svg.setAttribute("viewBox", "0 0 " + Math.max(1, both.length) + " 1");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.style.width = 100 * width + "%";
  for (const [colour, path] of [["computing", outline(both.map(() => 0), lane.computing)],
                                ["waiting", outline(lane.computing, both)]]) {
    const made = svg.appendChild(document.createElementNS(space, "path"));
    made.setAttribute("d", path);
    made.style.fill = "var(--" + colour + ")";
  }
  track.title = plural(lane.jobs, "job") + ", computing " + time(lane.computing_s) + ", waiting " + time(lane.waiting_s);
}

function drawTicks(parent, span) {
  const line = add(parent, "div", undefined, "row");
  add(line, "div", "");
  const track = add(line, "div", undefined, "track ticks");
  const rough = span / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(size => size >= rough);
  for (let i = 0; i * step <= span; i++) {
    const tick = add(track, "span", mark(i * step), i * step > 0.95 * span ? "last" : "");
    tick.style.left = 100 * i * step / span + "%";
  }
}

function timelines() {
  const span = Math.max(...rows.map(row => row.timeline.wall_s));
  add(page, "h2", "Who did what");
  add(page, "p", "In one round more, a line for each worker; for each job under way where a worker has several. " +
    "All models to one scale of time.", "faint");
  const legend = add(page, "p", undefined, "legend");
  for (const [colour, words] of [["computing", "computing"], ["waiting", "waiting, also for a core or a lock"],
                                 ["ground", "idle"]]) {
    const part = add(legend, "span", words);
    part.insertBefore(document.createElement("i"), part.firstChild).style.background = "var(--" + colour + ")";
  }
  const all = add(page, "div", undefined, "lanes");
  for (const row of rows) {
    const { wall_s, lanes } = row.timeline;
    const computing = sum(lanes.map(lane => lane.computing_s)), waiting = sum(lanes.map(lane => lane.waiting_s));
    const whole = wall_s * row.workers;
    let told = time(wall_s) + ", computing " + percent(computing / whole);
    if (sum(lanes.map(lane => lane.jobs)) === 0) told += "; when its jobs ran is not known";
    else if (row.timeline.lane === "job") told += ", " + ((computing + waiting) / wall_s).toFixed(1) + " jobs under way at once";
    else told += ", waiting " + percent(waiting / whole) + ", idle " + percent(Math.max(0, whole - computing - waiting) / whole);
    const heading = add(all, "h3", row.name + " ");
    add(heading, "small", told);
    for (const lane of lanes) drawLane(all, lane, wall_s / span);
  }
  drawTicks(all, span);
}

function failures() {
  if (report.failures.length === 0) return;
  add(page, "h2", count(rows[0].failed) + " of " + plural(rows[0].jobs, "job") + " failed, under each model alike");
  const list = add(page, "ul");
  for (const failure of report.failures) add(list, "li", "job " + failure.job + ": " + failure.error);
  if (rows[0].failed > report.failures.length) add(list, "li", "and " + count(rows[0].failed - report.failures.length) + " more");
}

head();
comparison();
speedups();
timelines();
failures();
facts();
