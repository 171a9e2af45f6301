// Prometheus' text format, and what happened between two readings of it. Pure.

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;
// Everything that carries predictions; health, pages and metrics would drown them.
const PREDICTIONS = /predict|infer|embeddings/i;

export function* samples(text) {
  for (const line of text.split("\n")) {
    const match = line.startsWith("#") ? null : SAMPLE.exec(line);
    if (!match) continue;
    const labels = {};
    for (const [, name, value] of (match[2] ?? "").matchAll(LABEL)) labels[name] = value.replace(/\\(.)/g, "$1");
    yield { name: match[1], labels, value: Number(match[3]) };
  }
}

/** The counts of one reading: requests, latency buckets (cumulative, by upper bound), items, messages. */
export function read(text, seconds) {
  const found = { seconds, requests: 0, buckets: new Map(), items: null, messages: null };
  for (const { name, labels, value } of samples(text)) {
    if (name === "model_requests_total" && PREDICTIONS.test(labels.endpoint)) found.requests += value;
    if (name === "model_request_duration_seconds_bucket" && PREDICTIONS.test(labels.endpoint)) {
      const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
      found.buckets.set(bound, (found.buckets.get(bound) ?? 0) + value);
    }
    if (name === "trireme_message_items_sum" && labels.stage === "inference") found.items = (found.items ?? 0) + value;
    if (name === "trireme_message_items_count" && labels.stage === "inference") found.messages = (found.messages ?? 0) + value;
  }
  return found;
}

/** What happened between two readings; null stands where there is nothing to say. */
export function between(before, now) {
  // After a restart the counters begin anew: what they hold is what happened since.
  if (now.requests < before.requests) before = { ...before, requests: 0, buckets: new Map(), items: 0, messages: 0 };
  const counts = [...now.buckets]
    .sort((left, right) => left[0] - right[0])
    .map(([bound, count]) => [bound, count - (before.buckets.get(bound) ?? 0)]);
  const messages = (now.messages ?? 0) - (before.messages ?? 0);
  return {
    rate: Math.max(0, now.requests - before.requests) / Math.max(now.seconds - before.seconds, 0.001),
    p50: quantile(0.5, counts),
    p99: quantile(0.99, counts),
    items: messages > 0 ? (now.items - (before.items ?? 0)) / messages : null,
  };
}

/** Quantile of cumulative counts by upper bound, in ms, linear within a bucket, as Prometheus does. */
export function quantile(share, counts) {
  const total = counts.at(-1)?.[1] ?? 0;
  if (total <= 0) return null;
  const rank = share * total;
  let [lower, below] = [0, 0];
  for (const [bound, count] of counts) {
    if (count >= rank && count > below) {
      if (bound === Infinity) return lower * 1000;
      return (lower + ((bound - lower) * (rank - below)) / (count - below)) * 1000;
    }
    [lower, below] = [bound, count];
  }
  return lower * 1000;
}
