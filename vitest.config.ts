import { playwright } from '@vitest/browser-playwright';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { defaultClientConditions, defaultServerConditions, type Plugin } from 'vite';
import { defineConfig } from 'vitest/config';
import { chromiumLaunchOptions } from './scripts/chromium.mjs';
import { saveTestOutput } from './test/commands.js';

const root = fileURLToPath(new URL('.', import.meta.url));

/** A `.wgsl` file is a module whose default export is its text, as esbuild's text loader makes it. */
const wgsl: Plugin = {
  name: 'wgsl-text',
  enforce: 'pre',
  async load(id) {
    const path = id.replace(/\?.*$/, '');
    if (!path.endsWith('.wgsl')) return undefined;
    return { code: `export default ${JSON.stringify(await readFile(path, 'utf8'))};`, map: null };
  },
};

/** The packages' sources instead of their builds. */
const source = '@paella/source';
const shared = { root, plugins: [wgsl] };
const tests = [
  'packages/*/test/**/*.test.ts',
  'web/test/*.test.ts',
  'bench/test/*.test.ts',
  'test/*.test.ts',
];
const timeouts = { testTimeout: 120_000, hookTimeout: 120_000 };

export default defineConfig(async () => ({
  test: {
    projects: [
      {
        ...shared,
        ssr: { resolve: { conditions: [source, ...defaultServerConditions] } },
        test: {
          name: 'node',
          include: tests,
          setupFiles: ['test/setup.ts'],
          ...timeouts,
          // One process for all files: each would open its own software GPU, and Dawn starts once a process.
          pool: 'forks' as const,
          maxWorkers: 1,
          isolate: false,
          sequence: { groupOrder: 0 },
        },
      },
      {
        ...shared,
        resolve: { conditions: [source, ...defaultClientConditions] },
        optimizeDeps: { include: ['fast-check'] },
        test: {
          name: 'browser',
          include: tests,
          exclude: ['**/*.node.test.ts'],
          setupFiles: ['test/setup.ts'],
          ...timeouts,
          fileParallelism: false,
          // One page for all files: each would compile the same shaders anew.
          isolate: false,
          sequence: { groupOrder: 1 },
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            provider: playwright({ launchOptions: await chromiumLaunchOptions() }),
            instances: [{ browser: 'chromium' as const }],
            commands: { saveTestOutput },
          },
        },
      },
    ],
  },
}));
