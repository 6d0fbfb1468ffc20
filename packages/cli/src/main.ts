#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { runCommandLine } from './program.js';

const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
const { version } = JSON.parse(manifest) as { version: string };
process.exitCode = await runCommandLine(process.argv.slice(2), version);
