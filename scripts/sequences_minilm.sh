#!/usr/bin/env bash
# The runs behind results/conll04_minilm.md, up_ewt_minilm.md and xquad_minilm.md, and their tables.
#
#   scripts/sequences_minilm.sh conll04|up_ewt|xquad DATA [OUT]
#
# DATA holds conll04/{train,dev,test}.txt, up_ewt/{train,dev,test}.props and xquad_en{,_v2}/{train,dev}.json; OUT is the
# folder of the runs (default: runs). Finished runs are not repeated, so the script can be stopped and started again.
# What a line leaves unsaid is the method's default (recipe=none), whatever recipes there may be by now.
# SEEDS overrides the seeds; WORKERS (default 2) runs are made side by side, each with one thread.
set -euo pipefail
what=${1:?"conll04, up_ewt or xquad"} data=${2:?"the folder of the data"} out=${3:-runs}
export OMP_NUM_THREADS=1
list=$(mktemp)
trap 'rm -f "$list"' EXIT

runs() { # settings of the task; then one line a method: its settings
  local task=$1 line
  while read -r line; do
    for seed in $seeds; do echo "$task $line seed=$seed trainer.precision=bf16"; done
  done >> "$list"
}
all() { xargs -P "${WORKERS:-2}" -I{} sh -c "ptv2 train {} recipe=none out=$out" < "$list"; }

case $what in
conll04)
  names=(--task conll04)
  # One seed of each sweep; the rates below are the best on dev so far (results/conll04_minilm.md), to be changed by hand.
  for method in fine-tuning p-tuning-v2 prompt-tuning; do
    ptv2 train "+sweep=conll04-$method" "data.dir=$data/conll04" seed=1 "out=$out" -m
  done
  seeds=${SEEDS:-1 2 3 4 5}
  runs "task=conll04 data.dir=$data/conll04" <<END
method=fine-tuning optim.lr=2e-4 trainer.epochs=10
method=p-tuning-v2 optim.lr=5e-2 optim.head_lr=5e-3 trainer.batch_size=16 prompt.positions=unshifted prompt.length=64 trainer.epochs=30
method=prompt-tuning optim.lr=3e-2 prompt.length=32 trainer.epochs=15
END
  ;;
up_ewt)
  names=(--task up_ewt)
  seeds=${SEEDS:-1 2 3}
  runs "task=up_ewt data.dir=$data/up_ewt" <<END
method=fine-tuning optim.lr=2e-4 trainer.epochs=6
method=p-tuning-v2 optim.lr=2e-2 optim.head_lr=5e-3 trainer.batch_size=8 prompt.positions=unshifted prompt.length=64 trainer.epochs=10
method=prompt-tuning optim.lr=3e-2 trainer.batch_size=16 prompt.length=32 trainer.epochs=3
END
  ;;
xquad)
  names=(--task xquad_en --task xquad_en_v2)
  seeds=${SEEDS:-1 2 3}
  deep="method=p-tuning-v2 optim.lr=2e-2 optim.head_lr=5e-3 trainer.batch_size=4 prompt.positions=unshifted prompt.length=32"
  shallow="method=prompt-tuning optim.lr=3e-2 trainer.batch_size=8 prompt.length=32 trainer.epochs=2"
  runs "task=xquad_en data.dir=$data/xquad_en" <<END
method=fine-tuning optim.lr=2e-4 trainer.batch_size=8 trainer.epochs=5
$deep trainer.epochs=8
$shallow
END
  runs "task=xquad_en_v2 data.dir=$data/xquad_en_v2" <<END
method=fine-tuning optim.lr=2e-4 trainer.batch_size=8 trainer.epochs=5
$deep trainer.epochs=8
$shallow
END
  ;;
*) echo "unknown: $what; expected conll04, up_ewt or xquad" >&2; exit 2 ;;
esac
all
ptv2 table --out "$out" "${names[@]}" --split dev --format md
[ "$what" = xquad ] || ptv2 table --out "$out" "${names[@]}" --split test --format md
