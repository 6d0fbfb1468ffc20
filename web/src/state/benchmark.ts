import { computed, signal } from '@preact/signals';
import * as engine from '../engine/client.js';
import type { BenchResults, CaseResult, SuiteOptions } from '../engine/protocol.js';
import { info } from './engine.js';
import { type Trouble, troubleOf } from './trouble.js';

/** What is measured, or was measured last. */
export interface Benchmark {
  /** What the adapter can do at most; null until it is known. */
  ceilings: BenchResults['ceilings'] | null;
  /** Cases in all. */
  total: number;
  results: CaseResult[];
  /** Cases that this adapter cannot take, and why. */
  left: { name: string; why: string }[];
  state: 'running' | 'stopping' | 'stopped' | 'done';
  trouble: Trouble | null;
}

export const options = signal<SuiteOptions>({ filter: '', rounds: 5 });
export const benchmark = signal<Benchmark | null>(null);
export const isMeasuring = computed(() => ['running', 'stopping'].includes(benchmark.value?.state ?? ''));

/** Measures the kernels that {@link options} name; they appear in {@link benchmark} one by one. */
export async function measure(): Promise<void> {
  if (isMeasuring.value) return;
  benchmark.value = { ceilings: null, total: 0, results: [], left: [], state: 'running', trouble: null };
  const update = (change: Partial<Benchmark>): void => {
    benchmark.value = { ...benchmark.value!, ...change };
  };
  try {
    await engine.bench(options.value, (report) => {
      const { results, left } = benchmark.value!;
      if (report.kind === 'begun') update({ ceilings: report.ceilings, total: report.cases });
      else if (report.kind === 'measured') update({ results: [...results, report.result] });
      else update({ left: [...left, report] });
    });
    update({ state: 'done' });
  } catch (error) {
    const trouble = troubleOf(error);
    update({ state: 'stopped', trouble: trouble.code === 'aborted' ? null : trouble });
  }
}

/** Stops after the case that is being measured. */
export async function stop(): Promise<void> {
  if (benchmark.value?.state !== 'running') return;
  benchmark.value = { ...benchmark.value, state: 'stopping' };
  await engine.cancel();
}

/** What was measured, in the form of the results of `npm run bench`; null before there is any. */
export const json = computed((): string | null => {
  const { ceilings, results } = benchmark.value ?? {};
  if (!ceilings || !results?.length) return null;
  const all: BenchResults = {
    adapter: info.value?.adapter.name ?? '',
    platform: navigator.userAgent,
    date: new Date().toISOString(),
    versions: {},
    ceilings,
    cases: results,
    missing: {},
  };
  return JSON.stringify(all, null, 1);
});
