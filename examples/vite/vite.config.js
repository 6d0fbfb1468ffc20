import { cpSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

// The model is files that the library fetches, not code that it imports: they travel with the page as they are.
const models = fileURLToPath(new URL('../models', import.meta.resolve('paella')));
cpSync(models, new URL('public/models', import.meta.url), { recursive: true });

export default defineConfig({
  base: './', // for any path of a static host
  build: { target: 'es2022' }, // for `await` outside of functions
});
