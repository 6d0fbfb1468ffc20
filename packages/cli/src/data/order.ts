/** Orders that a seed decides, and how processes share them. */

/** What one of `count` processes takes of an order: every `count`-th item, from `index` on. */
export interface Share {
  index: number;
  count: number;
}

/** Everything. */
export const whole: Share = { index: 0, count: 1 };

export const isOf = ({ index, count }: Share, place: number): boolean => place % count === index;

/** A copy in random order (Fisher–Yates). */
export function shuffle<T>(items: readonly T[], random: (count: number) => Float32Array): T[] {
  const out = [...items];
  const numbers = random(out.length);
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(numbers[i] * (i + 1));
    [out[i], out[j]] = [out[j], out[i]];
  }
  return out;
}

/** Items of a stream in the order in which a buffer of `size` gives them up at random. */
export async function* shuffleBuffer<T>(
  items: AsyncIterable<T>,
  size: number,
  random: (count: number) => Float32Array,
): AsyncGenerator<T> {
  const buffer: T[] = [];
  for await (const item of items) {
    if (buffer.length < size) {
      buffer.push(item);
      continue;
    }
    const j = Math.floor(random(1)[0] * buffer.length);
    const next = buffer[j];
    buffer[j] = item;
    yield next;
  }
  yield* shuffle(buffer, random);
}
