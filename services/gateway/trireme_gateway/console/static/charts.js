// Small charts of the last two minutes, from the gateway's own metrics.

import { metrics } from "./api.js";
import { $, h, svg } from "./dom.js";
import { milliseconds, number, setWords, t } from "./i18n.js";
import { between, read } from "./metrics.js";

const EVERY_MS = 2000;
const POINTS = 60;
const WIDTH = 240;
const HEIGHT = 56;

const CHARTS = [
  { id: "rate", lines: ["rate"], format: (value) => number(value, value < 10 ? 2 : 3) },
  { id: "latency", lines: ["p50", "p99"], format: milliseconds },
  { id: "items", lines: ["items"], format: (value) => number(value, 3) },
];

const points = [];
let previous = null;
let timer = null;
let paused = false;

export function startCharts() {
  $("charts").replaceChildren(...CHARTS.map(chart));
  $("pause").addEventListener("click", () => {
    paused = !paused;
    $("pause").setAttribute("aria-pressed", String(paused));
    setWords($("pause"), paused ? "live.resume" : "live.pause");
    schedule();
  });
  document.addEventListener("visibilitychange", schedule);
  schedule();
}

/** Polls while it is worth it: neither paused nor in a hidden tab. A pause leaves a gap in the lines. */
function schedule() {
  clearTimeout(timer);
  timer = null;
  if (paused || document.hidden) {
    previous = null;
    if (paused) setWords($("live-note"), "live.paused");
    return;
  }
  timer = setTimeout(poll, 0);
}

async function poll() {
  const mine = timer;
  try {
    const now = read(await metrics(), performance.now() / 1000);
    if (mine !== timer) return; // paused meanwhile
    add(previous ? between(previous, now) : null);
    previous = now;
    $("chart-items").hidden = now.messages === null;
    setWords($("live-note"), "live.span");
  } catch {
    if (mine !== timer) return;
    add(null);
    previous = null;
    setWords($("live-note"), "live.unreachable");
  }
  timer = setTimeout(poll, EVERY_MS);
}

function add(point) {
  points.push(point);
  if (points.length > POINTS) points.shift();
  drawCharts();
}

function chart({ id, lines }) {
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  picture.append(svg("path", { class: "base", d: `M0 ${HEIGHT - 1}H${WIDTH}` }));
  for (const line of lines) picture.append(svg("path", { class: `line ${line}` }), svg("path", { class: `dots ${line}` }));
  const title = h("h3", { "data-i18n": `chart.${id}`, text: t(`chart.${id}`) });
  return h(
    "div", { class: "chart", id: `chart-${id}`, "data-points": 0, hidden: id === "items" },
    h("div", { class: "chart-head" }, title, h("p", { class: "now" })), picture,
  );
}

/** Draws all charts anew; also after a change of language. */
export function drawCharts() {
  for (const { id, lines, format } of CHARTS) {
    const element = $(`chart-${id}`);
    const series = lines.map((line) => points.map((point) => point?.[line] ?? null));
    const most = Math.max(...series.flat().filter((value) => value !== null), 0) || 1;
    lines.forEach((line, index) => {
      element.querySelector(`.line.${line}`).setAttribute("d", polyline(series[index], most));
      element.querySelector(`.dots.${line}`).setAttribute("d", dots(series[index], most));
    });
    element.dataset.points = String(series[0].filter((value) => value !== null).length);
    showNow(element, id, lines, format);
  }
}

/** The latest figures in words, beside the chart and as its name. */
function showNow(element, id, lines, format) {
  const last = points.at(-1);
  const figures = lines.map((line) => ({ line, value: last?.[line] ?? null }));
  const shown = figures.map(({ line, value }) => {
    const text = value === null ? "–" : format(value);
    const mark = lines.length > 1 ? h("span", { class: `key ${line}`, text: line }) : null;
    return h("span", { class: "figure" }, mark, h("span", { text }));
  });
  element.querySelector(".now").replaceChildren(...shown);
  const values = figures
    .map(({ line, value }) => `${lines.length > 1 ? `${line} ` : ""}${value === null ? t("chart.none") : format(value)}`)
    .join(", ");
  element.querySelector("svg").setAttribute("aria-label", t("chart.label", { name: t(`chart.${id}`), values }));
}

const x = (index, length) => ((POINTS - length + index + 0.5) / POINTS) * WIDTH;
const y = (value, most) => HEIGHT - 3 - (value / most) * (HEIGHT - 8);

function polyline(values, most) {
  let path = "";
  values.forEach((value, index) => {
    if (value === null) return;
    const begins = index === 0 || values[index - 1] === null;
    path += `${begins ? "M" : "L"}${x(index, values.length).toFixed(1)} ${y(value, most).toFixed(1)}`;
  });
  return path;
}

/** Points without neighbours would be invisible as a line: a stroke of no length with round ends. */
function dots(values, most) {
  return values
    .map((value, index) => {
      const alone = value !== null && (values[index - 1] ?? null) === null && (values[index + 1] ?? null) === null;
      return alone ? `M${x(index, values.length).toFixed(1)} ${y(value, most).toFixed(1)}h0` : "";
    })
    .join("");
}
