#!/usr/bin/env bash
# Times the way from nothing to the first good link: each step of `make run` in a clean clone, and `el index`.
#
#   benchmarks/first_link.sh [--plain] [--mesh] >> results/first_link.md
#
#   --plain   without AVX-512 and bf16, as on most laptops
#   --mesh    also all of MeSH; takes up to half an hour more
#
# Prints a table with the machine. What the steps print goes to stderr.
set -euo pipefail

root="$(cd "$(dirname "$0")/.." && pwd)"
instructions="all instructions"
mesh=false
for option in "$@"; do
  case "$option" in
    --plain)
      export ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2
      instructions="AVX2 alone"
      ;;
    --mesh) mesh=true ;;
    *)
      sed -n '2,9p' "$0" >&2
      exit 2
      ;;
  esac
done

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
export EL_HOME="$folder/home"
# As for a user, and as `make` does: modules are compiled once, not by each stage.
unset PYTHONDONTWRITEBYTECODE
git clone --quiet "$root" "$folder/clone"
cd "$folder/clone"
export PATH="$PWD/.venv/bin:$PATH"

total=0
step() {
  local name="$1" begun took
  shift
  begun="$(date +%s)"
  "$@" >&2
  took="$(($(date +%s) - begun))"
  total="$((total + took))"
  echo "| $name | $took | $total |"
}

model="$(grep -m1 'model name' /proc/cpuinfo 2>/dev/null | cut -d: -f2- | xargs || uname -m)"
echo
echo "$(git log -1 --format=%h), $(date +%F): $model, $(nproc) cores, $instructions; load before: $(cut -d' ' -f1 /proc/loadavg)."
echo
echo "| step | s | s since the beginning |"
echo "|---|---:|---:|"
step "install (\`make setup\`)" make setup
step "first link (\`make first-link\`)" make first-link
step "pipeline on the sample (\`dvc repro\`)" dvc repro
if "$mesh"; then
  step "all of MeSH (\`el index\`)" el index
fi
