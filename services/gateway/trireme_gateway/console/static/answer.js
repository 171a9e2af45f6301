// Answers and errors as elements. A body is shown by its shape: results, label, value, embedding, outputs.

import { copyText, h, svg } from "./dom.js";
import { has, number, percent, setWords, t } from "./i18n.js";

const BARS = 10;
const FIRST = 8;

/** {headline, details, spoken} of an answer's body; `spoken` is the headline in words. */
export function answerView(content) {
  if (content.results) return content.results.length === 1 ? item(content.results[0]) : several(content.results);
  if (content.outputs) return tensors(content.outputs);
  return item(content);
}

function item(content) {
  if (content.error) return { headline: [], details: [problemBox(content.error)] };
  if (content.label !== undefined) {
    return {
      headline: [
        h("p", { class: "label", text: content.label, dir: "auto" }),
        h("p", { class: "confidence", text: t("answer.confidence", { confidence: percent(content.confidence) }) }),
      ],
      details: [bars(content.probabilities)],
    };
  }
  if (content.embedding) return vector(content.embedding);
  const values = content.values ?? [content.value ?? content.result].flat();
  if (values.length > 1) return vector(values);
  return {
    headline: [
      h("p", { class: "label numeric", text: number(values[0], 6), title: String(values[0]) }),
      h("p", { class: "confidence", text: t("answer.value") }),
    ],
    details: [],
  };
}

/** The classes, the most probable first; beyond ten they wait behind a button. */
function bars(probabilities) {
  const sorted = Object.entries(probabilities).sort((left, right) => right[1] - left[1]);
  const list = h("ul", { class: "bars", "aria-label": t("answer.probabilities") });
  const show = (entries) => list.append(...entries.map(([label, share], index) => bar(label, share, index)));
  show(sorted.slice(0, BARS));
  if (sorted.length <= BARS) return list;
  const more = h("button", { type: "button", class: "ghost", text: t("answer.all", { count: sorted.length }) });
  more.addEventListener("click", () => {
    list.replaceChildren();
    show(sorted);
    more.remove();
  });
  return h("div", {}, list, more);
}

function bar(label, share) {
  const fill = h("span", { class: "fill" });
  fill.style.width = `${share * 100}%`;
  const meter = {
    class: "meter", role: "meter", "aria-label": label,
    "aria-valuemin": 0, "aria-valuemax": 1, "aria-valuenow": share, "aria-valuetext": percent(share),
  };
  return h(
    "li", {},
    h("span", { class: "name", text: label, title: label, dir: "auto" }),
    h("span", meter, fill),
    h("span", { class: "share", text: percent(share) }),
  );
}

function several(results) {
  const failed = results.filter((result) => result.error).length;
  const words = failed
    ? t("answer.failed", { failed, count: results.length })
    : t("answer.texts", { count: results.length });
  const counts = new Map();
  for (const { label } of results) if (label !== undefined) counts.set(label, (counts.get(label) ?? 0) + 1);
  const tally = [...counts].sort((left, right) => right[1] - left[1]).map(([label, count]) => `${label} ${count}`);
  const list = h("ol", { class: "results" }, ...results.map(result));
  return {
    headline: [
      h("p", { class: "label small", text: tally.join("  ·  ") || words }),
      tally.length ? h("p", { class: "confidence", text: words }) : null,
    ].filter(Boolean),
    details: [list],
  };
}

function result(found) {
  const view = item(found);
  const short = found.error
    ? h("span", { class: "chip bad", text: found.error.code })
    : h("span", { class: "chip", text: found.label ?? `[${found.embedding?.length ?? 1}]`, dir: "auto" });
  const share = found.confidence === undefined ? null : h("span", { class: "share", text: percent(found.confidence) });
  const summary = h("summary", {}, h("span", { class: "quote", text: found.text, dir: "auto" }), short, share);
  return h("li", {}, h("details", {}, summary, ...view.details));
}

function vector(values) {
  return {
    headline: [
      h("p", { class: "label small", text: t("answer.dimensions", { count: number(values.length) }) }),
      h("p", { class: "confidence", text: t("answer.first", { count: Math.min(FIRST, values.length) }) }),
    ],
    details: [
      h("ol", { class: "numbers mono" }, ...values.slice(0, FIRST).map((value) => h("li", { text: number(value, 5) }))),
      barcode(values),
    ],
  };
}

/** All numbers of a vector at a glance: up is positive, down negative. */
function barcode(values) {
  const most = Math.max(...values.map(Math.abs)) || 1;
  const picture = svg("svg", {
    class: "barcode", viewBox: `0 0 ${values.length} 2`, preserveAspectRatio: "none",
    role: "img", "aria-label": t("answer.barcode"),
  });
  const path = values.map((value, index) => `M${index + 0.5} 1v${(-value / most).toFixed(3)}`).join("");
  picture.append(svg("path", { d: path }));
  return picture;
}

function tensors(outputs) {
  const parts = outputs.map((output) => {
    const data = (output.data ?? []).flat(Infinity);
    const first = data.slice(0, 12).map((value) => (typeof value === "number" ? number(value, 6) : String(value)));
    const more = data.length > 12 ? h("li", { class: "more", text: t("answer.more", { count: data.length - 12 }) }) : null;
    const shape = t("answer.shape", { datatype: output.datatype, shape: `[${output.shape.join(", ")}]` });
    return h(
      "div", { class: "output" },
      outputs.length > 1 ? h("h3", { class: "mono", text: output.name }) : null,
      h("p", { class: "note mono", text: shape }),
      h("ol", { class: "numbers mono" }, ...first.map((text) => h("li", { text })), more),
    );
  });
  return { headline: [h("p", { class: "label small", text: outputs.map((output) => output.name).join(", ") })], details: parts };
}

/** What was wrong, from problem+json, from the protocol's {"error"}, or from what stood between. */
export function problemOf({ status, content, headers }) {
  const request = headers?.get("x-request-id") ?? content?.request_id;
  if (content?.code) return { code: content.code, detail: content.detail, status, request };
  if (typeof content?.error === "string") return { code: "", detail: content.error, status, request };
  const text = typeof content === "string" ? content : JSON.stringify(content);
  return { code: "", detail: text.replace(/<[^>]*>/g, " ").trim().slice(0, 300), status, request };
}

/** An error in its place: what it means, its code, the server's words, the id to ask about. */
export function problemBox({ code, detail, status, request }) {
  const key = has(`error.${code}`) ? `error.${code}` : "error.other";
  const marks = h("p", { class: "marks" });
  if (code) marks.append(h("code", { class: "chip bad", text: code }));
  if (status) marks.append(h("span", { class: "chip", text: `HTTP ${status}` }));
  if (request) marks.append(requestId(request));
  return h("div", { class: "problem" }, h("p", { class: "what", text: t(key) }), h("p", { class: "detail", text: detail }), marks);
}

/** A request id with a button that copies it. */
export function requestId(id) {
  const button = h("button", { type: "button", class: "id mono", title: t("copy.request"), text: id });
  button.addEventListener("click", async () => {
    setWords(document.getElementById("announce"), (await copyText(id)) ? "copied" : "copy.failed");
  });
  return button;
}
