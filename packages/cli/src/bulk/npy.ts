/** NumPy's file format, which WebDataset and everything else in Python reads. */

/**
 * An array of unsigned numbers as `.npy` (version 1.0, little endian, C order).
 *
 * @param shape its product is the length of the data
 */
export function npy(data: Uint16Array | Uint32Array, shape: readonly number[]): Uint8Array {
  const size = data.BYTES_PER_ELEMENT;
  const tuple = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const description = `{'descr': '<u${size}', 'fortran_order': False, 'shape': (${tuple}), }`;
  // The data begins at a multiple of 64: after magic, version and length (10 bytes) and the description's new line.
  const start = Math.ceil((10 + description.length + 1) / 64) * 64;
  const out = new Uint8Array(start + data.length * size);
  const view = new DataView(out.buffer);
  out.set([0x93, ...new TextEncoder().encode('NUMPY'), 1, 0]);
  view.setUint16(8, start - 10, true);
  out.set(new TextEncoder().encode(`${description.padEnd(start - 11)}\n`), 10);
  data.forEach((value, i) => {
    if (size === 2) view.setUint16(start + i * size, value, true);
    else view.setUint32(start + i * size, value, true);
  });
  return out;
}
