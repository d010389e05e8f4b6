#!/usr/bin/env bash
# The runs behind results/classification_minilm.md, and the page's tables.
#
#   scripts/classification_minilm.sh DATA [OUT]
#
# DATA holds sst2/{train,dev}.tsv, sick/{train,val}.jsonl and superglue/<Task>/{train,val}.jsonl; OUT is the folder of the
# runs (default: runs). Runs that are finished are not repeated, so the script can be stopped and started again.
# What a line leaves unsaid is the method's default (recipe=none), whatever recipes there may be by now.
# WORKERS (default 2) runs are made side by side, each with one thread.
set -euo pipefail
data=${1:?"the folder of the data"} out=${2:-runs}
export OMP_NUM_THREADS=1
workers=${WORKERS:-2}
tasks=$(mktemp)
trap 'rm -f "$tasks"' EXIT

# One line a run: task settings, seed, and the epochs of fine-tuning, p-tuning-v2 and prompt-tuning.
runs() { # epochs: fine-tuning p-tuning-v2 prompt-tuning; seeds; settings of the task
  local fine=$1 deep=$2 shallow=$3 seeds=$4; shift 4
  for seed in $seeds; do
    echo "$* method=fine-tuning optim.lr=1e-4 trainer.epochs=$fine seed=$seed"
    echo "$* method=p-tuning-v2 optim.lr=1e-2 prompt.length=16 trainer.epochs=$deep seed=$seed"
    echo "$* method=prompt-tuning optim.lr=1e-2 prompt.length=16 trainer.epochs=$shallow seed=$seed"
  done >> "$tasks"
}
glue() { echo "task=$1 data.source=files data.dir=$data/superglue"; }
runs 3 8 5 "1 2 3" task=sick "data.dir=$data/sick"
runs 2 4 3 "1 2 3" task=sst2 data.source=files "data.dir=$data/sst2"
runs 4 8 4 "1" "$(glue boolq)"
runs 2 4 2 "1" "$(glue rte)"
runs 1 1 1 "1" "$(glue multirc)" data.limit.train=8
for task in cb copa wsc; do runs 5 10 10 "1" "$(glue $task)"; done
runs 4 6 6 "1" "$(glue wic)"

xargs -P "$workers" -I{} sh -c "ptv2 train {} trainer.precision=bf16 recipe=none out=$out" < "$tasks"
ptv2 table --out "$out" --output results/classification_minilm.csv
ptv2 table --out "$out" --format md
