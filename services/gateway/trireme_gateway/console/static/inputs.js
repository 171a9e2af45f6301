// The input of each kind of model: its field, its examples, and what is read from it.

import { inputs } from "./api.js";
import { $, h } from "./dom.js";
import { drawSeven, pastePicture, picture, startEasel } from "./easel.js";
import { number, t } from "./i18n.js";
import { kindOf, parseNumbers } from "./requests.js";

const MOST_TEXTS = 100;
const GOOD = "这家酒店非常好，服务热情";
const BAD = "质量太差了，非常失望";
const SO_SO = "一般般吧，没什么特别的";
const ROW = "59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87";

const EXAMPLES = {
  text: [
    ["example.good", () => fillText(GOOD, false)],
    ["example.bad", () => fillText(BAD, false)],
    ["example.lines", () => fillText([GOOD, BAD, SO_SO].join("\n"), true)],
  ],
  image: [["example.digit", drawSeven]],
  numbers: [["example.row", () => fill("numbers", ROW)]],
  tensor: [["example.template", () => fill("tensor", template)]],
};
const FIELDS = { text: "text", image: "file", numbers: "numbers", tensor: "tensor" };

let kind = "text";
let expected = null; // how many numbers the model takes, where it says so
let template = "";
let changed = () => {};

export function startInputs(whenChanged) {
  changed = whenChanged;
  for (const id of ["text", "several", "numbers", "tensor"]) $(id).addEventListener("input", update);
  startEasel(update);
  document.addEventListener("paste", (event) => {
    if (kind === "image") pastePicture(event);
  });
}

/** Shows the fields for a model. */
export async function chooseModel(model) {
  kind = kindOf(model.task);
  expected = null;
  template = "";
  for (const part of document.querySelectorAll(".kind")) part.hidden = part.dataset.kind !== kind;
  showExamples();
  update();
  if (kind === "numbers") await expectNumbers(model.name);
  if (kind === "tensor") await offerTemplate(model.name);
}

async function expectNumbers(name) {
  const [first, ...more] = await inputs(`${name}.inference`);
  const last = first?.shape.at(-1);
  if (kind !== "numbers" || more.length || !(last > 0)) return;
  expected = last;
  update();
}

async function offerTemplate(name) {
  const found = await inputs(name);
  if (kind !== "tensor" || !found.length) return;
  const zeros = (input) => {
    const shape = input.shape.map((size) => (size > 0 ? size : 1));
    const count = Math.min(shape.reduce((product, size) => product * size, 1), 4096);
    const zero = input.datatype === "BYTES" ? "" : input.datatype === "BOOL" ? false : 0;
    return { name: input.name, datatype: input.datatype, shape, data: Array(count).fill(zero) };
  };
  // Line breaks between the fields, none between the numbers.
  const lines = found.map((input) => `    ${JSON.stringify(zeros(input))}`);
  template = `{\n  "inputs": [\n${lines.join(",\n")}\n  ]\n}`;
  if (!$("tensor").value.trim()) fill("tensor", template);
}

/** Words that depend on the state; called again after a change of language. */
export function showExamples() {
  const buttons = EXAMPLES[kind].map(([key, apply]) =>
    h("button", { type: "button", class: "example", text: t(key), "data-i18n": key, on: { click: () => { apply(); update(); } } }),
  );
  $("examples").replaceChildren(...buttons);
  $("examples-row").hidden = false;
}

function fill(id, value) {
  $(id).value = value;
}

function fillText(value, several) {
  $("several").checked = several;
  fill("text", value);
}

/** Counts, the cells of the numbers, and whoever wants to know that the input is another one. */
export function update() {
  complain("");
  const texts = textsOf();
  const characters = number([...$("text").value].length, 9);
  $("text-count").textContent = $("several").checked
    ? t("text.counts", { texts: texts.length, characters })
    : t("text.count", { characters });
  const { words, numbers } = parseNumbers($("numbers").value);
  $("numbers-count").textContent = expected
    ? t("numbers.counts", { count: words.length, expected })
    : t("numbers.count", { count: words.length });
  $("cells").replaceChildren(
    ...words.slice(0, 64).map((word) => h("li", { class: parseNumbers(word).bad ? "bad" : "", text: word })),
  );
  $("numbers-count").classList.toggle("good", Boolean(expected && numbers?.length === expected));
  changed();
}

function textsOf() {
  const value = $("text").value;
  if (!$("several").checked) return value.trim() ? [value] : [];
  return value.split("\n").map((line) => line.trim()).filter(Boolean);
}

/** The input, ready to be sent, or {problem} in words. */
export async function readInput() {
  if (kind === "text") {
    const texts = textsOf();
    if (!texts.length) return { problem: t("text.none") };
    return texts.length > MOST_TEXTS ? { problem: t("text.many", { texts: texts.length }) } : { texts };
  }
  if (kind === "image") return (await picture()) ?? { problem: t("image.none") };
  if (kind === "numbers") return readNumbers();
  const json = $("tensor").value.trim();
  try {
    JSON.parse(json);
    return { json };
  } catch (error) {
    return { problem: t("tensor.bad", { reason: error.message }) };
  }
}

function readNumbers() {
  const { numbers, bad } = parseNumbers($("numbers").value);
  if (bad) return { problem: t("numbers.bad", bad) };
  if (!numbers.length) return { problem: t("numbers.none") };
  if (expected && numbers.length !== expected) {
    return { problem: t("numbers.expected", { expected, count: numbers.length }) };
  }
  return { numbers };
}

/** Says what is wrong beside the field, and brings the keyboard there; "" takes it back. */
export function complain(problem) {
  const field = $(FIELDS[kind]);
  $("input-error").textContent = problem;
  if (problem) {
    field.setAttribute("aria-invalid", "true");
    field.focus();
  } else {
    for (const id of Object.values(FIELDS)) $(id).removeAttribute("aria-invalid");
  }
}
