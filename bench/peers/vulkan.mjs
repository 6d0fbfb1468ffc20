/** Which Vulkan driver a WebGPU implementation loads, and which ones this process has loaded. In Node, on Linux. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** What the two software drivers name their threads, which is how they can be told apart from outside. */
export const DRIVERS = [
  { name: /llvmpipe/i, threads: /^llvmpipe-/, manifest: systemLavapipe },
  { name: /swiftshader/i, threads: /^Thread</, manifest: loadedSwiftShader },
];

/** @param {Record<string, string>} variables @returns {() => void} undoes it */
export function setEnvironment(variables) {
  const before = Object.keys(variables).map((name) => /** @type {const} */ ([name, process.env[name]]));
  Object.assign(process.env, variables);
  return () => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  };
}

/** Counts a driver's threads in this process, as they are now; 0 where the system does not tell. */
export function driverThreads() {
  const folder = '/proc/self/task';
  const names = existsSync(folder)
    ? readdirSync(folder).map((id) => threadName(join(folder, id, 'comm')))
    : [];
  return (/** @type {{ threads: RegExp }} */ { threads }) =>
    names.filter((name) => threads.test(name)).length;
}

/** A thread may have ended since it was listed. @param {string} path */
function threadName(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function systemLavapipe() {
  for (const folder of ['/etc/vulkan/icd.d', '/usr/local/share/vulkan/icd.d', '/usr/share/vulkan/icd.d']) {
    const file = existsSync(folder) && readdirSync(folder).find((name) => /^lvp_icd.*\.json$/.test(name));
    if (file) return join(folder, file);
  }
  return undefined;
}

/** The manifest lies beside the library that this process has loaded. */
function loadedSwiftShader() {
  const maps = readFileSync('/proc/self/maps', 'utf8');
  const library = maps.match(/\S*libvk_swiftshader\.so$/m);
  return library ? join(dirname(library[0]), 'vk_swiftshader_icd.json') : undefined;
}

/**
 * A Dawn instance with the flags that it has by default, as other engines' users would make it: this engine's own runs
 * without checks that its kernels do not need.
 *
 * @param {string} adapterName of this engine's device, which must be open
 * @returns {Promise<GPU>}
 */
export async function plainInstance(adapterName) {
  const { create } = await import('webgpu');
  const gpu = create([`adapter=${adapterName}`]);
  const manifest = DRIVERS.find(({ name }) => name.test(adapterName))?.manifest();
  // The Vulkan loader reads this when adapters are first asked for.
  const restore = setEnvironment(manifest ? { VK_DRIVER_FILES: manifest, VK_ICD_FILENAMES: manifest } : {});
  if (!(await gpu.requestAdapter().finally(restore))) throw new Error(`no adapter ${adapterName}`);
  return gpu;
}
