const ROTATIONS = [
  [13, 15, 26, 6],
  [17, 29, 16, 24],
];

/**
 * Threefry-2x32 with 20 rounds (Salmon et al. 2011), as JAX's `threefry2x32` and the kernels compute it: a
 * bijection of 64-bit counters, keyed by 64 bits, made of 32-bit additions, rotations and xors.
 *
 * @returns two u32
 */
export function threefry2x32(
  key: readonly [number, number],
  counter: readonly [number, number],
): [number, number] {
  const schedule = [key[0], key[1], key[0] ^ key[1] ^ 0x1bd11bda];
  let x0 = (counter[0] + schedule[0]) | 0;
  let x1 = (counter[1] + schedule[1]) | 0;
  for (let group = 1; group <= 5; group++) {
    for (const by of ROTATIONS[(group - 1) % 2]) {
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << by) | (x1 >>> (32 - by))) ^ x0;
    }
    x0 = (x0 + schedule[group % 3]) | 0;
    x1 = (x1 + schedule[(group + 1) % 3] + group) | 0;
  }
  return [x0 >>> 0, x1 >>> 0];
}

/**
 * The first `count` words of a stream: word i is half `i & 1` of `threefry2x32(key, [stream, i >> 1])`. What
 * the kernels compute as `random4`.
 */
export function streamWords(
  key: readonly [number, number],
  stream: number,
  count: number,
): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(count);
  for (let i = 0; i < count; i += 2) {
    const pair = threefry2x32(key, [stream, i / 2]);
    words[i] = pair[0];
    // A typed array ignores the write behind its end.
    words[i + 1] = pair[1];
  }
  return words;
}

/** The key of entry `index` of a batch, JAX's `fold_in`; what the kernels compute as `entry_key`. */
export const foldIn = (key: readonly [number, number], index: number): [number, number] =>
  threefry2x32(key, [0, index]);

/** `floor(word · count / 2^32)`: a whole number below `count`. All of it is exact in doubles. */
export function scaleWord(word: number, count: number): number {
  const low = Math.floor(((word & 0xffff) * count) / 65536);
  return Math.floor(((word >>> 16) * count + low) / 65536);
}
