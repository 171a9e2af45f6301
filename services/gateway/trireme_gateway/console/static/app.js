// The page: which model, its input, one request at a time, its answer.

import { address, health, models, send } from "./api.js";
import { answerView, problemBox, problemOf, requestId } from "./answer.js";
import { drawCharts, startCharts } from "./charts.js";
import { $, copyText, h, svg } from "./dom.js";
import { current, has, setLanguage, setWords, t, translatePage } from "./i18n.js";
import { chooseModel, complain, readInput, showExamples, startInputs, update } from "./inputs.js";
import { curlCommand, kindOf, makeRequest } from "./requests.js";
import { emptyTiming, timingView } from "./timing.js";

const HEALTH_EVERY_MS = 5000;
const LONGEST_RAW = 20_000; // characters
const ICONS = {
  text: "M4 6h16M12 6v13M8 19h8",
  image: "M4 5h16v14H4ZM4 16l5-5 4 4 3-3 4 4M15.5 9h.01",
  numbers: "M5 19V11M12 19V5M19 19v-6",
  tensor: "M12 3l8 4.5v9L12 21l-8-4.5v-9ZM4 7.5l8 4.5 8-4.5M12 12v9",
};

let list = [];
let chosen = null;
let shown = null; // the last exchange, to be shown again in another language
let running = false;
let command = 0; // counts the commands that were asked for: only the latest is shown

async function watchModels() {
  if (!document.hidden) {
    try {
      const found = await health();
      setWords($("health-text"), `health.${found.status}`);
      $("health").dataset.state = found.status;
      showModels(await models(found));
    } catch {
      setWords($("health-text"), "health.unreachable");
      $("health").dataset.state = "unreachable";
      if (!list.length) setWords($("models-note"), "models.unreachable");
    }
  }
  setTimeout(watchModels, HEALTH_EVERY_MS);
}

function showModels(found) {
  if (JSON.stringify(found) === JSON.stringify(list) && found.length) return;
  list = found;
  setWords($("models-note"), "models.none");
  $("models-note").hidden = list.length > 0;
  drawModels();
  const still = list.find((model) => model.name === chosen?.name && model.ready);
  if (!still) choose(list.find((model) => model.ready) ?? null);
  else if (JSON.stringify(still) !== JSON.stringify(chosen)) showVersions((chosen = still));
}

function drawModels() {
  const focused = document.activeElement?.name === "model";
  $("model-list").replaceChildren(...list.map(modelCard));
  if (focused) $("model-list").querySelector("input:checked")?.focus();
}

function modelCard(model) {
  const radio = h("input", {
    type: "radio", name: "model", value: model.name, disabled: !model.ready, checked: model.name === chosen?.name,
    on: { change: () => choose(model) },
  });
  const icon = svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: ICONS[kindOf(model.task)] }));
  const key = model.ready ? "state.ready" : has(`state.${model.state}`) ? `state.${model.state}` : "state.other";
  const versions = model.versions.map((version) => t("version.n", { version })).join(", ");
  const about = [t(`task.${model.task}`), versions, model.ready ? "" : t(key)].filter(Boolean).join(" · ");
  const label = h(
    "label", { class: "model", "data-state": model.ready ? "ready" : model.state },
    radio, icon,
    h("span", { class: "model-text" },
      h("span", { class: "model-name", text: model.name }),
      h("span", { class: "model-about", text: about }),
    ),
    h("span", { class: "dot", "aria-hidden": "true" }),
  );
  const reason = model.reason && h("details", { class: "model-reason" }, h("summary", { text: model.reason }));
  return h("div", {}, label, reason || null);
}

function choose(model) {
  chosen = model;
  const radio = [...$("model-list").querySelectorAll("input")].find((input) => input.value === model?.name);
  if (radio) radio.checked = true;
  $("run").setAttribute("aria-disabled", String(!model));
  if (!model) return;
  showVersions(model);
  clearAnswer();
  chooseModel(model);
}

function showVersions(model) {
  const kept = model.versions.includes($("version").value) ? $("version").value : "";
  $("version-field").hidden = model.versions.length < 2;
  $("version").replaceChildren(
    h("option", { value: "", text: t("version.default") }),
    ...[...model.versions].reverse().map((version) => h("option", { value: version, text: t("version.n", { version }) })),
  );
  $("version").value = kept;
}

function clearAnswer() {
  shown = null;
  $("headline").replaceChildren();
  $("problem").replaceChildren();
  $("details").replaceChildren();
  $("empty").hidden = false;
  $("facts").replaceChildren();
  $("raw").hidden = true;
  $("timing").replaceChildren(...emptyTiming());
}

async function showCommand() {
  const mine = ++command;
  const input = chosen ? await readInput() : { problem: "" };
  const made = input.problem === undefined
    ? await curlCommand(makeRequest(chosen.name, $("version").value, input), address(""))
    : { command: "", note: "curl.none" };
  if (mine !== command) return;
  $("curl").textContent = made.command;
  $("curl").parentElement.hidden = !made.command;
  $("copy").disabled = !made.command;
  $("curl-note").textContent = made.note ? t(made.note, { name: made.name }) : "";
}

async function run() {
  if (running || !chosen) return;
  const input = await readInput();
  complain(input.problem ?? "");
  if (input.problem !== undefined) return;
  busy(true);
  try {
    shown = { model: chosen.name, ...(await send(makeRequest(chosen.name, $("version").value, input))) };
  } catch (error) {
    shown = { model: chosen.name, failure: String(error.message ?? error) };
  }
  busy(false);
  showAnswer();
  reveal();
}

function busy(now) {
  running = now;
  $("answer").setAttribute("aria-busy", String(now));
  $("run").setAttribute("aria-disabled", String(now));
  setWords($("run").firstElementChild, now ? "running" : "run");
}

function showAnswer() {
  $("empty").hidden = true;
  $("headline").replaceChildren();
  $("problem").replaceChildren();
  $("details").replaceChildren();
  $("raw").hidden = true;
  if (shown.failure) {
    $("problem").append(problemBox({ code: "network", detail: shown.failure }));
    return;
  }
  const answered = shown.status < 300 || Array.isArray(shown.content?.results);
  if (answered) {
    const view = answerView(shown.content);
    $("headline").append(...view.headline);
    $(view.headline.length ? "details" : "problem").append(...view.details);
  } else {
    $("problem").append(problemBox(problemOf(shown)));
  }
  showRaw(shown.content);
  const known = shown.headers.get("x-cache") === "hit";
  $("timing").replaceChildren(...timingView(shown.headers.get("server-timing"), shown.milliseconds, known));
  showFacts();
}

function showRaw(content) {
  const text = typeof content === "string" ? content : JSON.stringify(content, null, 2);
  $("raw-json").textContent = text.length > LONGEST_RAW ? `${text.slice(0, LONGEST_RAW)} …` : text;
  $("raw").hidden = false;
}

function showFacts() {
  const cache = shown.headers.get("x-cache");
  const version = shown.headers.get("x-model-version");
  const id = shown.headers.get("x-request-id");
  const facts = [
    ["fact.cache", cache && h("span", { class: `chip cache ${cache}`, text: t(`cache.${cache}`), "data-cache": cache })],
    ["fact.version", version && h("span", { text: `${shown.model} ${t("version.n", { version })}` })],
    ["fact.status", h("span", { text: String(shown.status) })],
    ["fact.request", id && requestId(id)],
  ];
  $("facts").replaceChildren(
    ...facts.filter(([, value]) => value).map(([key, value]) => h("div", { class: key.replace(".", "-") }, h("dt", { text: t(key) }), h("dd", {}, value))),
  );
}

/** On a phone the answer lies below the input: it is brought into view. */
function reveal() {
  const box = $("answer").getBoundingClientRect();
  if (box.top < innerHeight * 0.6 && box.top > -40) return;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  $("answer").scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
}

function speak() {
  translatePage();
  const other = current() === "zh" ? "en" : "zh";
  $("language").textContent = other === "zh" ? "中文" : "English";
  $("language").lang = other;
  drawModels();
  if (chosen) {
    showVersions(chosen);
    showExamples();
    update();
  }
  if (shown) showAnswer();
  drawCharts();
}

$("language").addEventListener("click", () => {
  setLanguage(current() === "zh" ? "en" : "zh");
  speak();
});
$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
  event.preventDefault();
  run();
});
$("version").addEventListener("change", update);
$("copy").addEventListener("click", async () => {
  const done = await copyText($("curl").textContent);
  setWords($("copy"), done ? "copied" : "copy.failed");
  setWords($("announce"), done ? "copied" : "copy.failed");
  setTimeout(() => setWords($("copy"), "copy"), 2000);
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) drawCharts();
});
if (/Mac|iPhone|iPad/.test(navigator.platform)) $("modifier").textContent = "⌘";

startCharts();
startInputs(showCommand);
speak();
clearAnswer();
showCommand();
watchModels();
