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
 * Takes out what people alone read: comments, spaces, and long names inside functions.
 *
 * @param {string} text
 */
export const minifyWgsl = (text) => withShortNames(withoutSpaces(text));

/**
 * Two tokens that would become another one keep a space between them: two words, and two operators (`a - -b`, `a / *b`,
 * `array<u32> =`).
 *
 * @param {string} text
 */
function withoutSpaces(text) {
  return text
    .replace(/\/\/.*|\/\*[^]*?\*\//g, ' ')
    .replace(/\s+/g, ' ')
    .replace(/ (?=[,;:(){}[\]@])|(?<=[,;:(){}[\]@]) /g, '')
    .replace(/(?<=\w) (?=[-+*/%=<>!&|^~])|(?<=[-+*/%=<>!&|^~]) (?=\w)/g, '')
    .trim();
}

/** The name of every kernel's parameters. */
const PARAMS = 'P';

/**
 * Gives parameters and variables of functions names of a letter or two. All other names are known to other files: to the
 * host, or to the kernels that a shared function is joined to.
 *
 * @param {string} text without spaces
 */
function withShortNames(text) {
  let [out, from] = ['', 0];
  for (const { index } of text.matchAll(/\bfn \w+\(/g)) {
    const end = endOf(text, text.indexOf('{', endOf(text, text.indexOf('(', index))));
    out += text.slice(from, index) + withShortLocals(text.slice(index, end));
    from = end;
  }
  return (out + text.slice(from)).replace(/(?<![.\w])params\b/g, PARAMS);
}

/** After the bracket that closes the one at `start`. @param {string} text @param {number} start */
function endOf(text, start) {
  let depth = 0;
  for (let i = start; i < text.length; i++) {
    if ('({'.includes(text[i])) depth++;
    if (')}'.includes(text[i]) && --depth === 0) return i + 1;
  }
  throw new Error(`a bracket is not closed: ${text.slice(start, start + 40)}`);
}

/** @param {string} fn a whole function */
function withShortLocals(fn) {
  const parameters = fn.slice(fn.indexOf('('), endOf(fn, fn.indexOf('('))).replace(/@\w+(\([^)]*\))?/g, '');
  const declared = [
    ...parameters.matchAll(/(\w+):/g),
    ...fn.matchAll(/\b(?:let|const|var(?:<\w+>)?) ?(\w+)/g),
  ].map(([, name]) => name);
  const taken = new Set(fn.match(/\w+/g));
  const free = shortNames().filter((name) => !taken.has(name));
  const names = new Map([...new Set(declared)].map((name) => [name, name.length > 1 ? free.shift() : name]));
  // Attributes and members are no variables, whatever they are called; neither is what is called.
  return fn.replace(/@\w+(?:\([^)]*\))?|\.\w+|\b\w+\b(?!\()/g, (word) => names.get(word) ?? word);
}

/** Letters, then pairs with a digit: none is a word of the language. */
function shortNames() {
  const letters = Array.from('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOQRSTUVWXYZ'); // less the name above
  return [...letters, ...letters.flatMap((letter) => Array.from('0123456789', (digit) => letter + digit))];
}
