import { type Capabilities, type Launch, defineKernel, launch, linearGrid } from '../kernel.js';
import linear from '../shared/linear.wgsl';
import sincos from '../shared/sincos.wgsl';
import drawSource from './draw.wgsl';
import dropoutSource from './dropout.wgsl';
import byEntries from './entries.wgsl';
import entryBits from './entry_bits.wgsl';
import replaceSource from './replace_tokens.wgsl';
import threefry from './threefry.wgsl';

const draw = defineKernel('draw', linear, sincos, threefry, byEntries, drawSource);
const dropout = defineKernel('dropout', linear, threefry, byEntries, entryBits, dropoutSource);
const replace = defineKernel('replace_tokens', linear, threefry, byEntries, entryBits, replaceSource);

/** Which stream of random words a launch reads: the generator's 64-bit key, and the number of the draw. */
export interface RandomStream {
  key: readonly [number, number];
  stream: number;
}

/** {@link RandomStream}, perhaps by entries, for kernels that have `entries.wgsl`. */
export interface EntryStream extends RandomStream {
  /**
   * The slices along the first dimension draw by keys of their own: slice e by the key folded with `first + e·step`
   * (modulo 2^32).
   */
  entries?: { first: number; step: number; count: number };
}

/**
 * The parameters and constants that `entries.wgsl` and `entry_bits.wgsl` want, for a draw of `size` elements (or rows,
 * or quads).
 */
export function entryParams({ key, stream, entries }: EntryStream, size: number) {
  const { first, step, count } = entries ?? { first: 0, step: 0, count: 1 };
  const entry_size = Math.max(1, size / Math.max(1, count));
  const ENTRIES = entries !== undefined;
  const RAGGED = ENTRIES && entry_size % 4 !== 0;
  return { params: { key, stream, first, step }, entry_size, ENTRIES, RAGGED };
}

/** What to draw: f32 in `[low, high)`, f32 of a normal distribution, u32 in `[low, low + count)`, or raw u32. */
export type Distribution =
  | { kind: 'bits' }
  | { kind: 'uniform'; low: number; high: number }
  | { kind: 'normal'; mean: number; std: number }
  | { kind: 'integers'; low: number; count: number };

/** Numbers of the distributions in `draw.wgsl`. */
const KINDS = { bits: 0, uniform: 1, normal: 2, integers: 3 } as const;

const WG = 64;

/** Operands: out. */
export function planDraw(what: Distribution, size: number, from: EntryStream, caps: Capabilities): Launch {
  const vec4s = Math.ceil(size / 4);
  const { params: own, entry_size, ENTRIES, RAGGED } = entryParams(from, size);
  const params = { vec4s, ...own, entry_size, a: 0, b: 0, low: 0, count: 0 };
  if (what.kind === 'uniform') Object.assign(params, { a: what.low, b: what.high });
  if (what.kind === 'normal') Object.assign(params, { a: what.mean, b: what.std });
  if (what.kind === 'integers') Object.assign(params, { low: what.low, count: what.count });
  return launch(draw, {
    constants: { WG, KIND: KINDS[what.kind], ENTRIES, RAGGED },
    params,
    workgroups: linearGrid(vec4s, WG, caps),
    cost: { flops: 0, bytes: 4 * size },
  });
}

/** Operands: tokens, replacement, t [samples] or null, out, mask. Without the operand, `t` is the number. */
export function planReplaceTokens(
  shape: { samples: number; sampleSize: number },
  t: number | null,
  from: EntryStream,
  caps: Capabilities,
): Launch {
  const size = shape.samples * shape.sampleSize;
  const vec4s = Math.ceil(size / 4);
  const { params, entry_size, ENTRIES, RAGGED } = entryParams(from, size);
  return launch(replace, {
    constants: { WG, PER_SAMPLE: t === null, ENTRIES, RAGGED },
    params: {
      vec4s,
      ...params,
      entry_size,
      sample_size: Math.max(1, shape.sampleSize),
      last_sample: Math.max(0, shape.samples - 1),
      t: t ?? 0,
    },
    workgroups: linearGrid(vec4s, WG, caps),
    cost: { flops: size, bytes: 16 * size },
  });
}

/** Operands: x, out. Keeps an element with probability 1 − p, scaled by 1/(1 − p). */
export function planDropout(p: number, size: number, from: EntryStream, caps: Capabilities): Launch {
  const vec4s = Math.ceil(size / 4);
  const { params, entry_size, ENTRIES, RAGGED } = entryParams(from, size);
  return launch(dropout, {
    constants: { WG, ENTRIES, RAGGED },
    params: { vec4s, ...params, entry_size, p, scale: 1 / (1 - p) },
    workgroups: linearGrid(vec4s, WG, caps),
    cost: { flops: size, bytes: 8 * size },
  });
}
