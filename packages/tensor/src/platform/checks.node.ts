/** What `paella doctor` looks at in Node, each with what to install or set. */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chooseAdapters, halfFloatCheck, type Check } from './gpu.js';
import { listAdapters, surveyAdapters, type Survey } from './gpu.node.js';
import { installKoffi, openLibc } from './libc.node.js';
import { findBundledDriver, findUnpackedDriver, installBundledDriver } from './swiftshader.node.js';

/** Looks at everything that decides which adapter `auto` opens and how fast it is. Never throws. */
export async function environmentChecks(): Promise<Check[]> {
  let seen: Survey;
  try {
    seen = await surveyAdapters();
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return [{ name: 'webgpu package', ok: false, detail, fix: 'Install it with `npm install webgpu@0.6.2`' }];
  }
  const checks: Check[] = [{ name: 'webgpu package', ok: true, detail: `Dawn of webgpu ${dawnVersion()}` }];
  if (process.platform === 'linux') checks.push(loaderCheck(seen, !!(await openLibc())));
  checks.push(gpuCheck(seen));
  if (process.platform === 'linux') checks.push(lavapipeCheck(seen), await swiftShaderCheck());
  const [best] = await listAdapters();
  if (best) checks.push(halfFloatCheck(best));
  return checks;
}

function dawnVersion(): string {
  const path = createRequire(import.meta.url).resolve('webgpu/package.json');
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}

function loaderCheck({ loader, found }: Survey, canLook: boolean): Check {
  const name = 'Vulkan loader';
  if (!canLook)
    return { name, ok: found.length > 0, detail: 'not looked for: the npm package koffi is missing' };
  if (loader === 'system') return { name, ok: true, detail: "the system's libvulkan.so.1" };
  if (loader === 'bundled') return { name, ok: true, detail: 'libvulkan.so.1 of @sparticuz/chromium' };
  const fix = 'Install the system package with libvulkan.so.1: `apt-get install libvulkan1`';
  return { name, ok: false, detail: 'libvulkan.so.1 not found', fix };
}

function gpuCheck({ found }: Survey): Check {
  const name = 'GPU';
  const [best] = chooseAdapters('gpu', found);
  if (best) return { name, ok: true, detail: `${best.name} (${best.backend})` };
  return { name, ok: false, detail: 'no GPU that WebGPU can use', fix: gpuFix() };
}

/** The most likely reason why a GPU is not seen. */
function gpuFix(): string {
  if (process.platform !== 'linux') return "Install your GPU vendor's current driver";
  if (existsSync('/dev/nvidiactl')) {
    return "Install the graphics part of NVIDIA's driver (in a container: NVIDIA_DRIVER_CAPABILITIES=all)";
  }
  if (existsSync('/dev/dri/renderD128') && !isUsable('/dev/dri/renderD128')) {
    return 'Allow yourself to use the GPU: `sudo usermod -aG render $USER`, then log in again';
  }
  if (existsSync('/dev/dri/renderD128')) return `Install its Vulkan driver: \`${installMesa()}\``;
  return 'Nothing to do where there is none; pictures take seconds to minutes on the processor';
}

function lavapipeCheck({ found, driverMessages }: Survey): Check {
  const name = 'system software Vulkan';
  const best = found.find(({ source }) => source === 'system-software');
  if (best) return { name, ok: true, detail: best.name };
  // The feature that lavapipe lacks before Mesa 23.
  const tooOld = driverMessages.some((message) => message.includes('ArrayDynamicIndexing'));
  const detail = tooOld
    ? "the system's lavapipe is older than Mesa 23, which WebGPU needs"
    : 'lavapipe is not installed; it is 3 to 5 times faster than SwiftShader';
  return { name, ok: false, detail, fix: `Where there is no GPU: \`${installMesa()}\`` };
}

/** Debian 12 has Mesa 22.3, which is too old; its backports have a newer one. */
function installMesa(): string {
  if (!readIfAny('/etc/os-release').includes('VERSION_CODENAME=bookworm')) {
    return 'apt-get install mesa-vulkan-drivers';
  }
  const source = 'deb http://deb.debian.org/debian bookworm-backports main';
  return (
    `echo '${source}' > /etc/apt/sources.list.d/backports.list && apt-get update && ` +
    'apt-get install -t bookworm-backports mesa-vulkan-drivers'
  );
}

async function swiftShaderCheck(): Promise<Check> {
  const name = 'bundled SwiftShader';
  const bundled = findBundledDriver();
  if (!bundled) {
    const here = process.arch === 'x64';
    const fix = here ? `Install it with \`${installBundledDriver}\`` : undefined;
    const detail = here ? '@sparticuz/chromium is not installed' : 'only built for Linux x64';
    return { name, ok: false, detail, ...(fix && { fix }) };
  }
  if (!(await openLibc())) {
    const fix = `Install it with \`${installKoffi}\``;
    return { name, ok: false, detail: 'the npm package koffi, which loads it, is missing', fix };
  }
  const unpacked = await findUnpackedDriver(bundled.version);
  const state = unpacked ? `unpacked at ${unpacked.manifest}` : 'unpacked when first used';
  return { name, ok: true, detail: `@sparticuz/chromium ${bundled.version}, ${state}` };
}

function isUsable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function readIfAny(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}
