#!/bin/bash
# Pictures for a file of prompts, by an array of Slurm jobs:
#
#   sbatch generate.slurm.sh prompts.jsonl pictures
#
# Submit it again to go on after a time limit or a failure: complete tars stay. To repeat single tasks, say
# `sbatch --array=2`, pass the count of the whole array: --shard auto/4.
#SBATCH --job-name=paella
#SBATCH --array=0-3
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --time=04:00:00
#SBATCH --requeue
set -euo pipefail

npx paella generate --prompts "$1" --out "$2" --shard auto --seed 7 "${@:3}"
