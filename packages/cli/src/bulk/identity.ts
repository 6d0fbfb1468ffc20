/** What tells one model's weights from another's, without reading gigabytes of them. */
import type { StateDict } from '@paella/tensor';
import { createHash } from 'node:crypto';
import type { Model, ModelPart } from 'paella';

/** Tensors whose values count: training changes all of them, so a few small ones tell. */
const samples = 16;
const smallTensor = 4096; // elements

/**
 * A hash of the names, types and shapes of all tensors, and of the values of some small ones. It is the same in whatever
 * container they are, and wherever.
 */
export async function fingerprint(state: StateDict): Promise<string> {
  const hash = createHash('sha256');
  const keys = [...state.keys()].sort();
  for (const key of keys) {
    const { shape, dtype } = state.info(key);
    hash.update(`${key} ${dtype} ${shape.join()}\n`);
  }
  const small = keys.filter((key) => state.info(key).shape.reduce((a, b) => a * b, 1) <= smallTensor);
  const step = Math.max(1, small.length / samples);
  for (let i = 0; i < small.length; i += step) {
    const { data } = await state.get(small[Math.floor(i)]);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex').slice(0, 16);
}

/** Fingerprints of the networks that a model's pictures depend on, by their names. */
export async function modelIdentity(model: Model): Promise<Record<string, string>> {
  const parts: ModelPart[] = [model.unet, model.vqgan];
  if (model.text.kind === 'byt5') parts.push(model.text.part);
  if (model.clipText) parts.push(model.clipText.part);
  if (model.prior) parts.push(model.prior);
  const identity: Record<string, string> = { name: model.name };
  for (const part of parts) {
    const state = await part.state();
    identity[part.name] = await fingerprint(state).finally(() => state.close?.());
  }
  return identity;
}
