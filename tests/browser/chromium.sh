#!/bin/sh
# Install Debian's Chromium for the browser tests, unless there is one. Needs root. CI calls this.
set -eu
command -v chromium >/dev/null && exit 0
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends chromium >/dev/null
