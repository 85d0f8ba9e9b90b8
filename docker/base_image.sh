#!/usr/bin/env bash
# A base image from Debian's packages, for machines that reach no container registry.
# usage: docker/base_image.sh [TAG]; as root, with debootstrap
set -euo pipefail
tag=${1:-frostline-base:local}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# the mirror that this machine's own apt uses
mirror=$(awk '/^URIs:/{print $2; exit} /^deb /{print $2; exit}' /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null)
debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv,python3-pip-whl,tini \
  bookworm "$folder/root" "$mirror" >"$folder/log" 2>&1 || { tail -5 "$folder/log" >&2; exit 1; }
chroot "$folder/root" apt-get clean
rm -rf "$folder"/root/var/lib/apt/lists/* "$folder"/root/var/log/*.log "$folder"/root/var/log/apt
tar -C "$folder/root" --numeric-owner --exclude=./dev --exclude='./proc/*' --exclude='./sys/*' -c . |
  docker import --change 'ENV LANG=C.UTF-8' --change 'CMD ["python3"]' - "$tag"
