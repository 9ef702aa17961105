#!/usr/bin/env bash
# Installs what tests need from the system's packages, and only what is missing: deploy/install.sh PROGRAM…
# Knows the programs cc, curl, redis-server, npm, chromium, prometheus and promtool, and the package managers apt-get, dnf, apk and brew.
set -euo pipefail

missing=()
for program in "$@"; do
  command -v "$program" >/dev/null || missing+=("$program")
done
[ ${#missing[@]} -gt 0 ] || exit 0

manager=""
for candidate in apt-get dnf apk brew; do
  if command -v "$candidate" >/dev/null; then manager=$candidate && break; fi
done
if [ -z "$manager" ]; then
  echo "${missing[*]}: missing, and no package manager that this script knows (apt-get, dnf, apk, brew) is here: install by hand" >&2
  exit 1
fi

# packages prints the packages of a program under this package manager.
packages() {
  case $manager:$1 in
    apt-get:cc) echo gcc libc6-dev ;;
    apk:cc) echo gcc musl-dev ;;
    *:cc) echo gcc ;;
    apt-get:redis-server) echo redis-server ;;
    *:redis-server) echo redis ;;
    brew:npm) echo node ;;
    *:npm) echo nodejs npm ;;
    *:promtool) echo prometheus ;;
    apt-get:chromium) echo chromium fonts-dejavu-core ;;
    *) echo "$1" ;;
  esac
}

wanted=()
for program in "${missing[@]}"; do
  read -ra of <<<"$(packages "$program")"
  wanted+=("${of[@]}")
done

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
case $manager in
  apt-get)
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
    ;;
  dnf) "${as_root[@]}" dnf install -y -q "${wanted[@]}" ;;
  apk) "${as_root[@]}" apk add -q "${wanted[@]}" ;;
  brew) brew install -q "${wanted[@]}" ;;
esac

for program in "${missing[@]}"; do
  command -v "$program" >/dev/null || { echo "$program is still missing after ${wanted[*]} was installed" >&2; exit 1; }
done
