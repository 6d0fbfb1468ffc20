/**
 * WGSL in bundles: a `.wgsl` file is a module whose default export is its text, less what people alone read. Bundlers
 * minify code and leave strings as they are, and kernels are a third of the library.
 */
import { readFile } from 'node:fs/promises';

/** For esbuild. @type {import('esbuild').Plugin} */
export const wgsl = {
  name: 'wgsl',
  setup(build) {
    build.onLoad({ filter: /\.wgsl$/ }, async ({ path }) => ({
      contents: minifyWgsl(await readFile(path, 'utf8')),
      loader: 'text',
    }));
  },
};

/** For Vite. @type {import('vite').Plugin} */
export const wgslModules = {
  name: 'wgsl',
  enforce: 'pre',
  load: {
    filter: { id: /\.wgsl$/ },
    async handler(id) {
      return { code: `export default ${JSON.stringify(minifyWgsl(await readFile(id, 'utf8')))};`, map: null };
    },
  },
};

/**
 * Takes comments and spaces out. Two tokens that would become another one keep a space between them: two words, and two
 * operators (`a - -b`, `a / *b`, `array<u32> =`).
 *
 * @param {string} text
 */
export const minifyWgsl = (text) =>
  text
    .replace(/\/\/.*|\/\*[^]*?\*\//g, ' ')
    .replace(/\s+/g, ' ')
    .replace(/ (?=[,;:(){}[\]@])|(?<=[,;:(){}[\]@]) /g, '')
    .replace(/(?<=\w) (?=[-+*/%=<>!&|^~])|(?<=[-+*/%=<>!&|^~]) (?=\w)/g, '')
    .trim();
