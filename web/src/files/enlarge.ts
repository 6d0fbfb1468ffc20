/**
 * Every pixel becomes a square of `scale` × `scale` of them.
 *
 * @param channels numbers a pixel
 */
export function enlarge<T extends Uint8Array | Uint8ClampedArray>(
  data: T,
  width: number,
  channels: number,
  scale: number,
): T {
  const height = data.length / channels / width;
  const rows = new (data.constructor as new (length: number) => T)(data.length * scale * scale);
  const stride = width * scale * channels;
  for (let y = 0; y < height; y++) {
    const start = y * scale * stride;
    for (let x = 0; x < width; x++) {
      const from = (y * width + x) * channels;
      for (let copy = 0; copy < scale; copy++) {
        rows.set(data.subarray(from, from + channels), start + (x * scale + copy) * channels);
      }
    }
    for (let copy = 1; copy < scale; copy++) rows.copyWithin(start + copy * stride, start, start + stride);
  }
  return rows;
}
