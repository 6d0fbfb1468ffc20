/** The npm packages that hold the pictures: found where they are installed, or installed once into a cache folder. */
import { PaellaError } from '@paella/tensor';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

interface Wanted {
  package: string;
  version: string;
}

export interface Packages {
  /** A file of a package. */
  path(name: string, ...parts: string[]): string;
  /** Whether a package has a file. */
  has(name: string, ...parts: string[]): boolean;
  /** The content of a JSON file of a package. */
  json(name: string, ...parts: string[]): unknown;
}

/**
 * Finds packages in a folder, or installs what is missing into the user's cache.
 *
 * @param folder one that holds node_modules; null for the cache folder
 * @throws PaellaError `not-found` naming what is missing in `folder`, or if npm fails
 */
export async function openPackages(
  wanted: readonly Wanted[],
  folder: string | null,
  note: (message: string) => void,
): Promise<Packages> {
  const { PAELLA_CACHE: chosen, XDG_CACHE_HOME: xdg } = process.env;
  const cache = chosen || join(xdg || join(homedir(), '.cache'), 'paella');
  const root = folder ?? join(cache, 'emoji-packages');
  const missing = wanted.filter(
    (one) => !existsSync(join(root, 'node_modules', one.package, 'package.json')),
  );
  if (missing.length > 0) {
    const specs = missing.map((one) => `${one.package}@${one.version}`);
    // Scripts of these packages are not needed, and not run.
    const args = ['install', '--ignore-scripts', '--legacy-peer-deps', '--no-audit', '--no-fund', ...specs];
    if (folder) {
      throw new PaellaError('not-found', `${folder} lacks ${missing.map((one) => one.package).join(', ')}`, {
        fix: `Run there: npm ${args.join(' ')}`,
      });
    }
    note(`installing ${missing.length} packages of pictures into ${root}`);
    mkdirSync(root, { recursive: true });
    if (!existsSync(join(root, 'package.json')))
      writeFileSync(join(root, 'package.json'), '{"private":true}\n');
    await runNpm(args, root);
  }
  const path = (name: string, ...parts: string[]): string => join(root, 'node_modules', name, ...parts);
  return {
    path,
    has: (name, ...parts) => existsSync(path(name, ...parts)),
    json: (name, ...parts) => JSON.parse(readFileSync(path(name, ...parts), 'utf8')) as unknown,
  };
}

function runNpm(args: string[], folder: string): Promise<void> {
  const command = `Run in ${folder}: npm ${args.join(' ')}`;
  return new Promise((resolve, reject) => {
    const npm = spawn('npm', args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
    npm.on('error', (cause) =>
      reject(new PaellaError('not-found', 'npm could not be started', { cause, fix: command })),
    );
    npm.on('exit', (code) =>
      code === 0
        ? resolve()
        : reject(new PaellaError('not-found', `npm ended with exit code ${code}`, { fix: command })),
    );
  });
}
