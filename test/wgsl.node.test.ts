import { readFile, readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { minifyWgsl } from '../scripts/wgsl.mjs';

const kernels = fileURLToPath(new URL('../packages/kernels/src/', import.meta.url));

/** The longest tokens, as a compiler sees them. */
const tokens = (text: string): string[] =>
  text
    .replace(/\/\/.*|\/\*[^]*?\*\//g, ' ')
    .match(/[\w.]+|(?:<<|>>|[-+*/%=<>!&|^])=|->|&&|\|\||\+\+|--|<<|>>|\S/g) ?? [];

it('keeps every token of the kernels, in three fifths of the space', async () => {
  const files = (await readdir(kernels, { recursive: true })).filter((file) => file.endsWith('.wgsl'));
  const texts = await Promise.all(files.map((file) => readFile(kernels + file, 'utf8')));
  const minified = texts.map(minifyWgsl);
  files.forEach((file, i) => expect(tokens(minified[i]), file).toEqual(tokens(texts[i])));
  expect(minified.join('').length).toBeLessThan(0.6 * texts.join('').length);
});

it('keeps tokens apart that would become another', () => {
  const text = `let a = b - -c; // a comment
    let d = e / *f; /* another
    one */ let x : array< u32 > = g & h;`;
  expect(minifyWgsl(text)).toBe('let a=b- -c;let d=e/ *f;let x:array<u32> =g&h;');
});
