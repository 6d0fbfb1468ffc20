import { PaellaError } from '@paella/tensor';
import type { ImageEncoderConfig } from './image-encoder/image-encoder.js';
import type { ByT5Config } from './text/byt5.js';
import type { PaellaConfig } from './unet/config.js';
import type { VQModelConfig } from './vqgan/vqmodel.js';

/** A configuration read off tensor shapes: what they don't tell is `null`. */
export type Inferred<T> = { [K in keyof T]: T[K] | null };

/** Heads are one entry a level: -1 without attention, `null` where there is some. */
export type InferredPaellaConfig = Inferred<Omit<PaellaConfig, 'nhead'>> & { nhead: (number | null)[] };

/** A CLIP with the field names of open_clip; a half that the file lacks is `null`. */
export interface InferredClipConfig {
  embed_dim: number | null;
  text_cfg: {
    context_length: number | null;
    vocab_size: number | null;
    width: number | null;
    layers: number;
    heads: null;
  } | null;
  vision_cfg: {
    image_size: number | null;
    patch_size: number | null;
    width: number | null;
    layers: number;
    head_width: null;
  } | null;
}

/** The prior that turns CLIP's text vectors into image vectors. */
export interface InferredPriorConfig {
  clip_r: number | null;
  c_hidden: number | null;
  c_r: number | null;
  num_blocks: number;
}

/** What a checkpoint holds, with its configuration in the field names of the code it comes from. */
export type IdentifiedModel =
  | { kind: 'paella'; config: InferredPaellaConfig }
  | { kind: 'vqgan'; config: Inferred<VQModelConfig> }
  | { kind: 'byt5'; config: Inferred<ByT5Config> }
  | { kind: 'clip'; config: InferredClipConfig }
  | { kind: 'prior'; config: InferredPriorConfig }
  | { kind: 'image-encoder'; config: Inferred<ImageEncoderConfig> }
  | { kind: 'unknown'; config: null };

interface NamedShape {
  name: string;
  shape: readonly number[];
}

/**
 * Recognises the models of the Paella family by their state dicts' names, and reads their configurations off
 * the shapes. Nothing is loaded. Attention heads, dropout and scale factors leave no trace in shapes and are
 * `null`, as is whatever a missing tensor would have told.
 *
 * @param tensors names and PyTorch shapes, as `inspectCheckpoint` lists them
 */
export function identifyModel(tensors: Iterable<NamedShape>): IdentifiedModel {
  const shapes = new Shapes(tensors);
  if (shapes.has('byt5_mapper.weight', 'in_mapper.0.weight')) {
    return { kind: 'paella', config: paella(shapes) };
  }
  const codes = codebook(shapes);
  if (codes && shapes.has('in_block.1.weight')) return { kind: 'vqgan', config: vqgan(shapes, codes) };
  const bytes = byteEmbedding(shapes);
  // T5 and mT5 have the same names, and larger vocabularies.
  if (bytes && shapes.size(bytes, 0) === 384 && shapes.has('encoder.final_layer_norm.weight')) {
    return { kind: 'byt5', config: byt5(shapes, bytes) };
  }
  if (shapes.has('text_projection', 'token_embedding.weight') || shapes.has('visual.proj')) {
    return { kind: 'clip', config: clip(shapes) };
  }
  if (shapes.has('blocks.0.weight', 'blocks.1.3.weight', 'blocks.1.4.weight')) {
    return { kind: 'prior', config: prior(shapes) };
  }
  if (shapes.has('in_block.1.weight', 'blocks.0.depthwise.weight', 'proj.weight')) {
    return { kind: 'image-encoder', config: imageEncoder(shapes) };
  }
  return { kind: 'unknown', config: null };
}

/**
 * An inferred configuration of which nothing is open.
 *
 * @param what the file that it was read off
 * @throws PaellaError `format` naming a field that the shapes did not tell
 */
export function completeConfig<T extends object>(what: string, config: Inferred<T>): T {
  const open = Object.entries(config).find(([, value]) => value === null);
  if (open) throw new PaellaError('format', `${what} is incomplete: nothing tells its ${open[0]}`);
  return config as T;
}

/**
 * The configuration of a U-Net, with what shapes do not tell taken from one that is much like it.
 *
 * @param what the file that it was read off
 * @throws PaellaError `format` naming a field that the shapes should have told
 */
export function completePaellaConfig(
  what: string,
  known: InferredPaellaConfig,
  like: PaellaConfig,
): PaellaConfig {
  const heads = Math.max(...like.nhead);
  return completeConfig<PaellaConfig>(what, {
    ...known,
    nhead: known.nhead.map((count) => count ?? heads),
    dropout: known.dropout ?? like.dropout,
    self_attn: known.self_attn ?? like.self_attn,
  });
}

/** Shapes by name, and the questions that all models ask of them. */
class Shapes {
  readonly #shapes: Map<string, readonly number[]>;

  constructor(tensors: Iterable<NamedShape>) {
    this.#shapes = new Map([...tensors].map(({ name, shape }) => [name, shape]));
  }

  has(...names: string[]): boolean {
    return names.every((name) => this.#shapes.has(name));
  }

  /** One side of the tensor of that name, or of the first whose name the pattern fits. */
  size(name: string | RegExp, axis: number): number | null {
    const key = typeof name === 'string' ? name : this.names(name)[0];
    return this.#shapes.get(key)?.[axis] ?? null;
  }

  names(pattern: RegExp): string[] {
    return [...this.#shapes.keys()].filter((name) => pattern.test(name));
  }

  /** How many names the pattern fits. */
  count(pattern: RegExp): number {
    return this.names(pattern).length;
  }
}

/** A number made of two, unless one of them is unknown. */
const combine = (a: number | null, b: number | null, how: (a: number, b: number) => number): number | null =>
  a === null || b === null ? null : how(a, b);

const divide = (a: number | null, b: number | null): number | null => combine(a, b, (x, y) => x / y);

function paella(shapes: Shapes): InferredPaellaConfig {
  const c_in = shapes.size('in_mapper.0.weight', 1);
  const c_cond = shapes.size('byt5_mapper.weight', 0);
  const patch = divide(shapes.size('embedding.1.weight', 1), c_in);
  const levels = paellaLevels(shapes);
  return {
    c_in,
    c_out: shapes.size('out_mapper.1.weight', 1),
    num_labels: shapes.size('in_mapper.0.weight', 0),
    c_r: shapes.size(/^down_blocks\.\d+\.\d+\.mapper\.weight$/, 1),
    patch_size: patch && Math.sqrt(patch),
    c_cond,
    c_hidden: levels.map(({ width }) => width),
    nhead: levels.map(({ letters }) => (letters.includes('A') ? null : -1)),
    blocks: levels.map(({ letters, period }) => letters.length / period),
    level_config: levels.map(({ letters, period }) => letters.slice(0, period)),
    clip_embd: shapes.size('clip_mapper.weight', 1),
    byt5_embd: shapes.size('byt5_mapper.weight', 1),
    clip_seq_len: divide(shapes.size('clip_mapper.weight', 0), c_cond),
    kernel_size: shapes.size(/^down_blocks\.\d+\.\d+\.depthwise\.weight$/, 2),
    dropout: null,
    self_attn: null,
  };
}

interface Level {
  width: number;
  /** The level's blocks in order: CTCTCT. */
  letters: string;
  /** Letters after which they repeat. */
  period: number;
}

/** The way down tells the levels; the way up mirrors it. */
function paellaLevels(shapes: Shapes): Level[] {
  const levels: { width: number; blocks: string[] }[] = [];
  for (const [part, letter] of [
    ['depthwise', 'C'],
    ['mapper', 'T'],
    ['attention.attn.out_proj', 'A'],
  ]) {
    const pattern = new RegExp(`^down_blocks\\.(\\d+)\\.(\\d+)\\.${part.replaceAll('.', '\\.')}\\.weight$`);
    for (const name of shapes.names(pattern)) {
      const [, level, block] = pattern.exec(name)!.map(Number);
      const found = (levels[level] ??= { width: 0, blocks: [] });
      found.blocks[block] = letter;
      if (letter === 'C') found.width = shapes.size(name, 0) ?? 0;
    }
  }
  return levels.map(({ width, blocks }) => {
    // Position 0 of the lower levels is the downsampling, which has no letter.
    const letters = blocks.join('');
    const repeats = (n: number): boolean => letters === letters.slice(0, n).repeat(letters.length / n);
    let period = 1;
    while (letters.length % period !== 0 || !repeats(period)) period++;
    return { width, letters, period };
  });
}

/** Upstream's key, or the one of diffusers' PaellaVQModel. */
const codebook = (shapes: Shapes): string | undefined =>
  ['vquantizer.codebook.weight', 'vquantizer.embedding.weight'].find((name) => shapes.has(name));

function vqgan(shapes: Shapes, codes: string): Inferred<VQModelConfig> {
  const levels = shapes.count(/^down_blocks\.\d+\.gammas$/);
  return {
    levels,
    // Every level but the coarsest has one block on the way up.
    bottleneck_blocks: shapes.count(/^up_blocks\.\d+\.gammas$/) - (levels - 1),
    c_hidden: shapes.size('up_blocks.0.0.weight', 0),
    c_latent: shapes.size(codes, 1),
    codebook_size: shapes.size(codes, 0),
    scale_factor: null,
  };
}

/** The tied embedding is stored under one of its names, or both. */
const byteEmbedding = (shapes: Shapes): string | undefined =>
  ['shared.weight', 'encoder.embed_tokens.weight'].find((name) => shapes.has(name));

function byt5(shapes: Shapes, embedding: string): Inferred<ByT5Config> {
  const attention = 'encoder.block.0.layer.0.SelfAttention';
  const num_heads = shapes.size(`${attention}.relative_attention_bias.weight`, 1);
  return {
    d_model: shapes.size(embedding, 1),
    d_ff: shapes.size('encoder.block.0.layer.1.DenseReluDense.wi_0.weight', 0),
    d_kv: divide(shapes.size(`${attention}.q.weight`, 0), num_heads),
    num_layers: shapes.count(/^encoder\.block\.\d+\.layer\.0\.SelfAttention\.q\.weight$/),
    num_heads,
    vocab_size: shapes.size(embedding, 0),
    relative_attention_num_buckets: shapes.size(`${attention}.relative_attention_bias.weight`, 0),
    relative_attention_max_distance: null,
    layer_norm_epsilon: null,
  };
}

function clip(shapes: Shapes): InferredClipConfig {
  const patch_size = shapes.size('visual.conv1.weight', 2);
  const patches = shapes.size('visual.positional_embedding', 0);
  return {
    embed_dim: shapes.size('text_projection', 1) ?? shapes.size('visual.proj', 1),
    text_cfg: shapes.has('text_projection')
      ? {
          context_length: shapes.size('positional_embedding', 0),
          vocab_size: shapes.size('token_embedding.weight', 0),
          width: shapes.size('token_embedding.weight', 1),
          layers: shapes.count(/^transformer\.resblocks\.\d+\.ln_1\.weight$/),
          heads: null,
        }
      : null,
    vision_cfg: shapes.has('visual.proj')
      ? {
          // One position is the class token's.
          image_size: combine(patches, patch_size, (n, side) => Math.sqrt(n - 1) * side),
          patch_size,
          width: shapes.size('visual.conv1.weight', 0),
          layers: shapes.count(/^visual\.transformer\.resblocks\.\d+\.ln_1\.weight$/),
          head_width: null,
        }
      : null,
  };
}

function prior(shapes: Shapes): InferredPriorConfig {
  const clip_r = shapes.size('blocks.0.weight', 1);
  const c_hidden = shapes.size('blocks.0.weight', 0);
  // A block reads its own state, the text vector and the noise level side by side.
  const known = combine(clip_r, c_hidden, (a, b) => a + b);
  return {
    clip_r,
    c_hidden,
    c_r: combine(shapes.size('blocks.1.0.weight', 1), known, (all, rest) => all - rest),
    num_blocks: shapes.count(/^blocks\.\d+\.3\.weight$/),
  };
}

function imageEncoder(shapes: Shapes): Inferred<ImageEncoderConfig> {
  // Every other block is a level's; those between make the grid smaller.
  const depthwise = shapes.names(/^blocks\.\d+\.depthwise\.weight$/);
  const c_hidden = depthwise.map((_, level) => shapes.size(`blocks.${2 * level}.depthwise.weight`, 0) ?? 0);
  const patch_size = combine(shapes.size('in_block.1.weight', 1), 3, (channels, rgb) =>
    Math.sqrt(channels / rgb),
  );
  const positions = divide(shapes.size('proj.weight', 1), c_hidden[c_hidden.length - 1]);
  return {
    image_size: combine(
      patch_size,
      positions,
      (patch, n) => patch * 2 ** (c_hidden.length - 1) * Math.sqrt(n),
    ),
    patch_size,
    c_hidden,
    embed_dim: shapes.size('proj.weight', 0),
  };
}
