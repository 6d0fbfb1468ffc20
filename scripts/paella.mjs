#!/usr/bin/env node
/** Runs the `paella` command of this repository: builds what it needs, which the studio's page is only for `serve`. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const at = (/** @type {string} */ path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const builds = ['scripts/build.mjs', ...(process.argv[2] === 'serve' ? ['web/build.mjs'] : [])];
try {
  for (const script of builds) execFileSync(process.execPath, [at(script)], { stdio: 'inherit' });
} catch {
  process.exit(1); // it has said why
}
await import(new URL('../packages/cli/dist/main.js', import.meta.url).href);
