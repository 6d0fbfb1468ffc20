/** What an adapter is and which one a request means: the part that Node and browsers share. */
import { PaellaError } from '../errors.js';

/** One WebGPU adapter, described. `limits` are counts and bytes, named as in WebGPU. */
export interface AdapterSummary {
  name: string;
  vendor: string;
  architecture: string;
  /** `vulkan`, `d3d12` or `metal`; browsers don't tell. */
  backend?: string;
  isSoftware: boolean;
  source: AdapterSource;
  features: string[];
  limits: Record<string, number>;
}

/** Where an adapter comes from, in the order that `auto` prefers them in Node. */
export type AdapterSource = 'gpu' | 'system-software' | 'bundled-software' | 'browser';

/** An adapter opened for one device: WebGPU adapters make one device each. */
export interface OpenedAdapter {
  adapter: GPUAdapter;
  /** Makes the device; in Node with what its driver must find in the environment meanwhile. */
  requestDevice(descriptor: GPUDeviceDescriptor): Promise<GPUDevice>;
  summary: AdapterSummary;
  /** What its shaders may use without asking for it, such as `subgroup_id`. */
  languageFeatures: ReadonlySet<string>;
}

/** One line of `paella doctor`. */
export interface Check {
  name: string;
  ok: boolean;
  detail: string;
  /** What would make it ok, or faster, as an imperative sentence. */
  fix?: string;
}

/** An adapter that is known by name before it is opened. */
export interface AdapterCandidate {
  name: string;
  backend: string;
  source: Exclude<AdapterSource, 'browser'>;
}

const softwareNames = /llvmpipe|lavapipe|swiftshader|basic render|\bwarp\b/i;
const preference: AdapterCandidate['source'][] = ['gpu', 'system-software', 'bundled-software'];

/** Whether a name or description belongs to an adapter that computes on the processor. */
export function isSoftwareName(name: string): boolean {
  return softwareNames.test(name);
}

/**
 * Refuses requests that could only be mistakes.
 *
 * @throws PaellaError `argument` for an empty request
 */
export function checkRequest(request: string): void {
  if (request.trim() === '') {
    throw new PaellaError('argument', 'adapter: expected a request, got an empty text', {
      fix: "Ask for 'auto', 'gpu', 'software' or a part of an adapter's name",
    });
  }
}

/**
 * The candidates that a request means, best first: hardware before the system's software before the bundled one,
 * and in the order found within each (Dawn lists faster hardware first).
 *
 * @param request 'auto' | 'gpu' | 'software' | a part of a name, case ignored
 * @param ordinal which of those of the best source comes first; it counts on from the first after the last
 * @returns an empty list where nothing fits
 */
export function chooseAdapters(
  request: string,
  found: readonly AdapterCandidate[],
  ordinal = 0,
): AdapterCandidate[] {
  const wanted = request.trim().toLowerCase();
  const fits = (candidate: AdapterCandidate): boolean => {
    if (wanted === 'auto') return true;
    if (wanted === 'gpu') return candidate.source === 'gpu';
    if (wanted === 'software') return candidate.source !== 'gpu';
    return searchText(candidate).includes(wanted);
  };
  const rank = ({ source }: AdapterCandidate): number => preference.indexOf(source);
  const fitting = found.filter(fits).sort((a, b) => rank(a) - rank(b));
  const equal = fitting.filter(({ source }) => source === fitting[0].source);
  const first = equal.length > 0 ? ordinal % equal.length : 0;
  return [...equal.slice(first), ...equal.slice(0, first), ...fitting.slice(equal.length)];
}

/** Lavapipe calls itself llvmpipe; people ask for either. */
function searchText({ name }: AdapterCandidate): string {
  const text = name.toLowerCase();
  return text.includes('llvmpipe') ? `${text} lavapipe` : text;
}

/** Describes an adapter that was opened. */
export function summarize(
  adapter: GPUAdapter,
  known: Pick<AdapterSummary, 'name' | 'source' | 'isSoftware' | 'backend'>,
): AdapterSummary {
  const limits: Record<string, number> = {};
  for (const key in adapter.limits) {
    const value = adapter.limits[key as keyof GPUSupportedLimits];
    if (typeof value === 'number') limits[key] = value;
  }
  return {
    ...known,
    vendor: adapter.info.vendor,
    architecture: adapter.info.architecture,
    features: [...adapter.features].sort(),
    limits,
  };
}

/** One line of {@link Check} for 16-bit floats on the adapter that `auto` would open. */
export function halfFloatCheck(summary: AdapterSummary): Check {
  const ok = summary.features.includes('shader-f16');
  return {
    name: 'shader-f16',
    ok,
    detail: ok
      ? `${summary.name} computes with 16-bit floats`
      : `${summary.name} computes with 32-bit floats only`,
    ...(!ok && { fix: 'Nothing to do: --dtype f16 holds weights in 16 bits without it' }),
  };
}

// oxlint-disable-next-line no-console -- the one place that browsers have for it, and stderr in Node
let show: (text: string) => void = (text) => console.error(text);
const shown = new Set<string>();

/**
 * Where one-line notices go: that `auto` fell to a software adapter, or that `PAELLA_ADAPTER` decided.
 * The default writes them to stderr (in a browser, to the console); pass `() => {}` for silence.
 */
export function setNoticeHandler(handler: (text: string) => void): void {
  show = handler;
}

/** Shows a notice once a process (or page). */
export function notice(text: string): void {
  if (shown.has(text)) return;
  shown.add(text);
  show(text);
}
