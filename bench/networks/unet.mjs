/**
 * Paella's U-Net (packages/paella/src/unet) over any engine's operations, as an exporter would write it down: what is
 * known beforehand is computed beforehand, and projections whose parts go different ways are cut apart, which saves an
 * engine without views the copies.
 */
import { splitColumns } from './weights.mjs';

/** @typedef {import('paella').PaellaConfig} PaellaConfig */
/** @typedef {import('./weights.mjs').Weights} Weights */
/** @typedef {import('./weights.mjs').Floats} Floats */

/**
 * @template T
 * @typedef {import('../peers/engine.mjs').Engine<T>} Engine
 */

const EPS = 1e-6;

/**
 * The weights as the network below asks for them.
 *
 * @param {Weights} weights under their names in a state dict
 * @returns {Weights}
 */
export function unetWeights(weights) {
  /** @type {Weights} */
  const prepared = {};
  for (const [name, values] of Object.entries(weights)) {
    const [attention, kind] = name.split('.in_proj_');
    if (name.startsWith('clip_')) continue; // without CLIP vectors, nothing reads them
    if (kind) {
      const parts = splitColumns(values, 3);
      ['q', 'k', 'v'].forEach((part, i) => (prepared[`${attention}.${part}.${kind}`] = parts[i]));
    } else if (/\.mapper\./.test(name)) {
      const parts = splitColumns(values, 2);
      ['scale', 'shift'].forEach((part, i) => (prepared[name.replace('mapper', part)] = parts[i]));
    } else {
      prepared[name] = isPointwise(values) ? { ...values, shape: values.shape.slice(2) } : values;
    }
  }
  return prepared;
}

/** @param {Floats} values */
const isPointwise = ({ shape }) => shape.length === 4 && shape[0] * shape[1] === 1 && shape[2] > 1;

/**
 * Sines, then cosines of a noise level, as the U-Net embeds it.
 *
 * @param {readonly number[]} levels from 0 to 1 @param {number} width
 * @returns {Floats} `[levels,width]`
 */
export function levelEmbedding(levels, width) {
  const half = Math.floor(width / 2);
  const step = Math.fround(Math.log(10000) / (half - 1));
  const rows = levels.flatMap((level) => {
    const angles = Array.from({ length: half }, (_, i) =>
      Math.fround(Math.fround(level * 10000) * Math.fround(Math.exp(Math.fround(i * -step)))),
    );
    return [...angles.map(Math.sin), ...angles.map(Math.cos), ...(width % 2 ? [0] : [])];
  });
  return { shape: [levels.length, width], data: Float32Array.from(rows) };
}

/**
 * @template T
 * @param {Engine<T>} engine @param {PaellaConfig} config
 * @param {(name: string) => T} weight of {@link unetWeights}
 * @param {{ tokens: T, level: T, text: T }} inputs u32 `[B,H,W]`, {@link levelEmbedding} `[B,c_r]`, and the text
 *   encoder's `[B,S,byt5_embd]`. With fewer tokens than levels, each branch sees the same ones.
 * @returns {T} what the last linear layer reads, `[B,H,W,c_out]`
 */
export function unetFeatures(engine, config, weight, { tokens, level, text }) {
  const { c_hidden, level_config, blocks, patch_size, kernel_size, nhead, self_attn } = config;
  const { add, mul, reshape, shapeOf, concat } = engine;
  const norm = (/** @type {T} */ x) => engine.layerNorm(x, EPS);
  const linear = (/** @type {string} */ name, /** @type {T} */ x) =>
    engine.matmul(x, weight(`${name}.weight`), { bias: weight(`${name}.bias`) });

  const resBlock = (/** @type {string} */ name, /** @type {T} */ x, /** @type {T | undefined} */ skip) => {
    const channels = shapeOf(x)[3];
    const mixed = engine.conv2d(skip ? concat([x, skip], 3) : x, weight(`${name}.depthwise.weight`), {
      padding: (kernel_size - 1) / 2,
      groups: channels,
      bias: weight(`${name}.depthwise.bias`),
    });
    const wide = engine.gelu(linear(`${name}.channelwise.0`, norm(mixed)));
    const strength = engine.sqrt(engine.sum(mul(wide, wide), [1, 2]));
    const relative = engine.div(strength, add(engine.mean(strength, [3]), EPS));
    const factor = add(mul(relative, weight(`${name}.channelwise.2.gamma`)), 1);
    const responded = add(mul(wide, factor), weight(`${name}.channelwise.2.beta`));
    return add(linear(`${name}.channelwise.4`, responded), x);
  };
  const timestepBlock = (/** @type {string} */ name, /** @type {T} */ x) => {
    const [b, , , c] = shapeOf(x);
    const [scale, shift] = ['scale', 'shift'].map((part) =>
      reshape(linear(`${name}.${part}`, level), [b, 1, 1, c]),
    );
    return add(mul(x, add(scale, 1)), shift);
  };
  const condition = engine.silu(norm(linear('byt5_mapper', text)));
  const attentionBlock = (/** @type {string} */ name, /** @type {T} */ x, /** @type {number} */ heads) => {
    const [b, h, w, c] = shapeOf(x);
    const own = reshape(norm(x), [b, h * w, c]);
    const mapped = linear(`${name}.kv_mapper.1`, condition);
    const keys = self_attn ? concat([own, mapped], 1) : mapped;
    const [q, k, v] = [own, keys, keys].map((rows, i) => linear(`${name}.attention.attn.${'qkv'[i]}`, rows));
    const attended = linear(`${name}.attention.attn.out_proj`, engine.attention(q, k, v, heads));
    return add(reshape(attended, [b, h, w, c]), x);
  };

  let x = pixelUnshuffle(engine, norm(engine.gather(weight('in_mapper.0.weight'), tokens)), patch_size);
  x = norm(linear('embedding.1', x));
  const branches = shapeOf(level)[0] / shapeOf(x)[0];
  if (branches > 1)
    x = concat(
      Array.from({ length: branches }, () => x),
      0,
    );

  /** @param {string} name @param {number} at @param {T} [skip] @returns {number} the blocks that it ran */
  const body = (name, at, skip) => {
    const letters = level_config[at].repeat(blocks[at]).split('');
    const first = name.startsWith('down') && at > 0 ? 1 : 0;
    letters.forEach((letter, i) => {
      const block = `${name}.${first + i}`;
      if (letter === 'C') x = resBlock(block, x, i === 0 ? skip : undefined);
      else if (letter === 'T') x = timestepBlock(block, x);
      else x = attentionBlock(block, x, nhead[at]);
    });
    return letters.length;
  };
  /** @type {T[]} */
  const skips = [];
  const last = c_hidden.length - 1;
  for (let at = 0; at <= last; at++) {
    const name = `down_blocks.${at}`;
    if (at > 0) {
      const bias = weight(`${name}.0.1.bias`);
      x = engine.conv2d(norm(x), weight(`${name}.0.1.weight`), { stride: 2, bias });
    }
    body(name, at);
    skips.push(x);
  }
  skips.pop();
  for (let at = last; at >= 0; at--) {
    const name = `up_blocks.${last - at}`;
    const count = body(name, at, at < last ? skips.pop() : undefined);
    if (at === 0) continue;
    const bias = weight(`${name}.${count}.1.bias`);
    x = engine.convTranspose2d(norm(x), weight(`${name}.${count}.1.weight`), { stride: 2, padding: 0, bias });
  }
  return norm(pixelShuffle(engine, linear('clf.1', norm(x)), patch_size));
}

/**
 * Logits, `[B,H,W,num_labels]`.
 *
 * @type {<T>(engine: Engine<T>, config: PaellaConfig, weight: (name: string) => T,
 *   inputs: { tokens: T, level: T, text: T }) => T}
 */
export const unet = (engine, config, weight, inputs) =>
  engine.matmul(unetFeatures(engine, config, weight, inputs), weight('out_mapper.1.weight'));

/**
 * `[B,H,W,C]` → `[B,H/n,W/n,C·n²]`, in the order of PyTorch.
 *
 * @template T
 * @param {Engine<T>} engine @param {T} x @param {number} n
 */
export function pixelUnshuffle(engine, x, n) {
  const [b, h, w, c] = engine.shapeOf(x);
  if (n === 1) return x;
  const cut = engine.reshape(x, [b, h / n, n, w / n, n, c]);
  return engine.reshape(engine.transpose(cut, [0, 1, 3, 5, 2, 4]), [b, h / n, w / n, c * n * n]);
}

/**
 * The inverse of {@link pixelUnshuffle}.
 *
 * @template T
 * @param {Engine<T>} engine @param {T} x @param {number} n
 */
export function pixelShuffle(engine, x, n) {
  const [b, h, w, c] = engine.shapeOf(x);
  if (n === 1) return x;
  const cut = engine.reshape(x, [b, h, w, c / (n * n), n, n]);
  return engine.reshape(engine.transpose(cut, [0, 1, 4, 2, 5, 3]), [b, h * n, w * n, c / (n * n)]);
}
