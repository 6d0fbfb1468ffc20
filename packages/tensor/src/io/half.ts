/**
 * Half precision as storage: IEEE binary16 (f16: 1 sign, 5 exponent, 10 fraction bits) and bfloat16
 * (the upper half of a binary32). Narrowing rounds to nearest, ties to even; infinities, NaN payloads'
 * upper bits, signed zeros and subnormals survive both ways. Everything works on bit patterns, because a
 * signalling NaN read as a JavaScript number may come back with other bits.
 */

const bitsOf = (values: Float32Array): Uint32Array =>
  new Uint32Array(values.buffer, values.byteOffset, values.length);

function widenBits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  let fraction = half & 0x3ff;
  if (exponent === 0x1f) return (sign | 0x7f800000 | (fraction << 13)) >>> 0;
  if (exponent !== 0) return (sign | ((exponent + 112) << 23) | (fraction << 13)) >>> 0;
  if (fraction === 0) return sign >>> 0;
  // A subnormal is fraction · 2^-24: shift its leading one into the implicit place.
  let e = 113;
  while (!(fraction & 0x400)) {
    fraction <<= 1;
    e--;
  }
  return (sign | (e << 23) | ((fraction & 0x3ff) << 13)) >>> 0;
}

function narrowBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const abs = bits & 0x7fffffff;
  if (abs > 0x7f800000) return sign | 0x7c00 | ((abs >>> 13) & 0x3ff || 0x200);
  if (abs >= 0x477ff000) return sign | 0x7c00; // 65520 and above round to infinity
  if (abs >= 0x38800000) return sign | ((abs - 0x38000000 + 0xfff + ((abs >>> 13) & 1)) >>> 13);
  if (abs <= 0x33000000) return sign; // up to 2^-25, which ties to zero
  const shift = 126 - (abs >>> 23);
  const fraction = (abs & 0x7fffff) | 0x800000;
  const rest = fraction & ((1 << shift) - 1);
  const middle = 1 << (shift - 1);
  const down = fraction >>> shift;
  return sign | (down + (rest > middle || (rest === middle && down & 1) ? 1 : 0));
}

let wideTable: Uint32Array | undefined;

/** Widens f16 bit patterns to floats, exactly. */
export function f16ToF32(halves: Uint16Array): Float32Array<ArrayBuffer> {
  // 65536 entries cost 256 KiB once and make a checkpoint of 10^9 weights a loop of table look-ups.
  wideTable ??= Uint32Array.from({ length: 0x10000 }, (_, half) => widenBits(half));
  const table = wideTable;
  const out = new Float32Array(halves.length);
  const bits = bitsOf(out);
  for (let i = 0; i < halves.length; i++) bits[i] = table[halves[i]];
  return out;
}

/** Rounds floats to f16 bit patterns; values of 65520 and more in magnitude become infinity. */
export function f32ToF16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = bitsOf(values);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) out[i] = narrowBits(bits[i]);
  return out;
}

/** Widens bfloat16 bit patterns to floats, exactly. */
export function bf16ToF32(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const out = new Float32Array(halves.length);
  const bits = bitsOf(out);
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i] << 16;
  return out;
}

/** Rounds floats to bfloat16 bit patterns. */
export function f32ToBf16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = bitsOf(values);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const x = bits[i];
    const isNaN = (x & 0x7fffffff) > 0x7f800000;
    // A NaN must not round up into infinity, nor lose all its fraction bits and become one.
    out[i] = isNaN ? (x >>> 16) | (x & 0x7f0000 ? 0 : 0x40) : (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
  }
  return out;
}
