import { describe, expect, it } from 'vitest';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../src/io/half.js';

const everyHalf = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits);
const bitsOf = (values: Float32Array) => new Uint32Array(values.buffer);
const floatOf = (bits: number) => new Float32Array(Uint32Array.of(bits).buffer);

describe('f16', () => {
  it('widens every pattern to the value that IEEE 754 gives it', () => {
    const wide = f16ToF32(everyHalf);
    const valueOf = (half: number) => {
      const sign = half & 0x8000 ? -1 : 1;
      const exponent = (half >> 10) & 31;
      const fraction = (half & 1023) / 1024;
      if (exponent === 0) return sign * 2 ** -14 * fraction;
      if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
      return sign * 2 ** (exponent - 15) * (1 + fraction);
    };
    expect(everyHalf.find((half) => !Object.is(wide[half], valueOf(half)))).toBeUndefined();
  });

  it('gives every pattern back, NaNs included', () => {
    expect(f32ToF16(f16ToF32(everyHalf))).toEqual(everyHalf);
  });

  it('rounds to nearest, ties to even, between all neighbours', () => {
    const wide = f16ToF32(everyHalf);
    const isWrong = (half: number) => {
      const middle = (wide[half] + wide[half + 1]) / 2; // exact in f32
      const bits = bitsOf(Float32Array.of(middle))[0];
      const [below, tie, above] = [bits - 1, bits, bits + 1].map((near) => f32ToF16(floatOf(near))[0]);
      const even = half & 1 ? half + 1 : half;
      const negative = f32ToF16(Float32Array.of(-middle))[0];
      return below !== half || tie !== even || above !== half + 1 || negative !== (even | 0x8000);
    };
    expect(everyHalf.subarray(0, 0x7bff).find(isWrong)).toBeUndefined();
  });

  it('overflows to infinity from 65520 on, and underflows to a signed zero', () => {
    expect([...f32ToF16(Float32Array.of(65519.99, 65520, -1e30, 2 ** -25, -(2 ** -26)))]).toEqual([
      0x7bff, 0x7c00, 0xfc00, 0, 0x8000,
    ]);
  });
});

describe('bf16', () => {
  it('gives every pattern back, NaNs included', () => {
    expect(f32ToBf16(bf16ToF32(everyHalf))).toEqual(everyHalf);
  });

  it('rounds to nearest, ties to even, and keeps a NaN a NaN', () => {
    const isWrong = (half: number) => {
      const bits = half * 0x10000 + 0x8000;
      const [below, tie, above] = [bits - 1, bits, bits + 1].map((near) => f32ToBf16(floatOf(near))[0]);
      return below !== half || tie !== (half & 1 ? half + 1 : half) || above !== half + 1;
    };
    expect(everyHalf.subarray(0, 0x7f80).find(isWrong)).toBeUndefined();
    expect(bf16ToF32(f32ToBf16(floatOf(0x7f800001)))).toEqual(Float32Array.of(NaN));
    expect(bf16ToF32(f32ToBf16(floatOf(0x7fffffff)))).toEqual(Float32Array.of(NaN));
  });
});
