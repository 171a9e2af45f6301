"""The chart's test: one text through all hops of the release, and the same one again from the cache."""

import http.client
import json
import os
import sys
import time
import urllib.parse

TEXT = f"这家酒店非常好，服务热情 {time.time_ns()}"


def ask(connection, method, path, body=None):
    headers = {"content-type": "application/json"}
    connection.request(method, path, json.dumps(body) if body else None, headers)
    response = connection.getresponse()
    return response.status, response.getheader("x-cache"), response.read()


def wait_until_ready(address, seconds=120):
    until = time.monotonic() + seconds
    while True:
        try:
            status, _, body = ask(http.client.HTTPConnection(address, timeout=10), "GET", "/readyz")
            reason = f"{status} {body[:200]!r}"
            if status == 200:
                return
        except (OSError, http.client.HTTPException) as error:
            reason = repr(error)
        if time.monotonic() > until:
            sys.exit(f"{address} is not ready: {reason}")
        time.sleep(1)


def predict(connection):
    model = os.environ.get("TRIREME_SMOKE_MODEL")
    path = f"/predict?model={urllib.parse.quote(model)}" if model else "/predict"
    try:
        status, cache, body = ask(connection, "POST", path, {"texts": [TEXT]})
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"/predict gave no answer, with {connection.timeout:g} s to give one: {error!r}")
    if status != 200:
        sys.exit(f"/predict answered {status}: {body[:500]!r}")
    return cache, json.loads(body)["results"][0]


def main():
    address = os.environ["TRIREME_SMOKE_ADDRESS"]
    wait_until_ready(address)
    # The first request may have to wake a pool that has gone to zero.
    seconds = float(os.environ["TRIREME_SMOKE_TIMEOUT_SECONDS"])
    connection = http.client.HTTPConnection(address, timeout=seconds)
    cache, first = predict(connection)
    if abs(sum(first["probabilities"].values()) - 1) > 0.001 or first["label"] not in first["probabilities"]:
        sys.exit(f"/predict answered something odd: {first}")
    print(f"first answer: {first['label']} {first['confidence']:.3f}, x-cache: {cache}")
    # The connection is kept, so that the same pod answers: pods may cache each for itself.
    cache, again = predict(connection)
    if cache != "hit" or again["label"] != first["label"]:
        sys.exit(f"the second answer is no cache hit: x-cache: {cache}, {again}")
    print("second answer: from the cache")


if __name__ == "__main__":
    main()
