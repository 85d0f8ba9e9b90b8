#!/bin/sh
# Checks what would make Ray fail later and with more words, then becomes the command.
set -eu

fail() {
  echo "frostline cannot start here: $1" >&2
  exit 2
}

# The oldest driver that runs this image's build of CUDA.
least_driver() {
  case "$FROSTLINE_ACCELERATOR" in
    cu126) echo 560 ;;
    cu130) echo 580 ;;
    *) echo 0 ;;
  esac
}

token=${RAY_AUTH_TOKEN_PATH:-}
if [ -n "$token" ] && [ ! -r "$token" ]; then
  [ -e "$token" ] || fail "there is no token file $token; make one with: frostline cluster token > token"
  fail "the token file $token cannot be read by user $(id -u); let it: chown $(id -u) token && chmod 400 token"
fi

case "$*" in
  "frostline cluster head"* | "frostline cluster join"*) is_node=1 ;;
  *) is_node=0 ;;
esac
case "$* " in
  "frostline cluster join"*"--gpus 0 "*) wants_gpu=0 ;;
  "frostline cluster join"*) wants_gpu=1 ;;
  *) wants_gpu=0 ;;
esac

if [ "$is_node" = 1 ]; then
  needed_mb=$((${OBJECT_STORE_BYTES:-134217728} / 1048576))
  shm_mb=$(df -Pm /dev/shm | awk 'NR == 2 {print $2}')
  [ "$shm_mb" -ge "$needed_mb" ] ||
    fail "/dev/shm has $shm_mb MB, and Ray's object store takes $needed_mb; give more: --shm-size 256m"
  free_mb=$(df -Pm /cache | awk 'NR == 2 {print $4}')
  [ "$free_mb" -ge "${LEAST_FREE_MB:-1000}" ] ||
    fail "/cache has $free_mb MB free, and data and scratch folders take more; mount a larger volume there"
fi

if [ -n "${FROSTLINE_STOP_COMMAND:-}${FROSTLINE_MAX_HOURS:-}" ]; then
  case "${FROSTLINE_RESTART:-}" in
    always | unless-stopped) fail "it would end itself and be started again (restart: $FROSTLINE_RESTART); set RESTART=on-failure" ;;
  esac
fi

if [ "$(least_driver)" -gt 0 ]; then
  if command -v nvidia-smi >/dev/null 2>&1; then
    driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -n 1)
    [ "${driver%%.*}" -ge "$(least_driver)" ] 2>/dev/null ||
      fail "the GPU driver is $driver, and this image's CUDA ($FROSTLINE_ACCELERATOR) needs $(least_driver) or later"
  elif [ "$wants_gpu" = 1 ]; then
    fail "this image is for GPUs ($FROSTLINE_ACCELERATOR), and there is none in the container; start it with --gpus all"
  fi
fi

# A driver's container outlives its Ray node, which ends with the head: a sweep in it has to say what happened.
if [ "${KEEP_JOINING:-0}" = 1 ]; then
  trap 'kill -TERM "$child" 2>/dev/null || true; wait "$child" || true; exit 0' TERM INT
  while true; do
    "$@" &
    child=$!
    wait "$child" || true
    sleep 5 &
    child=$!
    wait "$child" || true
  done
fi

exec "$@"
