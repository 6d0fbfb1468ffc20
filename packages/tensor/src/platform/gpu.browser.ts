/** WebGPU in browsers: `navigator.gpu`, and a clear word where it is missing. */
import { PaellaError } from '../errors.js';
import {
  checkRequest,
  halfFloatCheck,
  isSoftwareName,
  notice,
  summarize,
  type AdapterSummary,
  type Check,
  type OpenedAdapter,
} from './gpu.js';

export * from './gpu.js';

/**
 * Opens an adapter that has not made a device yet. A browser shows one or two adapters and hides most of their
 * names, so a name is matched against all that it tells.
 *
 * @param request 'auto' | 'gpu' | 'software' | a part of an adapter's vendor, architecture or description
 * @param _ordinal has no meaning here: a page sees one adapter of a kind
 * @throws PaellaError `unsupported` where the page has no WebGPU, `no-adapter` where none fits, `argument` for ''
 */
export async function openAdapter(request: string, _ordinal = 0): Promise<OpenedAdapter> {
  checkRequest(request);
  const seen: string[] = [];
  for (const options of adapterOptions(request)) {
    const opened = await open(options);
    if (!opened) continue;
    if (fits(request, opened)) {
      if (request === 'auto' && opened.summary.isSoftware) {
        notice(`paella: the browser offers no GPU, computing on the processor with ${opened.summary.name}`);
      }
      return opened;
    }
    seen.push(opened.summary.name);
  }
  const found = seen.length ? `found ${[...new Set(seen)].join(', ')}` : 'found none';
  throw new PaellaError('no-adapter', `no WebGPU adapter fits '${request}': ${found}`, {
    fix: seen.length
      ? "Ask for 'auto' or a part of one of these names"
      : 'Turn on hardware acceleration in the browser, or update the graphics driver (chrome://gpu says why)',
  });
}

/** Describes the adapters that the browser shows, best first. */
export async function listAdapters(): Promise<AdapterSummary[]> {
  const summaries: AdapterSummary[] = [];
  for (const options of adapterOptions('auto')) {
    const opened = await open(options);
    if (opened && !summaries.some(({ name }) => name === opened.summary.name)) summaries.push(opened.summary);
  }
  return summaries;
}

/** Looks at what decides whether this page has WebGPU. Never throws. */
export async function environmentChecks(): Promise<Check[]> {
  const missing = missingGpu();
  if (missing) return [{ name: 'navigator.gpu', ok: false, detail: missing.message, fix: missing.fix }];
  const checks: Check[] = [{ name: 'navigator.gpu', ok: true, detail: 'the page has WebGPU' }];
  const opened = await openAdapter('auto').catch((error: unknown) => error);
  if (opened instanceof Error) {
    checks.push({ name: 'adapter', ok: false, detail: opened.message });
  } else {
    const { summary } = opened as OpenedAdapter;
    checks.push({
      name: 'GPU',
      ok: !summary.isSoftware,
      detail: summary.name,
      ...(summary.isSoftware && { fix: 'Turn on hardware acceleration in the browser' }),
    });
    checks.push(halfFloatCheck(summary));
  }
  return checks;
}

/** The ways to ask, in the order of trying; browsers answer null to those they can't serve. */
function adapterOptions(request: string): GPURequestAdapterOptions[] {
  const fast: GPURequestAdapterOptions = { powerPreference: 'high-performance' };
  const software: GPURequestAdapterOptions = { forceFallbackAdapter: true };
  if (request === 'gpu') return [fast, {}];
  return request === 'software' ? [software, fast] : [fast, {}, software];
}

function fits(request: string, { adapter, summary }: OpenedAdapter): boolean {
  if (request === 'auto') return true;
  if (request === 'gpu') return !summary.isSoftware;
  if (request === 'software') return summary.isSoftware;
  const { vendor, architecture, device, description } = adapter.info;
  const text = [vendor, architecture, device, description].join(' ').toLowerCase();
  return text.includes(request.trim().toLowerCase());
}

async function open(options: GPURequestAdapterOptions): Promise<OpenedAdapter | undefined> {
  const missing = missingGpu();
  if (missing) throw missing;
  const adapter = await navigator.gpu.requestAdapter(options);
  if (!adapter) return undefined;
  const { vendor, architecture, device, description, isFallbackAdapter } = adapter.info;
  const name = description || device || [vendor, architecture].filter(Boolean).join(' ') || 'unnamed adapter';
  const isSoftware = isFallbackAdapter || isSoftwareName(`${name} ${architecture}`);
  const summary = summarize(adapter, { name, source: 'browser', isSoftware });
  return {
    adapter,
    requestDevice: (descriptor) => adapter.requestDevice(descriptor),
    summary,
    languageFeatures: navigator.gpu.wgslLanguageFeatures,
  };
}

/** Why the page has no WebGPU, or undefined where it has. */
function missingGpu(): PaellaError | undefined {
  if (typeof navigator !== 'undefined' && navigator.gpu) return undefined;
  if (!globalThis.isSecureContext) {
    return new PaellaError('unsupported', 'WebGPU is hidden from pages that are not secure', {
      fix: 'Serve the page over https, or from localhost',
    });
  }
  return new PaellaError('unsupported', 'this browser has no WebGPU (navigator.gpu is missing)', {
    fix:
      'Use Chrome or Edge 113, Safari 26, Firefox 141 or newer; on Linux, Chrome may need ' +
      '--enable-unsafe-webgpu or chrome://flags/#enable-unsafe-webgpu',
  });
}
