import { loadStateDict, saveSafetensors } from '@paella/tensor';
import { statSync } from 'node:fs';
import type { CommonOptions, Context } from '../context.js';
import { checkResultPath } from '../files.js';

export interface ConvertOptions extends CommonOptions {
  dtype?: 'f32' | 'f16' | 'bf16';
  /** Bytes. */
  maxShard?: number;
}

/** `paella convert`: any readable checkpoint to safetensors, one tensor at a time. */
export async function convert(
  { out, signal }: Context,
  from: string,
  to: string,
  { dtype, maxShard }: ConvertOptions,
): Promise<void> {
  checkResultPath(to, ['.safetensors']);
  const state = await loadStateDict(from);
  const tensors = state.keys().length;
  let done = 0;
  const counted: typeof state = {
    ...state,
    get(key) {
      out.progress('tensors', ++done, tensors);
      return state.get(key);
    },
  };
  const files = await saveSafetensors(to, counted, {
    dtype,
    maxShardBytes: maxShard,
    // Readers of other frameworks ask how the tensors are laid out: as PyTorch has them.
    metadata: { ...state.metadata, format: 'pt' },
    signal,
  });
  await state.close?.();
  const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0);
  out.note(`${tensors} tensors, ${(bytes / 1e6).toFixed(1)} MB`);
  out.result({ files, tensors, bytes }, files);
}
