// One square for pictures: draw on it, or see there what was chosen, dropped or pasted.

import { $ } from "./dom.js";
import { setWords, t } from "./i18n.js";

const PAPER = "#ffffff";
const INK = "#10212b";
const PEN = 20;
// A seven, as a hand draws it.
const SEVEN = [[80, 74], [140, 70], [200, 72], [176, 118], [150, 166], [132, 214]];

let chosen = null; // {blob, name, onDisk} of a picture that came from outside
let strokes = 0;
let changed = () => {};
let canvas, pen;

export function startEasel(whenChanged) {
  changed = whenChanged;
  canvas = $("canvas");
  pen = canvas.getContext("2d");
  clear();
  canvas.addEventListener("pointerdown", begin);
  $("clear").addEventListener("click", () => {
    clear();
    changed();
  });
  $("file").addEventListener("change", () => {
    const [file] = $("file").files;
    if (file) show(file, file.name, true);
    $("file").value = ""; // the same file may be chosen again
  });
  const easel = $("easel");
  easel.addEventListener("dragover", (event) => {
    event.preventDefault();
    easel.classList.add("over");
  });
  easel.addEventListener("dragleave", () => easel.classList.remove("over"));
  easel.addEventListener("drop", (event) => {
    event.preventDefault();
    easel.classList.remove("over");
    const [file] = event.dataTransfer.files;
    if (file) show(file, file.name, true);
  });
}

/** Takes the picture of a paste, if there is one. */
export function pastePicture(event) {
  const file = [...event.clipboardData.files].find((found) => found.type.startsWith("image/"));
  if (!file) return;
  event.preventDefault();
  show(file, t("image.pasted"), false);
}

/** The picture to be sent: {blob, name, onDisk}, or null where there is none. */
export async function picture() {
  if (chosen) return chosen;
  if (!strokes) return null;
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  return { blob, name: "drawing.png", onDisk: false };
}

export function drawSeven() {
  clear();
  stroke(SEVEN);
  drawn();
}

function clear() {
  chosen = null;
  strokes = 0;
  canvas.classList.remove("shown");
  pen.fillStyle = PAPER;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  $("canvas-hint").hidden = false;
  setWords($("canvas-hint"), "image.hint");
  delete $("image-name").dataset.i18n;
  $("image-name").textContent = "";
}

async function show(blob, name, onDisk) {
  clear();
  chosen = { blob, name, onDisk };
  canvas.classList.add("shown");
  $("canvas-hint").hidden = true;
  $("image-name").textContent = name;
  changed();
  try {
    const bitmap = await createImageBitmap(blob);
    if (chosen?.blob !== blob) return;
    const scale = Math.min(canvas.width / bitmap.width, canvas.height / bitmap.height);
    const [width, height] = [bitmap.width * scale, bitmap.height * scale];
    pen.imageSmoothingEnabled = scale < 1; // few pixels are shown as they are
    pen.drawImage(bitmap, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
  } catch {
    if (chosen?.blob !== blob) return;
    delete $("canvas-hint").dataset.i18n;
    $("canvas-hint").textContent = t("image.nopreview", { name });
    $("canvas-hint").hidden = false;
  }
}

function begin(event) {
  if (chosen || event.button !== 0) return;
  event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  let last = position(event);
  stroke([last, last]);
  const move = (moved) => {
    for (const point of moved.getCoalescedEvents?.() ?? [moved]) {
      const next = position(point);
      stroke([last, next]);
      last = next;
    }
  };
  const end = () => {
    canvas.removeEventListener("pointermove", move);
    drawn();
  };
  canvas.addEventListener("pointermove", move);
  canvas.addEventListener("lostpointercapture", end, { once: true });
}

function position(event) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * canvas.width, ((event.clientY - box.top) / box.height) * canvas.height];
}

function stroke([first, ...rest]) {
  pen.strokeStyle = INK;
  pen.lineWidth = PEN;
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  pen.moveTo(...first);
  for (const point of rest) pen.lineTo(...point);
  pen.stroke();
  strokes += 1;
  $("canvas-hint").hidden = true;
}

function drawn() {
  setWords($("image-name"), "image.drawing");
  changed();
}
