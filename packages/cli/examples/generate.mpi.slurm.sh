#!/bin/bash
# Pictures for a file of prompts, by all GPUs of one Slurm job at once; generate.slurm.sh is for GPUs as they get free:
#
#   sbatch generate.mpi.slurm.sh prompts.jsonl pictures
#
# Every task is one process with a GPU of its own. All see the folder of the pictures; the first one prints what all did,
# and writes the manifest. A minute before the time is over they stop, and the job, put into the queue again, goes on.
#SBATCH --job-name=paella
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-task=1
#SBATCH --gpu-bind=single:1
#SBATCH --cpus-per-task=4
#SBATCH --mem-per-cpu=4G
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@60
#SBATCH --requeue
#SBATCH --open-mode=append
set -uo pipefail

srun --mpi=pmix --kill-on-bad-exit=1 node_modules/.bin/paella generate --prompts "$1" --out "$2" --seed 7 "${@:3}"
code=$?
# 130: stopped with tars to go. Anything else is for a person to look at.
[[ $code == 130 ]] && scontrol requeue "$SLURM_JOB_ID"
exit $code
