#!/usr/bin/env bash
# The cache's tests need a redis-server with TLS, and openssl: finds them, or installs Debian's where possible.
# redis-tools brings the server's program under the name redis-check-rdb, and starts no daemon.
set -euo pipefail
if command -v openssl >/dev/null && { command -v redis-server || command -v redis-check-rdb; } >/dev/null; then
  exit 0
fi
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  echo "Installing Redis with TLS for the cache's tests ..."
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-tools openssl >/dev/null
  exit 0
fi
echo "Redis with TLS is not here; the cache's tests need it: apt-get install redis-tools openssl" >&2
exit 1
