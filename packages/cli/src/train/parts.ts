/** What the two trainers do alike. */
import { PaellaError, type StateDict, nn, optim, saveSafetensors } from '@paella/tensor';
import { join } from 'node:path';
import { writeResult } from '../files.js';
import type { VqganRunConfig } from '../run/config.js';

type Training = VqganRunConfig['training'];

/** Parameters of a module that are trained, with their names. */
export const trainable = (module: nn.Module, prefix = ''): [string, nn.Parameter][] =>
  module.namedParameters(prefix).filter(([, parameter]) => parameter.requiresGrad);

export function makeOptimizer(
  parameters: readonly [string, nn.Parameter][],
  {
    learning_rate: lr,
    betas,
    weight_decay: weightDecay,
  }: Pick<Training, 'learning_rate' | 'betas' | 'weight_decay'>,
): optim.AdamW {
  return new optim.AdamW(parameters, { lr, betas, weightDecay });
}

/** The learning rate of each step. */
export function learningRate({
  learning_rate: lr,
  schedule,
  warmup_steps: warmupSteps,
  steps: totalSteps,
}: Training): (step: number) => number {
  const factor =
    schedule === 'cosine'
      ? optim.cosineSchedule({ warmupSteps, totalSteps, minFactor: 0.01 })
      : optim.constantSchedule({ warmupSteps });
  return (step) => lr * factor(step);
}

/** Names of parameters with a value that is not finite. */
export async function nonFinite(module: nn.Module): Promise<string[]> {
  const state = module.stateDict();
  const names: string[] = [];
  for (const key of state.keys()) {
    const { data } = await state.get(key);
    if (data instanceof Float32Array && !data.every(Number.isFinite)) names.push(key);
  }
  return names;
}

/** A part of a checkpoint. Throws `format` if it is missing. */
export function partOf(parts: Record<string, StateDict>, name: string): StateDict {
  const part = parts[name];
  if (part) return part;
  throw new PaellaError('format', `the checkpoint lacks ${name}.safetensors`);
}

/** Writes a model's weights and what they are. */
export async function exportWeights(folder: string, file: string, state: StateDict): Promise<string> {
  await saveSafetensors(join(folder, file), state);
  return file;
}

export function writeCard(folder: string, card: object): void {
  writeResult(join(folder, 'model.json'), `${JSON.stringify(card, null, 2)}\n`);
}
