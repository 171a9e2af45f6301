// What the page asks of the gateway. Addresses are relative, so that a path prefix does no harm.

export const address = (path) => new URL(path, document.baseURI).href;

async function getJson(path) {
  const response = await fetch(address(path), { headers: { accept: "application/json" }, cache: "no-store" });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

export const health = () => getJson("health");

/** Every model with what is known of it: {name, task, ready, versions, state, reason}. */
export async function models(healthNow) {
  const list = await getJson("v1/models");
  const names = [...new Set([...list.models, ...Object.keys(healthNow.models)])].sort();
  const found = await Promise.all(names.map((name) => model(name, healthNow.models[name])));
  return found.sort((left, right) => right.ready - left.ready); // those that can be asked come first
}

async function model(name, found) {
  const state = { state: found?.state ?? "READY", reason: found?.reason ?? "" };
  try {
    const { ready, versions, task } = await getJson(`v1/models/${encodeURIComponent(name)}`);
    return { name, ready, versions, task, ...state };
  } catch {
    return { name, ready: false, versions: [], task: "tensor", ...state };
  }
}

/** Inputs of a model's tensors as the Open Inference Protocol names them; none where it is not known. */
export async function inputs(name) {
  try {
    return (await getJson(`v2/models/${encodeURIComponent(name)}`)).inputs ?? [];
  } catch {
    return [];
  }
}

export async function metrics() {
  const response = await fetch(address("metrics"), { cache: "no-store" });
  if (!response.ok) throw new Error(`metrics: ${response.status}`);
  return response.text();
}

/** Sends a request: {status, headers, content, milliseconds}; content is text where it is no JSON. */
export async function send(request) {
  const started = performance.now();
  const response = await fetch(address(request.path), {
    method: "POST",
    headers: { "content-type": request.type },
    body: request.body,
  });
  const text = await response.text();
  const milliseconds = performance.now() - started;
  let content = text;
  try {
    content = JSON.parse(text);
  } catch {
    // an answer of something between us and the gateway
  }
  return { status: response.status, headers: response.headers, content, milliseconds };
}
