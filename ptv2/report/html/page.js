// What the page does: filter, order, draw, and build the details of a run when it is opened.

const DATA = JSON.parse(document.getElementById("data").textContent);
const KINDS = ["task", "model", "method"];
const form = document.getElementById("filter");
const rows = [...document.querySelectorAll(".row")];
const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
const runRow = (index) => document.getElementById(`run-${index}`);

// Filter

const checked = (name) => [...form.querySelectorAll(`input[name="${name}"]:checked`)].map((input) => input.value);
const split = () => checked("split")[0] || Object.keys(DATA.rows)[0];

function apply() {
  const wanted = Object.fromEntries(KINDS.map((kind) => [kind, new Set(checked(kind))]));
  const terms = form.words.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of rows)
    row.hidden = !KINDS.every((kind) => !wanted[kind].size || wanted[kind].has(row.dataset[kind])) ||
      !terms.every((word) => texts.get(row).includes(word));
  document.querySelectorAll(".sortable").forEach(shorten);
  for (const table of document.querySelectorAll(".split")) table.classList.toggle("on", table.dataset.split === split());
  count(wanted, terms);
  drawSizes();
  drawCurves();
}

const MOST = 200;  // rows of a table until all are asked for: browsers take seconds to lay out thousands

function shorten(table) {
  const button = table.nextElementSibling || html("button", { type: "button", class: "whole" });
  const rows = [...table.tBodies].filter((row) => !row.hidden);
  rows.forEach((row, i) => row.classList.toggle("late", i >= MOST && !("whole" in table.dataset)));
  button.textContent = `Show all ${rows.length} rows`;
  button.hidden = rows.length <= MOST || "whole" in table.dataset;
  table.after(button);
}

function count(wanted, terms) {
  const results = resultRows(), runs = DATA.runs.map((_, index) => runRow(index));
  const none = runs.every((row) => row.hidden), empty = document.getElementById("empty");
  empty.hidden = !none;
  if (none) empty.querySelector("p").textContent = whyNone(runs, wanted, terms);
  const shown = (list) => `${list.filter((row) => !row.hidden).length} of ${list.length}`;
  document.getElementById("shown").textContent = `${shown(results)} results, ${shown(runs)} runs shown`;
}

/** Which part of the filter lets no run through, in a sentence. */
function whyNone(runs, wanted, terms) {
  const all = runs.length === 1 ? "the one run" : `any of the ${runs.length} runs`;
  const unheard = terms.filter((word) => !runs.some((row) => texts.get(row).includes(word)));
  if (unheard.length) return `No run is shown: ${unheard.map((word) => `“${word}”`).join(" and ")} ${unheard.length > 1 ? "are" : "is"} not in the text of ${all}.`;
  const chosen = KINDS.filter((kind) => wanted[kind].size).map((kind) => `${kind} ${[...wanted[kind]].join(" or ")}`);
  const parts = [...chosen, ...terms.map((word) => `“${word}”`)];
  return `No run is shown: none of the ${runs.length} runs has all of ${parts.join(", ")}, though each of these has some.`;
}

const resultRows = () => [...document.querySelectorAll(".split.on .row")];

function remember() {
  const fragment = new URLSearchParams();
  for (const name of [...KINDS, "split"]) for (const value of checked(name)) fragment.append(name, value);
  if (fragment.get("split") === Object.keys(DATA.rows)[0]) fragment.delete("split");
  if (form.words.value) fragment.set("words", form.words.value);
  history.replaceState(null, "", `#${fragment}`);
}

function recall() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  for (const input of form.querySelectorAll("input[type=checkbox], input[type=radio]"))
    if (fragment.has(input.name)) input.checked = fragment.getAll(input.name).includes(input.value);
  form.words.value = fragment.get("words") || form.words.value;
}

// Charts over many runs

const oneModel = new Set(DATA.runs.map((run) => run.model).filter(Boolean)).size < 2;

/** Items by task, by model and by score where there are several; each a chart's name and its members. */
function byTask(items, score) {
  const groups = new Map(), scores = new Map();
  for (const item of items) scores.set(item.task, (scores.get(item.task) || new Set()).add(item[score]));
  for (const item of items) {
    const name = (item.task || "task not known") + (oneModel || !item.model ? "" : `, ${item.model}`) +
      (scores.get(item.task).size > 1 ? `, ${item[score]}` : "");
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(item);
  }
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1));
}

const methodIndex = (method) => { const index = DATA.methods.indexOf(method); return index < 0 ? 5 : index; };

const orNothing = (charts) => (charts.length ? charts : [html("p", { class: "note" }, "Nothing to draw.")]);

function drawSizes() {
  const place = document.getElementById("size-charts");
  if (!place) return;
  const order = resultOrder.get(split()) || [];
  const points = DATA.rows[split()].filter((_, index) => order[index] && !order[index].hidden);
  place.replaceChildren(...orNothing(byTask(points, "metric").map(([task, members]) => chart(task, members.map((one) => ({
    points: [[one.percent, one.mean, one.spread]],
    method: methodIndex(one.method),
    title: `${one.method}, ${one.model}, ${one.settings}: ${one.mean.toFixed(1)}` +
      (one.spread === null ? "" : ` ± ${one.spread.toFixed(1)}`) + ` (${one.percent.toPrecision(3)} % trained, seeds: ${one.seeds})`,
  })), { x: { label: "trained parameters, %", log: true }, y: { label: `${members[0].metric}, ${split()}` }, lines: false }))));
}

const resultOrder = new Map([...document.querySelectorAll(".split")].map((table) => [table.dataset.split, [...table.querySelectorAll(".row")]]));

/** A run's points over epochs or steps; steps of the loss become epochs by the last evaluation. */
function devPoints(run, unit) {
  const [steps = [], epochs = [], values = []] = run.dev;
  return values.map((value, i) => [unit === "epoch" ? epochs[i] : steps[i], value]);
}

function lossPoints(run, unit) {
  const [steps = [], values = []] = run.loss, [evaluated = [], epochs = []] = run.dev;
  const last = evaluated.length - 1;
  if (unit === "epoch" && last < 0) return [];
  const share = unit === "epoch" ? epochs[last] / evaluated[last] : 1;
  return values.map((value, i) => [steps[i] * share, value]);
}

const KEY_RUNS = 40;  // so many are told apart in a list; the strokes of more could not be seen

/** Runs that differ in the seed only, by method and settings. */
function bySettings(members) {
  const groups = new Map();
  for (const run of members) {
    const name = [run.method || "method not known", run.settings].filter(Boolean).join(", ");
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(run);
  }
  return groups;
}

/** How the runs' lines look: colour by method, strength by settings of that method, dashes by seed. */
function strokes(groups) {
  const looks = new Map(), methods = new Map();
  for (const runs of groups.values()) methods.set(runs[0].method, [...(methods.get(runs[0].method) || []), runs]);
  for (const [method, same] of methods) {
    const seeds = [...new Set(same.flat().map((one) => one.seed))].sort((a, b) => a - b);
    const dashes = new Map(seeds.map((seed, i) => [seed, i % 6]));
    same.forEach((runs, strength) => {
      for (const run of runs) looks.set(run, { method: methodIndex(method), style: `d${dashes.get(run.seed)} k${strength % 4}` });
    });
  }
  return looks;
}

/** The lines of a chart by name, each seed with its stroke. */
function key(groups, looks) {
  const runs = [...groups.values()].flat();
  if (runs.length > KEY_RUNS) return html("p", { class: "note key" }, `${runs.length} lines; filter to ${KEY_RUNS} or fewer to see which is which`);
  return html("ul", { class: "key" }, [...groups].map(([name, members]) => html("li", {}, html("span", {}, name),
    [...members].sort((a, b) => a.seed - b.seed).map((run) => {
      const { method, style } = looks.get(run);
      return html("a", { href: `#run-${run.index}` }, svg("svg", { viewBox: "0 0 36 10", "aria-hidden": "true" },
        svg("path", { class: `curve m${method} ${style}`, d: "M0,5H36" })), `seed ${run.seed}${run.scores ? "" : " (not finished)"}`);
    }))));
}

function drawCurves() {
  const unit = document.getElementById("unit").value;
  const shown = DATA.runs.map((run, index) => ({ ...run, index })).filter((run) => !runRow(run.index).hidden);
  const drawable = (run) => devPoints(run, unit).length || lossPoints(run, unit).length;
  const charts = byTask(shown.filter(drawable), "headline").map(([task, members]) => {
    const groups = bySettings(members), looks = strokes(groups);
    const series = (points) => members.map((run) => ({ points: points(run, unit), run: run.index, ...looks.get(run), title: `${run.name}, seed ${run.seed}` }));
    return html("div", { class: "pair", role: "group", "aria-label": task }, html("h3", {}, task),
      chart("dev", series(devPoints), { x: { label: unit }, y: { label: members[0].headline }, lines: true }),
      chart("training loss", series(lossPoints), { x: { label: unit }, y: { label: "loss", log: true }, lines: true }),
      key(groups, looks));
  });
  document.getElementById("curve-charts").replaceChildren(...orNothing(charts));
}

// Details of a run

const number = (value, digits = 2) => (typeof value === "number" ? value.toFixed(digits) : "");
const whole = (value) => Number(value).toLocaleString("en");
const mebibytes = (bytes) => `${whole(Math.round(bytes / 2 ** 20))} MiB`;
const clock = (seconds) => {
  const all = Math.round(seconds), pad = (value) => String(value).padStart(2, "0");
  return all >= 3600 ? `${Math.floor(all / 3600)}:${pad(Math.floor(all / 60) % 60)}:${pad(all % 60)}` : `${Math.floor(all / 60)}:${pad(all % 60)}`;
};

/** Any value in words: `train 910, dev 243`. */
function words(value) {
  if (value === null) return "none";
  if (Array.isArray(value)) return value.map(words).join(", ") || "none";
  if (typeof value === "object")
    return Object.entries(value).map(([key, item]) => `${key} ${typeof item === "object" && item ? `(${words(item)})` : words(item)}`).join(", ") || "none";
  return Number.isInteger(value) && Math.abs(value) >= 10000 ? whole(value) : String(value);
}

function grid(header, lines) {
  const cell = (value, i) => (i ? html("td", { class: typeof value === "string" ? undefined : "n" }, typeof value === "string" ? value : value.text)
    : html("th", { scope: "row" }, value));
  return html("table", {}, html("thead", {}, html("tr", {}, header.map((name, i) => html("th", { scope: "col", class: i && typeof lines[0][i] !== "string" ? "n" : undefined }, name)))),
    html("tbody", {}, lines.map((line) => html("tr", {}, line.map(cell)))));
}

/** Folded to cards, a table loses its meaning for screen readers unless it says what it is. */
function named(table) {
  table.setAttribute("role", "table");
  for (const [selector, role] of [["tbody, thead", "rowgroup"], ["tr", "row"], ["td", "cell"], ["thead th", "columnheader"], ["tbody th", "rowheader"]])
    for (const element of table.querySelectorAll(selector)) element.setAttribute("role", role);
  return table;
}

const right = (text) => ({ text: String(text) });

function scores(run) {
  const names = [...new Set(Object.values(run.scores).flatMap(Object.keys))];
  const lines = Object.entries(run.scores).map(([name, values]) => [name, ...names.map((metric) => right(number(values[metric])))]);
  return grid(["scores on", ...names], lines);
}

function facts(entries) {
  return html("dl", {}, entries.filter(([, value]) => value !== undefined && value !== "").flatMap(([name, value]) => [html("dt", {}, name), html("dd", {}, value)]));
}

function settings(run) {
  const usual = DATA.common[run.task][run.method], all = { ...usual, ...run.differing };
  for (const key of run.lacking) delete all[key];
  const lines = Object.keys(run.differing).sort().map((key) => [key, words(run.differing[key]), key in usual ? words(usual[key]) : "not set"]);
  return [
    html("h3", {}, "Settings that most runs of this task and method have otherwise"),
    lines.length ? grid(["setting", "this run", "most runs"], lines) : html("p", { class: "note" }, "none"),
    run.lacking.length ? html("p", { class: "note" }, `Not in this run's configuration: ${run.lacking.join(", ")}`) : "",
    Object.keys(all).length ? folded("all settings", () => grid(["setting", "value"], Object.keys(all).sort().map((key) => [key, words(all[key])]))) : "",
  ];
}

/** A part that is built when it is opened first. */
function folded(title, build) {
  const details = html("details", {}, html("summary", {}, title));
  details.addEventListener("toggle", () => { if (details.open && details.children.length === 1) details.append(build()); });
  return details;
}

const COUNTS = new Set(["support", "predicted", "total"]);

/** What right classes were taken for: all of them, or the most frequent confusions of many classes. */
function confusion({ labels, whole: all, cells, kinds, wrong, total }, name) {
  const names = DATA.pool[labels], title = html("h3", {}, `Confusion, ${name}`);
  const scroll = (table) => html("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": `Confusion, ${name}` }, table);
  if (!all) {
    const told = `${whole(wrong)} of ${whole(total)} examples are wrong, in ${whole(kinds)} ways; ` +
      (kinds > cells.length ? `these ${cells.length} are the most frequent, and result.json has them all.` : "these are all.");
    const lines = cells.map(([is, answer, count]) => [names[is], names[answer], right(whole(count))]);
    return html("div", {}, title, html("p", { class: "note" }, told), lines.length ? scroll(grid(["right", "predicted", "examples"], lines)) : "");
  }
  const counts = names.map(() => names.map(() => 0));
  for (const [is, answer, count] of cells) counts[is][answer] = count;
  const row = (line, i) => {
    const sum = line.reduce((one, other) => one + other, 0);
    return html("tr", {}, html("th", { scope: "row" }, names[i]), line.map((count, j) => html("td", { class: `n${i === j ? " hit" : ""}`, style: `--share: ${sum ? count / sum : 0}` }, whole(count))));
  };
  const table = html("table", { class: names.length > 5 ? "matrix upright" : "matrix" },
    html("thead", {}, html("tr", {}, html("th", { scope: "col" }, "right"), names.map((label) => html("th", { scope: "col", class: "n" }, html("span", {}, label))))),
    html("tbody", {}, counts.map(row)));
  return html("div", {}, title, html("p", { class: "note" }, "rows: the right class; columns: what was predicted"), scroll(table));
}

function byType(run) {
  const tables = Object.entries(run.parts || {}).flatMap(([name, { names, columns, rows }]) => {
    const confused = run.confusion[name], kind = confused ? "class" : "type", header = DATA.pool[columns];
    const lines = DATA.pool[names].map((label, i) => [label, ...rows[i].map((value, j) => right(COUNTS.has(header[j]) ? whole(value ?? 0) : number(value, 1)))]);
    const table = named(grid([kind, ...header], lines));
    return [html("div", {}, html("h3", {}, `By ${kind}, ${name}`), html("div", { class: "scroll by-class", style: `--numbers: ${header.length}`, role: "region", tabindex: 0, "aria-label": `By ${kind}, ${name}` }, table)),
      ...(confused ? [confusion(confused, name)] : [])];
  });
  for (const [name, labels] of Object.entries(run.answers || {}))
    tables.push(html("div", {}, html("h3", {}, `Answers, ${name}`),
      grid(["label", "right", "said"], Object.entries(labels).map(([label, counts]) => [label, ...counts.map((n) => right(whole(n)))]))));
  return tables.length ? html("div", { class: "columns" }, tables) : "";
}

function recorded(run) {
  const { train, evaluate, total, ...rates } = run.time, { peak, before_training: before, what, ...held } = run.memory;
  const { trained, total: parameters, percent, ...more } = run.parameters, data = DATA.pool[run.data];
  const [step, epoch, steps, planned] = run.steps;
  return [
    ["trained", `${whole(trained)} of ${whole(parameters)} parameters (${Number(percent.toPrecision(3))} %)${Object.keys(more).length ? `; ${words(more)}` : ""}`],
    ["best", `epoch ${Number(epoch.toPrecision(4))}, step ${step}, the best of ${run.evaluations} evaluations`],
    ["steps", `${steps} of ${planned}`],
    ["time", `training ${clock(train)}, evaluation ${clock(evaluate)}, in all ${clock(total)}; ${words(rates)}`],
    ["memory", [...(peak === null ? [what] : [`peak ${mebibytes(peak)} (${what})`, `before training ${mebibytes(before || 0)}`]),
      ...Object.entries(held).map(([name, bytes]) => `${name} ${mebibytes(bytes)}`)].join(", ")],
    ["ran on", words(DATA.pool[run.runtime])],
    ["backbone", words(DATA.pool[run.backbone])],
    ...(run.shared ? [["began with", words(run.shared)]] : []),
    ...Object.entries(data).map(([key, value]) => [`data: ${key}`, words(value)]),
  ];
}

function recipe(told) {
  if (!told) return [];
  const changed = Object.keys(told.changed || {}).length ? `; it has, where this run differs: ${words(told.changed)}` : "";
  return [["recipe", `${told.name}, ${told.kind}: ${told.source}${changed}`]];
}

function details(index) {
  const run = DATA.runs[index], method = methodIndex(run.method), environment = DATA.pool[run.environment];
  const one = (points) => [{ points: points(run, "step"), method, title: run.name }];
  const notes = (run.notes || []).map((note) => html("li", {}, note));
  return html("div", { class: "inside" },
    run.scores ? scores(run) : "",
    html("div", { class: "charts" },
      chart("dev", one(devPoints), { x: { label: "step" }, y: { label: run.headline }, lines: true }),
      chart("training loss", one(lossPoints), { x: { label: "step" }, y: { label: "loss", log: true }, lines: true })),
    facts([...(run.scores ? recorded(run) : []), ...recipe(run.recipe), ["folder", run.folder]]),
    notes.length ? html("div", {}, html("h3", {}, "Notes"), html("ul", {}, notes)) : "",
    byType(run), ...settings(run),
    Object.keys(environment).length ? folded("environment", () => facts(Object.entries(environment).map(([key, value]) => [key, words(value)]))) : "");
}

function show(index, open = true) {
  const row = runRow(index), button = row.querySelector(".open");
  button.setAttribute("aria-expanded", open);
  if (open && row.rows.length === 1) {
    const width = row.rows[0].cells.length;
    row.append(html("tr", { class: "opened" }, html("td", { colspan: width }, details(index))));
  }
  if (row.rows.length > 1) row.rows[1].hidden = !open;
}

function goTo(index) {
  if (!DATA.runs[index]) return;
  runRow(index).hidden = false;  // a filter may hide what a link asks for
  runRow(index).classList.remove("late");
  show(index);
  runRow(index).scrollIntoView();
  runRow(index).querySelector(".open").focus({ preventScroll: true });
}

// Order of tables

/** What a cell is ordered by: a time, a number (without its spread), or text. */
function worth(text) {
  if (/^\d+:\d\d$/.test(text)) { const [m, s] = text.split(":"); return 60 * m + Number(s); }
  const match = /^[<+]?(-?\d[\d.]*(e[-+]?\d+)?)(?![\d-])/i.exec(text);
  return match ? Number(match[1]) : text.toLowerCase();
}

function order(button) {
  const head = button.closest("th"), table = head.closest("table"), column = head.cellIndex;
  const down = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down === 1 ? "ascending" : "descending");
  const keys = new Map([...table.tBodies].map((body) => {
    const cell = body.rows[0].cells[column], summary = cell.querySelector("summary");
    return [body, worth((summary || cell).textContent.trim())];
  }));
  const compare = (a, b) => {
    if (a === "" || b === "") return (a === "") - (b === "");  // what is missing comes last, whichever way
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return down * (a < b ? -1 : a > b ? 1 : 0);
  };
  table.append(...[...table.tBodies].sort((a, b) => compare(keys.get(a), keys.get(b))));
  shorten(table);
}

// Events

let pending = 0;
function later() {
  cancelAnimationFrame(pending);
  pending = requestAnimationFrame(() => { apply(); remember(); });
}

document.documentElement.classList.add("script");
for (const table of document.querySelectorAll("table")) named(table);
// Runs without an evaluation have no epochs to be drawn by.
if (!DATA.runs.some((run) => run.dev.length)) document.getElementById("unit").value = "step";
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", later);
form.addEventListener("reset", later);
document.getElementById("unit").addEventListener("change", drawCurves);
document.getElementById("all-metrics")?.addEventListener("change", (event) => {
  for (const wide of document.querySelectorAll(".split .wide")) wide.classList.toggle("all-metrics", event.target.checked);
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("button"), line = event.target.closest("svg [data-run]");
  if (button?.classList.contains("sort")) order(button);
  else if (button?.classList.contains("open")) show(button.dataset.run, button.getAttribute("aria-expanded") !== "true");
  else if (button?.classList.contains("whole")) {
    button.previousElementSibling.dataset.whole = "";
    shorten(button.previousElementSibling);
  } else if (line) goTo(line.dataset.run);
});
const followLink = () => { const link = /^#run-(\d+)$/.exec(location.hash); if (link) goTo(link[1]); };
addEventListener("hashchange", followLink);
recall();
apply();
followLink();
