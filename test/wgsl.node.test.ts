import { readFile, readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { minifyWgsl } from '../scripts/wgsl.mjs';

const kernels = fileURLToPath(new URL('../packages/kernels/src/', import.meta.url));

/** The longest tokens, as a compiler sees them; members with the dot before them. */
const tokens = (text: string): string[] =>
  text
    .replace(/\/\/.*|\/\*[^]*?\*\//g, ' ')
    .match(/\d[\w.]*|\.?\w+|(?:<<|>>|[-+*/%=<>!&|^])=|->|&&|\|\||\+\+|--|<<|>>|\S/g) ?? [];

/** What a kernel's text declares beside functions: names that all of the kernel may use. */
const globals = (text: string): string[] =>
  [...text.matchAll(/^(?:override|const|alias|struct|@group.*?>|var<\w+>) *(\w+)/gm)].map(([, name]) => name);

it('keeps every token of the kernels but the names inside functions, in half of the space', async () => {
  const files = (await readdir(kernels, { recursive: true })).filter((file) => file.endsWith('.wgsl'));
  const texts = await Promise.all(files.map((file) => readFile(kernels + file, 'utf8')));
  const minified = texts.map(minifyWgsl);
  files.forEach((file, i) => {
    const [before, after] = [tokens(texts[i]), tokens(minified[i])];
    expect(after.length, file).toBe(before.length);
    const kept = globals(texts[i]).filter((name) => name !== 'params');
    // Inside a function, every name has one short one, which stands for nothing else.
    let [short, long] = [new Map<string, string>(), new Map<string, string>()];
    before.forEach((word, at) => {
      if (word === 'fn' || word === 'struct') [short, long] = [new Map(), new Map()];
      if (before[at + 1] === '(') return; // a function may be called as a variable elsewhere
      if (!short.has(word)) short.set(word, after[at]);
      if (!long.has(after[at])) long.set(after[at], word);
      expect([short.get(word), long.get(after[at])], `${file}: ${word}`).toEqual([after[at], word]);
      if (word !== after[at]) expect(kept, file).not.toContain(word);
    });
  });
  expect(minified.join('').length).toBeLessThan(0.5 * texts.join('').length);
});

it('keeps tokens apart that would become another', () => {
  const text = `let a = b - -c; // a comment
    let d = e / *f; /* another
    one */ let x : array< u32 > = g & h;`;
  expect(minifyWgsl(text)).toBe('let a=b- -c;let d=e/ *f;let x:array<u32> =g&h;');
});

it('leaves members, attributes and functions their names', () => {
  const text = `fn next(@builtin(workgroup_id) workgroup_id: vec3u, by: u32) -> u32 {
    let at = other.by + workgroup_id.x;
    return at(by) + params.by;
  }`;
  expect(minifyWgsl(text)).toBe(
    'fn next(@builtin(workgroup_id)a:vec3u,b:u32)->u32{let c=other.by+a.x;return at(b)+P.by;}',
  );
});
