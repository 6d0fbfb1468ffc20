import {
  type AdapterSummary,
  type Check,
  type Device,
  PaellaError,
  type TunedChoice,
  environmentChecks,
  listAdapters,
} from '@paella/tensor';
import { Pipeline } from 'paella';
import type { Context, ModelOptions } from '../context.js';
import { reason } from '../files.js';

export interface DoctorOptions extends ModelOptions {
  tune?: boolean;
}

/** Why `auto` takes an adapter of each source, in the order that it prefers them. */
const reasons: Record<AdapterSummary['source'], string> = {
  gpu: 'a GPU comes first',
  'system-software': "there is no GPU, and the system's software Vulkan comes before SwiftShader",
  'bundled-software': 'there is neither a GPU nor another software Vulkan',
  browser: "it is the browser's choice",
};

/** The limits that decide which models fit. */
const keyLimits = [
  ['maxBufferSize', 'largest buffer'],
  ['maxStorageBufferBindingSize', 'largest tensor'],
  ['maxComputeInvocationsPerWorkgroup', 'invocations'],
  ['maxComputeWorkgroupStorageSize', 'workgroup memory'],
] as const;

/** The features that some kernel has a faster variant for. */
const keyFeatures = ['shader-f16', 'subgroups', 'timestamp-query', 'chromium-experimental-subgroup-matrix'];

/**
 * `paella doctor`: what there is to compute on, and what would make it faster.
 *
 * @returns whether an adapter was opened and computes
 */
export async function doctor(context: Context, options: DoctorOptions): Promise<boolean> {
  const checks = await environmentChecks();
  const adapters = await listAdapters().catch((): AdapterSummary[] => []);
  const { device, check } = await tryComputing(context);
  checks.push(check);
  const name = device?.info.name ?? null;
  const selected = adapters.find((adapter) => adapter.name === name);
  const why = selected ? reasonFor(options.adapter, selected) : null;
  const tuning = options.tune && device ? await tuneFor(options, device, context) : undefined;
  context.out.result({ adapters, selected: name, reason: why, checks, tuning }, [
    ...adapters.flatMap((adapter) => adapterLines(adapter, adapter === selected)),
    ...(selected ? [`Selected: ${selected.name}; ${why}.`, ''] : []),
    ...checks.flatMap(checkLines),
    ...(tuning ? tuningLines(tuning) : []),
  ]);
  return check.ok;
}

/** Opens the adapter that a command would open, and has it add a few numbers. */
async function tryComputing(context: Context): Promise<{ device: Device | null; check: Check }> {
  try {
    const device = await context.openDevice();
    const { name } = device.info;
    const values = [
      ...(await device
        .tensor([1, 2, 3])
        .add(device.tensor([4, 5, 6]))
        .data()),
    ];
    const detail = `${name} answers ${values.join(' ')} to 1 2 3 + 4 5 6`;
    return { device, check: { name: 'computing', ok: values.join() === '5,7,9', detail } };
  } catch (error) {
    const fix = error instanceof PaellaError ? error.fix : undefined;
    return {
      device: null,
      check: { name: 'computing', ok: false, detail: reason(error), ...(fix && { fix }) },
    };
  }
}

/** Times the variants of every kernel that drawing a picture has a choice of, and keeps the fastest for later. */
async function tuneFor(
  { model, dtype }: DoctorOptions,
  device: Device,
  { out }: Context,
): Promise<TunedChoice[]> {
  const pipeline = await Pipeline.load(model, { device, dtype });
  return device.tune(
    async () => {
      await pipeline.generate('a red apple', { seed: 1, steps: 2 });
    },
    {
      onProgress(done, total) {
        out.progress('tuning', done, total);
      },
    },
  );
}

function tuningLines(choices: readonly TunedChoice[]): string[] {
  if (choices.length === 0) return ['', 'Tuning: every kernel of this model has one variant here.'];
  const width = Math.max(...choices.map(({ key }) => key.length));
  return [
    '',
    'Tuning: milliseconds of each variant; the chosen one is used from now on.',
    ...choices.map(({ key, milliseconds, choice }) => {
      const times = Object.entries(milliseconds).map(([name, time]) => `${name} ${time.toFixed(3)}`);
      return `  ${key.padEnd(width)}  ${times.join('  ')}  → ${choice}`;
    }),
  ];
}

function reasonFor(request: string, { source }: AdapterSummary): string {
  if (request !== 'auto') return `--adapter ${request} asks for it`;
  const { PAELLA_ADAPTER: override } = process.env;
  return override ? `PAELLA_ADAPTER=${override} asks for it` : reasons[source];
}

function adapterLines(adapter: AdapterSummary, isSelected: boolean): string[] {
  const { name, backend, isSoftware, features, limits } = adapter;
  const has = keyFeatures.filter((feature) => features.includes(feature));
  return [
    `${isSelected ? '→' : ' '} ${name}`,
    `    ${[backend, isSoftware ? 'software' : 'hardware', ...has].filter(Boolean).join(', ')}`,
    `    ${keyLimits.map(([key, label]) => `${label} ${count(key, limits[key])}`).join(', ')}`,
    '',
  ];
}

function count(key: string, value: number): string {
  if (!key.endsWith('Size')) return String(value);
  return value >= 2 ** 20 ? `${Math.floor(value / 2 ** 20)} MiB` : `${value / 2 ** 10} KiB`;
}

function checkLines({ name, ok, detail, fix }: Check): string[] {
  return [`${ok ? '✓' : '✗'} ${name}: ${detail}`, ...(fix && !ok ? [`    ${fix}`] : [])];
}
