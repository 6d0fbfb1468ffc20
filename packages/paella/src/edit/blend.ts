import { type Device, PaellaError } from '@paella/tensor';
import type { ConditionInputs } from '../unet/condition.js';

export type BlendMethod = 'lerp' | 'slerp';

/** Below this sine of the angle between two vectors, the arc is a line up to rounding. */
const STRAIGHT = 1e-4;

/** `(1 − t)·a + t·b`. */
export function lerp(a: ArrayLike<number>, b: ArrayLike<number>, t: number): Float32Array<ArrayBuffer> {
  return Float32Array.from(a, (value, i) => (1 - t) * value + t * b[i]);
}

/**
 * Along the great circle: `sin((1 − t)·ω)/sin ω · a + sin(t·ω)/sin ω · b`, with ω the angle between the two. As upstream,
 * the factors of unit vectors serve vectors of any length. Parallel and opposite vectors have no one arc: they are joined
 * by the line.
 */
export function slerp(a: ArrayLike<number>, b: ArrayLike<number>, t: number): Float32Array<ArrayBuffer> {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += a[i] * b[i];
    aa += a[i] ** 2;
    bb += b[i] ** 2;
  }
  const cosine = Math.min(1, Math.max(-1, dot / Math.sqrt(aa * bb || 1)));
  const omega = Math.acos(cosine);
  const sine = Math.sin(omega);
  if (sine < STRAIGHT) return lerp(a, b, t);
  const [u, v] = [Math.sin((1 - t) * omega) / sine, Math.sin(t * omega) / sine];
  return Float32Array.from(a, (value, i) => u * value + v * b[i]);
}

/** A condition of batch 1 on the host. */
export interface HostCondition {
  /** The vector of each token of the text encoder. */
  byt5: Float32Array[];
  clip?: Float32Array;
  images: Float32Array[];
  /** Attention factors of all tokens, if any. */
  weights?: number[];
  /** Of each of the text encoder's tokens, if any fades. */
  presence?: number[];
}

/** Reads a condition of batch 1. `seqLen` condition tokens are made of each CLIP vector. */
export async function readCondition(inputs: ConditionInputs, seqLen: number): Promise<HostCondition> {
  const { byt5, clip, clipImage, attnWeights } = inputs;
  const [, length, dim] = byt5.shape;
  const values = (await byt5.data()) as Float32Array;
  const images: Float32Array[] = [];
  for (const image of clipImage ? [clipImage].flat() : []) images.push((await image.data()) as Float32Array);
  const vectors = images.length + (clip ? 1 : 0);
  return {
    byt5: Array.from({ length }, (_, i) => values.subarray(i * dim, (i + 1) * dim)),
    clip: clip && ((await clip.data()) as Float32Array),
    images,
    weights: attnWeights && padLeft(Array.from(attnWeights), length + vectors * seqLen),
  };
}

/** Puts a condition on the device. */
export function writeCondition(
  device: Device,
  { byt5, clip, images, weights, presence }: HostCondition,
): ConditionInputs {
  const dim = byt5[0].length;
  const values = new Float32Array(byt5.length * dim);
  byt5.forEach((token, i) => values.set(token, i * dim));
  const row = (vector: Float32Array) => device.tensor(Float32Array.from(vector), [1, vector.length]);
  return {
    byt5: device.tensor(values, [1, byt5.length, dim]),
    clip: clip && row(clip),
    clipImage: images.length > 0 ? images.map(row) : undefined,
    attnWeights: weights,
    byt5Presence: presence,
  };
}

/**
 * A condition between two: CLIP's vectors, and the text encoder's token by token in order. The tokens that the longer
 * text has beyond the shorter one come or go by their share of the attention (`byt5Presence`).
 *
 * @param t 0 for a, 1 for b
 * @throws PaellaError `unsupported` if only one of them has a CLIP vector, or they have different numbers of images
 */
export function blend(a: HostCondition, b: HostCondition, t: number, method: BlendMethod): HostCondition {
  if (!a.clip !== !b.clip || a.images.length !== b.images.length) {
    const vectors = ({ clip, images }: HostCondition): string =>
      `${clip ? 'a text vector' : 'no text vector'} and ${images.length} images`;
    throw new PaellaError('unsupported', `nothing lies between ${vectors(a)} and ${vectors(b)}`, {
      fix: 'Interpolate between two prompts, or between requests with as many pictures.',
    });
  }
  const mix = { lerp, slerp }[method];
  const [longer, shorter] = a.byt5.length >= b.byt5.length ? [a, b] : [b, a];
  const paired = shorter.byt5.length;
  const rest = longer.byt5.length - paired;
  const restShare = longer === a ? 1 - t : t;
  return {
    byt5: longer.byt5.map((token, i) => (i < paired ? mix(a.byt5[i], b.byt5[i], t) : token)),
    clip: a.clip && b.clip && mix(a.clip, b.clip, t),
    images: a.images.map((image, i) => mix(image, b.images[i], t)),
    weights: a.weights || b.weights ? blendWeights(a, b, t) : undefined,
    presence: rest > 0 ? longer.byt5.map((_, i) => (i < paired ? 1 : restShare)) : undefined,
  };
}

/** Factors of paired tokens in between, and those of the others as they are. */
function blendWeights(a: HostCondition, b: HostCondition, t: number): number[] {
  const length = Math.max(a.byt5.length, b.byt5.length);
  const of = ({ byt5, weights }: HostCondition, i: number): number | undefined =>
    i < byt5.length ? (weights?.[i] ?? 1) : undefined;
  const text = Array.from({ length }, (_, i) => {
    const [from, to] = [of(a, i) ?? of(b, i)!, of(b, i) ?? of(a, i)!];
    return (1 - t) * from + t * to;
  });
  const [after, afterB] = [a, b].map(({ byt5, weights }) => weights?.slice(byt5.length));
  const vectors = (after ?? afterB ?? []).map((_, i) => (1 - t) * (after?.[i] ?? 1) + t * (afterB?.[i] ?? 1));
  return [...text, ...vectors];
}

const padLeft = (values: number[], length: number): number[] => [
  ...new Array<number>(length - values.length).fill(1),
  ...values,
];
