/**
 * The browser that the tests run in: on Linux x64 the headless Chromium in the npm package
 * `@sparticuz/chromium`, elsewhere an installed Chrome or Edge. `PAELLA_CHROME` names another one.
 */
import { unpackTar } from 'modern-tar/fs';
import { spawnSync } from 'node:child_process';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { createBrotliDecompress } from 'node:zlib';

/** Software WebGPU without a GPU or a sandbox: containers and CI run as root. */
const softwareArgs = ['--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];

/**
 * Launch options for Playwright's `chromium`.
 *
 * @returns {Promise<import('playwright').LaunchOptions>}
 */
export async function chromiumLaunchOptions() {
  const chosen = process.env.PAELLA_CHROME;
  if (chosen) return { executablePath: chosen, args: softwareArgs };
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return { channel: process.platform === 'win32' ? 'msedge' : 'chrome', args: ['--enable-unsafe-webgpu'] };
  }
  const dir = await unpackChromium();
  const executablePath = join(dir, 'chromium');
  return { executablePath, args: softwareArgs, env: browserEnv(executablePath, dir) };
}

/**
 * The browser's environment. Where the system lacks NSS, NSPR or expat the loader finds those of the package;
 * where it has them they are kept, because they match the system's other libraries.
 *
 * @param {string} executable
 * @param {string} dir
 */
function browserEnv(executable, dir) {
  const { LD_LIBRARY_PATH: inherited, ...env } = process.env;
  const starts = spawnSync(executable, ['--version'], { stdio: 'ignore' }).status === 0;
  const paths = [inherited, starts ? undefined : join(dir, 'lib')].filter(Boolean);
  return paths.length > 0 ? { ...env, LD_LIBRARY_PATH: paths.join(':') } : env;
}

/**
 * Unpacks the browser once a user and version; two processes that start together both end with a whole copy.
 *
 * @returns {Promise<string>} the folder with `chromium`, SwiftShader beside it and `lib/`
 */
async function unpackChromium() {
  const bin = join(dirname(fileURLToPath(import.meta.resolve('@sparticuz/chromium'))), '../../bin');
  const manifest = JSON.parse(await readFile(join(bin, '../package.json'), 'utf8'));
  const { PAELLA_CACHE: chosen, XDG_CACHE_HOME: xdg } = process.env;
  const cache = chosen || join(xdg || join(homedir(), '.cache'), 'paella');
  const dir = join(cache, `chromium-${manifest.version}`);
  if (existsSync(dir)) return dir;

  await mkdir(cache, { recursive: true });
  const unfinished = await mkdtemp(`${dir}-`);
  try {
    const executable = join(unfinished, 'chromium');
    await Promise.all([
      unbrotli(join(bin, 'chromium.br'), createWriteStream(executable)),
      unbrotli(join(bin, 'swiftshader.tar.br'), unpackTar(unfinished)),
      unbrotli(join(bin, 'al2023.tar.br'), unpackTar(unfinished)),
    ]);
    await chmod(executable, 0o755);
    await rename(unfinished, dir);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    if (!existsSync(dir)) throw error; // otherwise another process was faster
  }
  return dir;
}

/** @param {string} file @param {NodeJS.WritableStream} into */
function unbrotli(file, into) {
  return pipeline(createReadStream(file), createBrotliDecompress(), into);
}
