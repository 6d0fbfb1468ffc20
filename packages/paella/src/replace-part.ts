import { PaellaError } from '@paella/tensor';
import type { Model } from './model.js';

/**
 * A model with one part taken from a checkpoint that somebody brings: `.pt` or safetensors.
 */
export async function replacePart(model: Model, file: Blob): Promise<Model> {
  await Promise.reject(new PaellaError('unsupported', `${model.name} ${file.size}`));
  return model;
}
