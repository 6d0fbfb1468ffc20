/** What the two trainers do alike. */
import { PaellaError, type StateDict, firstNonFinite, nn, optim, saveSafetensors } from '@paella/tensor';
import { createHash } from 'node:crypto';
import { createReadStream, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
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

/**
 * Runs a pass again, and says in words which operation first gave a number that is not finite, and on which
 * parameters; null if none did.
 */
export async function whereNonFinite(
  parameters: readonly [string, nn.Parameter][],
  pass: () => void,
): Promise<string | null> {
  const anomaly = await firstNonFinite(pass);
  if (!anomaly) return null;
  const names = anomaly.leaves.flatMap(
    (leaf) => parameters.find(([, parameter]) => parameter.value === leaf)?.[0] ?? [],
  );
  return names.length > 0 ? `${anomaly.op} with ${names.join(', ')}` : anomaly.op;
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

/** Writes what a model is, with the hashes of the files beside it, by which pages download them once and check them. */
export async function writeCard(folder: string, card: object): Promise<void> {
  const files = readdirSync(folder).filter((file) => /\.(safetensors|txt)$/.test(file));
  const hashes = files.map(async (file) => [file, await sha256(join(folder, file))] as const);
  const whole = { ...card, sha256: Object.fromEntries(await Promise.all(hashes)) };
  writeResult(join(folder, 'model.json'), `${JSON.stringify(whole, null, 2)}\n`);
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
