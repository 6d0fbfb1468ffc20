/// <reference types="node" />
/**
 * WebGPU in Node: Dawn from the npm package `webgpu`, over whatever Vulkan, Metal or Direct3D the system has, and
 * over the SwiftShader that npm brings where it has none.
 *
 * Each (driver, adapter name) has a Dawn instance of its own, because Dawn picks an adapter by name only when the
 * instance is made, and the Vulkan loader reads which drivers to use when an instance first asks for adapters.
 */
import { join } from 'node:path';
import { PaellaError } from '../errors.js';
import { cacheFolders } from './cache.node.js';
import {
  checkRequest,
  chooseAdapters,
  isSoftwareName,
  notice,
  summarize,
  type AdapterCandidate,
  type AdapterSummary,
  type OpenedAdapter,
} from './gpu.js';
import { installKoffi, openLibc } from './libc.node.js';
import { findBundledDriver, installBundledDriver, unpackDriver } from './swiftshader.node.js';

export * from './gpu.js';

/** What a look at this machine's adapters found, with what drivers wrote to stderr meanwhile. */
export interface Survey {
  found: AdapterCandidate[];
  /** Which Vulkan loader there is; 'system' off Linux, where none is needed. */
  loader: 'system' | 'bundled' | 'missing';
  driverMessages: string[];
}

/** The name by which SwiftShader's Vulkan device introduces itself. */
const swiftShader: AdapterCandidate = {
  name: 'SwiftShader Device (Subzero)',
  backend: 'vulkan',
  source: 'bundled-software',
};

/**
 * - `allow_unsafe_apis` offers experimental features, such as subgroup matrices.
 * - `vulkan_enable_f16_on_nvidia`: Dawn hides shader-f16 on Linux with NVIDIA unless asked.
 * - `disable_robustness`, for SwiftShader: without it every load is preceded by a look at its buffer's length, which takes
 *   that one as long as the load. Kernels here keep within their buffers by themselves, whatever indices data brings.
 *   Elsewhere it gains little, and lavapipe takes ten times as long to compile. Pages have no such choice.
 * - Timestamps are rounded to 65.5 µs against timing attacks by web pages; here they are for profiling.
 */
const togglesFor = (adapter: string): string[] => [
  `enable-dawn-features=${[
    'allow_unsafe_apis',
    'vulkan_enable_f16_on_nvidia',
    ...(adapter === swiftShader.name ? ['disable_robustness'] : []),
  ].join(',')}`,
  'disable-dawn-features=timestamp_quantization',
];

/**
 * Opens an adapter that has not made a device yet. The same one may be opened any number of times.
 *
 * @param request 'auto' (hardware, else the system's software Vulkan, else the bundled SwiftShader; the environment
 *   variable PAELLA_ADAPTER decides where it is set), 'gpu', 'software', or a part of an adapter's name, case ignored
 * @param ordinal which of several that fit equally well; see {@link chooseAdapters}. Dawn tells adapters apart by their
 *   names: of several of one name, it is always the first
 * @throws PaellaError `no-adapter` naming what was found and how to get what was asked for, `argument` for ''
 */
export async function openAdapter(request: string, ordinal = 0): Promise<OpenedAdapter> {
  checkRequest(request);
  const override = request === 'auto' ? process.env.PAELLA_ADAPTER : undefined;
  if (override) notice(`paella: PAELLA_ADAPTER=${override} chooses the adapter`);
  const wanted = override || request;

  const seen = await surveyAdapters();
  const failures = [...seen.driverMessages];
  for (const candidate of chooseAdapters(wanted, seen.found, ordinal)) {
    try {
      const opened = await openCandidate(candidate);
      if (wanted === 'auto' && opened.summary.isSoftware) {
        notice(`paella: no GPU found, computing on the processor with ${opened.summary.name}`);
      }
      return opened;
    } catch (error) {
      failures.push(`${candidate.name}: ${messageOf(error)}`);
    }
  }
  throw await noAdapter(wanted, seen, failures);
}

/** Opens and describes every adapter of this machine, best first, for a person to choose from. */
export async function listAdapters(): Promise<AdapterSummary[]> {
  const { found } = await surveyAdapters();
  const summaries: AdapterSummary[] = [];
  for (const candidate of chooseAdapters('auto', found)) {
    const opened = await openCandidate(candidate).catch(() => undefined);
    if (opened) summaries.push(opened.summary);
  }
  return summaries;
}

let survey: Promise<Survey> | undefined;

/**
 * Names the adapters that the system's drivers offer, and the bundled one where its package is installed.
 *
 * @throws PaellaError `no-adapter` where the package `webgpu` is missing or cannot run here
 */
export function surveyAdapters(): Promise<Survey> {
  survey ??= takeSurvey();
  return survey;
}

async function takeSurvey(): Promise<Survey> {
  const problems: string[] = [];
  const loader = await provideLoader().catch((error: unknown) => {
    problems.push(messageOf(error));
    return 'missing' as const;
  });
  const { error, stderr } = await ask('system', '(list)');
  const found = parseAdapterList(error).map((adapter): AdapterCandidate => ({
    ...adapter,
    source: isSoftwareName(adapter.name) ? 'system-software' : 'gpu',
  }));
  // A SwiftShader that the system offers is as good as the bundled one.
  const bundled = loader !== 'missing' && findBundledDriver() && (await openLibc());
  if (bundled && !found.some(({ name }) => name === swiftShader.name)) found.push(swiftShader);
  return { found, loader, driverMessages: [...problems, ...driverMessages(stderr)] };
}

/**
 * Makes sure that Dawn will find a Vulkan loader. Only `libvulkan.so.1` of the system is found by its name; the
 * bundled one answers to that name once it is loaded, and serves the system's drivers as well.
 */
async function provideLoader(): Promise<Survey['loader']> {
  const libc = await openLibc();
  if (!libc || libc.tryLoad('libvulkan.so.1')) return 'system';
  const bundled = findBundledDriver();
  if (!bundled) return 'missing';
  const { loader } = await unpackDriver(bundled);
  return libc.tryLoad(loader) ? 'bundled' : 'missing';
}

/** Asked for an adapter that nobody has, Dawn answers with those that there are. */
function parseAdapterList(error: string): Pick<AdapterCandidate, 'name' | 'backend'>[] {
  return [...error.matchAll(/^ \* backend: '(.*)', name: '(.*)'$/gm)].map(([, backend, name]) => ({
    backend,
    name,
  }));
}

/** Dawn's warnings about drivers, without those about limits that it lowers by design. */
function driverMessages(stderr: string): string[] {
  return stderr
    .split('\n')
    .filter((line) => line.startsWith('Warning: ') && !line.includes('artificially reduced'))
    .map((line) => line.slice('Warning: '.length));
}

async function openCandidate({ name, backend, source }: AdapterCandidate): Promise<OpenedAdapter> {
  const { adapter, error, languageFeatures } = await ask(
    source === 'bundled-software' ? 'bundled' : 'system',
    name,
  );
  if (!adapter) throw new Error(error || 'the driver does not start');
  const isSoftware = source !== 'gpu' || adapter.info.isFallbackAdapter;
  const libc = await openLibc();
  return {
    adapter,
    requestDevice(descriptor) {
      const request = () => adapter.requestDevice(descriptor);
      return libc && isSoftware ? libc.runAside(shaderCacheEnvironment(), request).value : request();
    },
    summary: summarize(adapter, { name, backend, source, isSoftware }),
    languageFeatures,
  };
}

interface Answer {
  adapter: GPUAdapter | null;
  languageFeatures: ReadonlySet<string>;
  /** Dawn's message where it refused. */
  error: string;
  /** What Dawn and the drivers wrote to stderr. */
  stderr: string;
}

/** Asks a Dawn instance for the adapter of a name, with the system's drivers or with the bundled one only. */
async function ask(driver: 'system' | 'bundled', name: string): Promise<Answer> {
  const gpu = await dawnInstance(driver, name);
  const languageFeatures = gpu.wgslLanguageFeatures;
  const libc = await openLibc();
  const bundled = driver === 'bundled' ? findBundledDriver() : undefined;
  const environment = bundled ? driverEnvironment((await unpackDriver(bundled)).manifest) : {};
  // Dawn looks for adapters before this call returns, so nothing else runs while stderr is set aside.
  const request = (): Promise<GPUAdapter | null> =>
    gpu.requestAdapter({ powerPreference: 'high-performance' });
  const { value, stderr } = libc?.runAside(environment, request) ?? { value: request(), stderr: '' };
  return value.then(
    (adapter) => ({ adapter, languageFeatures, error: '', stderr }),
    (error: unknown) => ({ adapter: null, languageFeatures, error: String(error), stderr }),
  );
}

/** Tells the Vulkan loader, old or new, to look at one driver only. */
function driverEnvironment(manifest: string): Record<string, string> {
  return { VK_DRIVER_FILES: manifest, VK_ICD_FILENAMES: manifest };
}

/**
 * Gives lavapipe a folder of its own, by vector width, for the shaders that it has compiled. In Mesa's common one it may
 * find those of a process with another width, which it takes for its own, and which compute half of the results.
 * The driver reads this when a device is made.
 */
function shaderCacheEnvironment(): Record<string, string> {
  const { LP_NATIVE_VECTOR_WIDTH: width = 'native', MESA_SHADER_CACHE_DIR: chosen } = process.env;
  return chosen ? {} : { MESA_SHADER_CACHE_DIR: join(cacheFolders()[0], `mesa-vectors-${width}`) };
}

const kInstances: unique symbol = Symbol.for('paella.dawn-instances');
const keeper = globalThis as typeof globalThis & { [kInstances]?: Map<string, GPU> };

/**
 * Dawn's instances are kept on `globalThis` until the process ends: one that is garbage collected while a device
 * lives crashes the process. They don't keep it running.
 */
async function dawnInstance(driver: 'system' | 'bundled', name: string): Promise<GPU> {
  const dawn = await loadDawn();
  const instances = (keeper[kInstances] ??= new Map());
  const key = `${driver}: ${name}`;
  let instance = instances.get(key);
  if (!instance) {
    instance = dawn.create([...togglesFor(name), `adapter=${name}`]);
    instances.set(key, instance);
  }
  return instance;
}

let dawn: Promise<typeof import('webgpu')> | undefined;

/** Loads Dawn and defines the WebGPU names that browsers have and Node lacks, such as `GPUBufferUsage`. */
function loadDawn(): Promise<typeof import('webgpu')> {
  dawn ??= import('webgpu').then(
    (module) => {
      for (const [name, value] of Object.entries(module.globals)) {
        if (!(name in globalThis)) Object.defineProperty(globalThis, name, { value, configurable: true });
      }
      return module;
    },
    (cause: unknown) => {
      const [reason] = messageOf(cause).split('\n');
      throw new PaellaError('no-adapter', `the npm package webgpu does not load: ${reason}`, {
        cause,
        fix: 'Install it with `npm install webgpu@0.6.2`; it runs on Linux and Windows (x64, arm64) and macOS',
      });
    },
  );
  return dawn;
}

async function noAdapter(request: string, { found }: Survey, failures: string[]): Promise<PaellaError> {
  const names = found.length ? `found ${found.map(({ name }) => name).join(', ')}` : 'found none';
  const reasons = failures.length ? ` (${failures.join('; ')})` : '';
  let fix = "Ask for 'auto', 'gpu', 'software' or a part of one of these names";
  if (!found.length) fix = `Install your GPU's driver${await softwareHint()}`;
  else if (request === 'gpu')
    fix = "Install your GPU's driver (`paella doctor` says more), or ask for 'auto'";
  return new PaellaError('no-adapter', `no WebGPU adapter fits '${request}': ${names}${reasons}`, { fix });
}

/** What is missing for the software adapter that could be had here, as the end of a sentence. */
async function softwareHint(): Promise<string> {
  if (process.platform !== 'linux') return '';
  if (process.arch !== 'x64') return ', or mesa-vulkan-drivers 23 or newer to compute on the processor';
  const missing = findBundledDriver() ? installKoffi : installBundledDriver;
  return (await openLibc()) && findBundledDriver() ? '' : `, or \`${missing}\` to compute on the processor`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
