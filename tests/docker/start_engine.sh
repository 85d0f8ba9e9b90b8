#!/usr/bin/env bash
# Make sure that a Docker engine answers: one that runs, or one that is installed and started here (as root, on Debian).
# Exit code 1, with the reason, where none can be had.
set -euo pipefail
docker info >/dev/null 2>&1 && exit 0
[ "$(id -u)" = 0 ] || { echo "no Docker engine answers, and only root can start one" >&2; exit 1; }
if ! command -v dockerd >/dev/null || ! command -v debootstrap >/dev/null; then
  command -v apt-get >/dev/null || { echo "no Docker engine answers, and there is no apt to install one" >&2; exit 1; }
  said=$( (apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io iptables debootstrap) 2>&1) ||
    { echo "no Docker engine answers, and apt cannot install one: $(tail -1 <<<"$said")" >&2; exit 1; }
fi
# what an engine that was killed has left: it would not start over the pid file of a process that lives
for pid_file in /var/run/docker.pid /var/run/docker/containerd/containerd.pid; do
  if [ -f "$pid_file" ] && ! grep -qaE 'dockerd|containerd' "/proc/$(cat "$pid_file")/cmdline" 2>/dev/null; then rm -f "$pid_file"; fi
done
log=$(mktemp)
setsid dockerd </dev/null >"$log" 2>&1 &
for _ in $(seq 120); do
  docker info >/dev/null 2>&1 && exit 0
  sleep 0.5
done
echo "the Docker engine that was started here does not answer:" >&2
tail -5 "$log" >&2
exit 1
