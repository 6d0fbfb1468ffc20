/** What option values mean. Every parser throws commander's error, which ends in exit code 2. */
import { InvalidArgumentError } from 'commander';
import type { Box, Range } from 'paella';

const decimal = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

function refuse(expected: string): never {
  throw new InvalidArgumentError(`Expected ${expected}.`);
}

/** A finite number. */
function number(text: string): number {
  return decimal.test(text.trim()) ? Number(text) : refuse('a number, such as 4 or 0.5');
}

/** A whole number from `min` on. */
export const wholeNumber =
  (min: number) =>
  (text: string): number => {
    const value = /^\d+$/.test(text.trim()) ? Number(text) : NaN;
    return value >= min && Number.isSafeInteger(value) ? value : refuse(`a whole number from ${min} on`);
  };

/** A TCP port; 0 is any that is free. */
export function port(text: string): number {
  const value = wholeNumber(0)(text);
  return value < 65536 ? value : refuse('a port from 0 to 65535');
}

/** A number for all steps, or its values at the first and the last: `0.7,0.3`. */
export function range(text: string): Range {
  const parts = text.split(',').map(number);
  if (parts.length > 2) refuse('a number, or two for the first and the last step, such as 0.7,0.3');
  return parts.length === 2 ? [parts[0], parts[1]] : parts[0];
}

/** A guidance scale or range; `off` computes no guidance at all. (Commander would make '' of null.) */
export function guidance(text: string): Range | 'off' {
  return text === 'off' ? text : range(text);
}

/** Width and height in pixels: `64x48`. */
export function size(text: string): [number, number] {
  const match = /^(\d+)[x×](\d+)$/i.exec(text.trim());
  const sides = match ? [Number(match[1]), Number(match[2])] : [];
  return sides.length === 2 && sides.every((side) => side > 0 && side <= 65536)
    ? [sides[0], sides[1]]
    : refuse('a width and a height in pixels, such as 64x64');
}

/** Whole numbers separated by commas. */
function wholeNumbers(text: string, count: number): number[] | null {
  const parts = text.split(',').map((part) => part.trim());
  return parts.length === count && parts.every((part) => /^\d+$/.test(part)) ? parts.map(Number) : null;
}

/** A rectangle in pixels: `x,y,width,height`. */
export function box(text: string): Box {
  const numbers = wholeNumbers(text, 4) ?? refuse('x,y,width,height in pixels, such as 8,8,32,24');
  const [x, y, width, height] = numbers;
  return { x, y, width, height };
}

/** A place in pixels: `x,y`. */
export function point(text: string): [number, number] {
  const [x, y] = wholeNumbers(text, 2) ?? refuse('x,y in pixels, such as 16,0');
  return [x, y];
}

/** More than nothing, at most all: a number in (0,1]. */
export function share(text: string): number {
  const value = number(text);
  return value > 0 && value <= 1 ? value : refuse('a number above 0 and at most 1, such as 0.7');
}

/** A prompt for a part of the picture. */
export interface RegionOption {
  prompt: string;
  /** A box, or the name of a mask picture. */
  area: Box | string;
}

/** One more region: `x,y,width,height:prompt` or `mask.png:prompt`. */
export function region(text: string, before: readonly RegionOption[]): RegionOption[] {
  const [, mask, corners, prompt] = /^(?:(.+\.(?:png|jpe?g))|([\d,\s]+)):(.+)$/i.exec(text) ?? [];
  if (!prompt) refuse('x,y,width,height:prompt or mask.png:prompt');
  return [...before, { prompt, area: mask ?? box(corners) }];
}

const units: Record<string, number> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
};

/** A number of bytes: `2GB`, `512MiB`, `1000000`. */
export function bytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmg]?i?b)?$/i.exec(text.trim());
  const unit = units[(match?.[2] ?? 'b').toLowerCase()];
  const value = match && unit ? Math.floor(Number(match[1]) * unit) : 0;
  return value > 0 ? value : refuse('a number of bytes, such as 2GB or 512MiB');
}

/** The type that a model's large matrices are held in on the device. */
export function weightType(text: string): 'f32' | 'f16' {
  return text === 'f32' || text === 'f16' ? text : refuse('f32 or f16');
}

/** The type that a file stores floats in. */
export function storedType(text: string): 'f32' | 'f16' | 'bf16' {
  return text === 'f32' || text === 'f16' || text === 'bf16' ? text : refuse('f32, f16 or bf16');
}

/** Names separated by commas. */
export function names(text: string): string[] {
  const list = text.split(',').map((name) => name.trim());
  return list.every(Boolean) ? list : refuse('names separated by commas');
}
