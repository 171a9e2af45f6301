#!/usr/bin/env bash
# The console's tests run in a real browser: finds Chromium, or installs Debian's where that is possible.
set -euo pipefail
for name in chromium chromium-browser google-chrome; do
  command -v "$name" >/dev/null && exit 0
done
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  echo "Installing Chromium for the console's tests ..."
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-wqy-microhei >/dev/null
  exit 0
fi
echo "Chromium is not here; the console's tests need it: apt-get install chromium fonts-wqy-microhei" >&2
exit 1
