import { stateDictOf } from '@paella/tensor';
import { describe, expect, it } from 'vitest';
import { BYT5_XL, WordVectorEncoder, outOfVocabularyVector, relativePositionBuckets } from '../src/index.js';
import { testDevice } from './helpers.js';

describe('WordVectorEncoder', () => {
  const table = stateDictOf([
    ['vectors', { shape: [2, 4], data: Int8Array.from([127, 0, 0, 0, 0, -64, 64, 0]) }],
    ['scale', { shape: [2], data: Float32Array.from([1 / 127, 1 / 90.5]) }],
  ]);
  const load = async () => WordVectorEncoder.load(await testDevice(), 'apple\nred\n', table, { maxWords: 3 });

  it('looks words up, lower-cased, and ends with </s>', async () => {
    const encoder = await load();
    const encoded = encoder.encode('Red, APPLE!');
    expect(encoded.shape).toEqual([1, 3, 4]);
    const values = Array.from(await encoded.data());
    const end = Array.from(outOfVocabularyVector('</s>', 4));
    [0, -0.7072, 0.7072, 0, 1, 0, 0, 0, ...end].forEach((value, i) =>
      expect(values[i]).toBeCloseTo(value, 4),
    );
    encoded.dispose();
  });

  it('keeps the first words, and only </s> of an empty prompt', async () => {
    const encoder = await load();
    for (const [prompt, length] of [
      ['', 1],
      ['!?', 1],
      ['one two three four five', 4],
    ] as const) {
      const encoded = encoder.encode(prompt);
      expect(encoded.shape).toEqual([1, length, 4]);
      encoded.dispose();
    }
  });

  it('makes unit vectors for words it does not have, from their bytes alone', () => {
    // Worked out with Python's integers from the rules: FNV-1a, a linear congruential generator, 24 bits.
    const vector = outOfVocabularyVector('emoji', 100);
    expect(Math.hypot(...vector)).toBeCloseTo(1, 6);
    [-0.12294824, -0.0323149, 0.10065496, 0.13583473].forEach((value, i) =>
      expect(vector[i]).toBeCloseTo(value, 6),
    );
  });

  it('refuses a table that does not fit its vocabulary', async () => {
    const device = await testDevice();
    const loading = WordVectorEncoder.load(device, 'one\n', table, { maxWords: 3 });
    await expect(loading).rejects.toThrow(
      /do not fit the vocabulary — vocabulary 1 words, vectors i8 \[2,4\]/,
    );
  });
});

describe('relativePositionBuckets', () => {
  it('has the edges of T5', () => {
    const length = 200;
    const buckets = relativePositionBuckets(length, BYT5_XL);
    // Row 0: distances 0, 1, 2, … to the right. Reference: lower edges of buckets 8 to 15.
    const edges = [8, 12, 16, 23, 32, 46, 64, 91];
    const expected = (distance: number) =>
      distance < 8 ? distance : 7 + edges.filter((edge) => edge <= distance).length;
    for (let key = 1; key < length; key++) expect(buckets[key]).toBe(16 + expected(key));
    for (let query = 0; query < length; query++) expect(buckets[query * length]).toBe(expected(query));
  });
});
