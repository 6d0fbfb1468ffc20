import { Device, Rng } from '@paella/tensor';
import { beforeAll, describe, expect, it } from 'vitest';
import { ByT5Encoder, type ByT5Config } from '../src/index.js';
import { parsePromptWeights, tokenWeights } from '../src/text/prompt-weights.js';
import { testDevice } from './helpers.js';

describe('parsePromptWeights', () => {
  it.each([
    ['a red apple', 'a red apple', []],
    ['a (red:1.4) apple', 'a red apple', [{ start: 2, end: 5, weight: 1.4 }]],
    [
      '(a: 2 )(b:.5)',
      'ab',
      [
        { start: 0, end: 1, weight: 2 },
        { start: 1, end: 2, weight: 0.5 },
      ],
    ],
    [
      '(a (red:2) apple:3)',
      'a red apple',
      [
        { start: 0, end: 2, weight: 3 },
        { start: 2, end: 5, weight: 6 },
        { start: 5, end: 11, weight: 3 },
      ],
    ],
    ['(a (tabby) cat:2)', 'a (tabby) cat', [{ start: 0, end: 13, weight: 2 }]],
    ['a cat (tabby) :) (', 'a cat (tabby) :) (', []],
    ['at \\(12:30\\)', 'at (12:30)', []],
    ['(a \\) b:2)', 'a ) b', [{ start: 0, end: 5, weight: 2 }]],
    ['C:\\x (y:1)', 'C:\\x y', []],
    ['(x:0)', 'x', [{ start: 0, end: 1, weight: 0 }]],
    ['(:2)', '', []],
    ['', '', []],
  ])('reads %j', (prompt, text, spans) => {
    expect(parsePromptWeights(prompt)).toEqual({ text, spans });
  });

  it('refuses weights below 0', () => {
    expect(() => parsePromptWeights('a (red:-1) apple')).toThrow(/"\(red:-1\)" is below 0/);
  });
});

describe('tokenWeights', () => {
  let device: Device;
  let byt5: ByT5Encoder;

  beforeAll(async () => {
    device = await testDevice();
    const config: ByT5Config = {
      d_model: 4,
      d_ff: 4,
      d_kv: 2,
      num_layers: 1,
      num_heads: 2,
      vocab_size: 384,
      relative_attention_num_buckets: 4,
      relative_attention_max_distance: 8,
      layer_norm_epsilon: 1e-6,
    };
    byt5 = new ByT5Encoder(config, { device, rng: new Rng(1) });
  });

  it('gives a token the mean over its characters, and no factors where all are 1', () => {
    const tokens = [
      { start: 0, end: 4 },
      { start: 5, end: 6 },
      { start: 6, end: 6 },
    ];
    expect(tokenWeights(tokens, [{ start: 2, end: 6, weight: 2 }])).toEqual([1.5, 2, 1]);
    expect(tokenWeights(tokens, [])).toBeUndefined();
  });

  it('gives all bytes of a character its weight', () => {
    const { text, spans } = parsePromptWeights('a (ü:3)x</s>');
    expect(tokenWeights(byt5.spans(text), spans)).toEqual([1, 1, 3, 3, 1, 1, 1]);
    expect(byt5.spans(text)).toHaveLength(byt5.encode(text).shape[1]);
  });
});
