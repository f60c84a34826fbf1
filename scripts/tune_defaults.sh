#!/usr/bin/env bash
# Tune the defaults of models at an equal budget on the validation split of MNIST: each trial trains for
# as many images as fit into SECONDS_EACH of one thread. The best and the present defaults are then
# trained with three fresh seeds. New settings are compared with the old defaults in longer runs, which
# are scored on the test split.
#
#   scripts/tune_defaults.sh [MODEL...]     # default: those of docs/tables/defaults.md, and its tables
#
# The results are in defaults.db. Started again, searches continue where they were. To see one of them:
# genbench tune --resume defaults-MODEL --table-only --store defaults.db
set -euo pipefail

store=${STORE:-defaults.db} seconds=${SECONDS_EACH:-15}
common=(--metric fd_clf --samples 5000 --threads 1 --device cpu --store "$store")

search() {  # MODEL TRIALS TOP SETTING...
    local model=$1 trials=$2 top=$3
    shift 3
    genbench tune "$model" mnist "${@/#/--set=}" "${common[@]}" --epoch-images 1000 \
        --limit "seconds=$seconds" --trials "$trials" --top "$top" --confirm 3 --against-defaults \
        --name "defaults-$model"
}

compare() {  # MODEL old|new EPOCHS SETTING...
    local model=$1 which=$2 epochs=$3
    shift 3
    genbench run "$model" mnist "${@/#/--set=}" "${common[@]}" --epoch-images 10000 \
        --epochs "$epochs" --seeds 0..2 --tag "defaults:$model:$which"
}

adam="beta1=0..0.9"

tune_one() {
    case $1 in
        gan) search gan 8 1 g_lr=log:5e-5..5e-3 d_lr=log:5e-5..5e-3 $adam ;;
        dcgan) search dcgan 14 2 g_lr=log:5e-5..5e-3 d_lr=log:5e-5..5e-3 batch_size=64,128 ;;
        began) search began 14 2 g_lr=log:2e-4..5e-3 d_lr=log:2e-4..5e-3 gamma=0.4..1 k_rate=log:1e-3..0.2 ;;
        vaegan-larsen) search vaegan-larsen 8 2 lr=log:5e-4..1e-2 d_lr=log:5e-5..2e-3 gamma=log:0.1..10 ;;
        lsgan | sngan) search "$1" 5 1 g_lr=log:1e-4..5e-3 d_lr=log:1e-4..5e-3 $adam ;;
        wgan) search wgan 5 1 g_lr=log:1e-4..1e-2 d_lr=log:1e-4..1e-2 ;;
        wgan-gp) search wgan-gp 5 1 g_lr=log:1e-4..5e-3 d_lr=log:1e-4..5e-3 $adam ;;
        ebgan | ebgan-pt) search "$1" 5 1 g_lr=log:2e-4..5e-3 d_lr=log:2e-4..5e-3 $adam ;;
        vae | vae-gmm) search "$1" 5 1 lr=log:3e-4..1e-2 ;;
        aae) search aae 5 1 lr=log:3e-4..1e-2 d_lr=log:1e-4..5e-3 ;;
    esac
}

longer() {  # the settings that a search has found, rounded, and the defaults of that day
    case $1 in
        dcgan)
            compare dcgan new 2 g_lr=5e-3 d_lr=1.5e-3 batch_size=64
            compare dcgan old 2 g_lr=2e-4 d_lr=2e-4 batch_size=128
            ;;
    esac
}

models=("$@")
((${#models[@]})) || models=(dcgan began vaegan-larsen gan)
for model in "${models[@]}"; do
    tune_one "$model"
    longer "$model"
done
python "$(dirname "$0")/defaults_page.py" "$store" "$(dirname "$0")/../docs/tables/defaults.md"
