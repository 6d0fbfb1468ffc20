/** All of the library in one file that imports nothing: for pages without a bundler. */
export * from '@paella/tensor';
export * from './index.js';
// Both have one; this is that of models.
export type { LoadOptions } from './index.js';
