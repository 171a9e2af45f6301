// From an input to the request that carries it, and the same request as a shell command. Pure.

const LONGEST_ARGUMENT = 100_000; // bytes; Linux takes 128 KiB an argument

/** How a model's input is given: text, image, numbers or tensor. */
export function kindOf(task) {
  if (task.startsWith("text-")) return "text";
  if (task.startsWith("image-")) return "image";
  return task === "tabular" ? "numbers" : "tensor";
}

/**
 * The request for a model. `input` is {texts}, {numbers}, {json} or {blob, name, onDisk}; a picture
 * that lies in no file (a drawing) has onDisk false.
 */
export function makeRequest(model, version, input) {
  const name = encodeURIComponent(model);
  const wanted = version ? `version=${encodeURIComponent(version)}` : "";
  const raw = `v1/models/${name}/predict${wanted && `?${wanted}`}`;
  if (input.texts) {
    const query = `model=${name}${wanted && `&${wanted}`}`;
    return json(`predict?${query}`, JSON.stringify({ texts: input.texts }));
  }
  if (input.numbers) return json(raw, JSON.stringify(input.numbers));
  if (input.json) {
    return json(`v2/models/${name}${version ? `/versions/${encodeURIComponent(version)}` : ""}/infer`, input.json);
  }
  const type = /^image\/[\w.+-]+$/.test(input.blob.type) ? input.blob.type : "application/octet-stream";
  return { path: raw, type, body: input.blob, file: input.name, onDisk: input.onDisk };
}

const json = (path, body) => ({ path, type: "application/json", body });

/** The command and what to know about it: {command, note, name}; `base` is the address of the page. */
export async function curlCommand(request, base) {
  const url = new URL(request.path, base).href;
  const head = `curl -sS ${quote(url)} \\\n  -H ${quote(`content-type: ${request.type}`)} \\\n  --data-binary `;
  if (typeof request.body === "string") {
    const size = new TextEncoder().encode(request.body).length;
    if (size < LONGEST_ARGUMENT) return { command: head + quote(request.body) };
    return { command: `${head}@request.json`, note: "curl.long", name: "request.json" };
  }
  if (request.onDisk) {
    return { command: head + quote(`@${request.file}`), note: "curl.folder", name: request.file };
  }
  const encoded = await base64(request.body);
  if (encoded.length < LONGEST_ARGUMENT) {
    return { command: `printf %s ${quote(encoded)} | base64 -d |\n  ${head}@-` };
  }
  return { command: head + quote(`@${request.file}`), note: "curl.long", name: request.file };
}

/** One word for a POSIX shell, whatever is in it. */
export const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

async function base64(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let binary = "";
  for (let start = 0; start < bytes.length; start += 8192) {
    binary += String.fromCharCode(...bytes.subarray(start, start + 8192));
  }
  return btoa(binary);
}

/** Numbers of a pasted text: {numbers}, or {bad: {index, value}}; brackets of JSON may stand around. */
export function parseNumbers(text) {
  const words = text.replace(/^\s*\[|\]\s*$/g, "").split(/[\s,;，；、]+/).filter(Boolean);
  const numbers = words.map((word) => (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(word) ? Number(word) : NaN));
  const index = numbers.findIndex((number) => !Number.isFinite(number));
  return index < 0 ? { words, numbers } : { words, bad: { index: index + 1, value: words[index] } };
}
