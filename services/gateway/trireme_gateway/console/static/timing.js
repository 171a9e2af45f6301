// The server-timing header as a strip of stages. The queue is a part of inference, no stage of its own.

import { h, svg } from "./dom.js";
import { has, milliseconds, t } from "./i18n.js";

/** {stages: [{name, ms, queue}], total} of a server-timing header; the gateway's own part included. */
export function parseTiming(header) {
  const entries = [];
  for (const part of (header ?? "").split(",")) {
    const [name, ...parameters] = part.split(";").map((piece) => piece.trim());
    const duration = parameters.find((parameter) => parameter.startsWith("dur="));
    if (name && duration) entries.push([name, Number(duration.slice(4))]);
  }
  const named = Object.fromEntries(entries);
  const stages = entries
    .filter(([name]) => name !== "total" && name !== "queue")
    .map(([name, ms]) => ({ name, ms, queue: name === "inference" ? Math.min(named.queue ?? 0, ms) : 0 }));
  const spent = stages.reduce((sum, stage) => sum + stage.ms, 0);
  const total = Math.max(named.total ?? spent, spent);
  return { stages: [...stages, { name: "gateway", ms: total - spent, queue: 0 }], total };
}

/** What stands there before the first request: the strip without figures, and a word. */
export function emptyTiming() {
  const segments = ["preprocess", "inference", "postprocess", "gateway"].map((kind) => h("span", { class: `segment ${kind}` }));
  return [
    h("div", { class: "strip ghosted", "aria-hidden": "true" }, ...segments),
    h("p", { class: "note", text: t("timing.empty"), "data-i18n": "timing.empty" }),
  ];
}

const nameOf = (stage) => (has(`stage.${stage}`) ? t(`stage.${stage}`) : stage);

/** Strip and legend; `seen` is the time that the browser measured, in ms; `known`: out of the cache. */
export function timingView(header, seen, known) {
  const { stages, total } = parseTiming(header);
  const stageNames = ["preprocess", "inference", "postprocess", "gateway"];
  const parts = stages.map((stage) => `${nameOf(stage.name)} ${milliseconds(stage.ms)}`).join(", ");
  const strip = h("div", { class: "strip", role: "img", "aria-label": t("timing.strip", { parts }) });
  const legend = h("ul", { class: "legend" });
  for (const { name, ms, queue } of stages) {
    const kind = stageNames.includes(name) ? name : "gateway";
    const segment = h("span", { class: `segment ${kind}` });
    segment.style.flexGrow = String(total ? ms / total : 1);
    if (queue) {
      const waiting = h("span", { class: "waiting" });
      waiting.style.width = `${(queue / ms) * 100}%`;
      segment.append(waiting);
    }
    strip.append(segment);
    legend.append(row(`swatch ${kind}`, nameOf(name), ms));
    if (queue) legend.append(row("swatch waiting", t("stage.queue"), queue, "part"));
  }
  legend.append(row("", t("timing.total"), total, "sum"), row("", t("timing.roundtrip"), seen, "seen"));
  const note = h("p", { class: "note", text: t("timing.cached") });
  return known && stages.length === 1 ? [strip, note, legend] : [strip, legend];
}

function row(swatch, name, ms, kind = "") {
  const mark = svg("svg", { class: swatch || "swatch none", viewBox: "0 0 10 10", "aria-hidden": "true" });
  mark.append(svg("rect", { width: 10, height: 10, rx: 2 }));
  return h("li", { class: kind }, mark, h("span", { text: name }), h("span", { class: "ms", text: milliseconds(ms) }));
}
