/**
 * The software Vulkan that npm brings: SwiftShader and a Vulkan loader from the package `@sparticuz/chromium`.
 * The package is only looked up, never imported, and its archive is unpacked once a user and version.
 */
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { brotliDecompress } from 'node:zlib';
import { unpackTar } from 'modern-tar';
import { PaellaError } from '../errors.js';
import { cacheFolders, isTrustedFolder, prepareCacheFolder } from './cache.node.js';

/** The archive inside the package, and what it is called in messages. */
export interface BundledDriver {
  archive: string;
  version: string;
}

/** The unpacked files: a Vulkan loader, and the manifest that tells it where the driver is. */
export interface UnpackedDriver {
  loader: string;
  manifest: string;
}

const packageName = '@sparticuz/chromium';
const loader = 'libvulkan.so.1';
const manifest = 'vk_swiftshader_icd.json';
const files = [loader, manifest, 'libvk_swiftshader.so'];

/** What to type to get the package. 143.0.4 is the last version that supports Node 20. */
export const installBundledDriver = `npm install ${packageName}@143.0.4`;

/**
 * Finds the package as this library, the running program or the working folder would.
 *
 * @returns undefined where it is not installed or the system is not Linux x64, the only one it is built for
 */
export function findBundledDriver(): BundledDriver | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined;
  for (const base of lookupBases()) {
    let folder: string;
    try {
      folder = join(dirname(createRequire(base).resolve(packageName)), '../..');
    } catch {
      continue;
    }
    const archive = join(folder, 'bin/swiftshader.tar.br');
    if (!existsSync(archive)) continue;
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string };
    return { archive, version };
  }
  return undefined;
}

/** The program comes second because a strict package manager shows the optional package only to the command. */
function lookupBases(): string[] {
  const bases = [import.meta.url];
  const program = process.argv[1];
  if (program && existsSync(program)) bases.push(realpathSync(program));
  return [...bases, join(process.cwd(), 'package.json')];
}

/** Where the driver is unpacked already, or undefined. */
export async function findUnpackedDriver(version: string): Promise<UnpackedDriver | undefined> {
  for (const folder of cacheFolders()) {
    const target = targetFolder(folder, version);
    if (isComplete(target) && (await isTrustedFolder(folder))) return driverIn(target);
  }
  return undefined;
}

/**
 * Unpacks the driver into the first cache folder that can be written, unless one holds it already. Processes that
 * start together each unpack into a folder of their own; the first to rename its folder wins, the others use it.
 *
 * @throws PaellaError `no-adapter` where no cache folder can be written
 */
export async function unpackDriver({ archive, version }: BundledDriver): Promise<UnpackedDriver> {
  const unpacked = await findUnpackedDriver(version);
  if (unpacked) return unpacked;
  for (const folder of cacheFolders()) {
    if (!(await prepareCacheFolder(folder))) continue;
    const target = targetFolder(folder, version);
    const unfinished = await mkdtemp(`${target}-`);
    try {
      await extract(archive, unfinished);
      await moveInto(target, unfinished);
    } finally {
      await rm(unfinished, { recursive: true, force: true });
    }
    return driverIn(target);
  }
  throw new PaellaError('no-adapter', `cannot unpack SwiftShader into any of ${cacheFolders().join(', ')}`, {
    fix: 'Set PAELLA_CACHE to a folder of yours that can be written',
  });
}

async function extract(archive: string, into: string): Promise<void> {
  const tar = await promisify(brotliDecompress)(await readFile(archive));
  for (const { header, data } of await unpackTar(tar, { filter: ({ name }) => files.includes(name) })) {
    const path = join(into, header.name);
    await writeFile(path, data ?? new Uint8Array());
    await chmod(path, 0o755);
  }
}

/** Renaming onto a folder with files in it fails: another process was faster, or files of an old one were lost. */
async function moveInto(target: string, unfinished: string): Promise<void> {
  try {
    await rename(unfinished, target);
  } catch (error) {
    if (isComplete(target)) return;
    if (!existsSync(target)) throw error;
    const damaged = `${unfinished}-damaged`;
    await rename(target, damaged);
    await rename(unfinished, target);
    await rm(damaged, { recursive: true, force: true });
  }
}

function targetFolder(cache: string, version: string): string {
  return join(cache, `swiftshader-${version}`);
}

function isComplete(folder: string): boolean {
  return files.every((file) => existsSync(join(folder, file)));
}

function driverIn(folder: string): UnpackedDriver {
  return { loader: join(folder, loader), manifest: join(folder, manifest) };
}
