/** The kernel suite without peers, case by case, for a page or its worker that shows them as they are measured. */
import { PaellaError } from '@paella/tensor';
import { cases } from '../cases/kernels.mjs';
import { measureCeilings } from '../ceilings.mjs';
import { runCase, withCeilings } from '../run.mjs';
import copy from '../wgsl/copy.wgsl';
import fma from '../wgsl/fma.wgsl';

/**
 * @typedef {import('../schema.mjs').CaseResult} CaseResult
 * @typedef {import('../schema.mjs').Results} Results
 */

/**
 * @typedef {object} SuiteOptions
 * @property {string} filter only cases whose names contain it
 * @property {number} rounds at most, of a case
 *
 * @typedef {{ kind: 'begun', ceilings: Results['ceilings'], cases: number }
 *   | { kind: 'measured', result: CaseResult }
 *   | { kind: 'left', name: string, why: string }} SuiteReport
 */

/** Of a case's rounds, in ms: people wait for it. */
const BUDGET = 3000;

/**
 * @param {import('@paella/tensor').Device} device
 * @param {SuiteOptions} options
 * @param {{ signal: AbortSignal, onReport: (report: SuiteReport) => void }} run it stops between two cases, and reports
 *   nothing where there are none
 * @throws PaellaError `aborted` if the signal fires, `device-lost`, `out-of-memory`, `validation`
 */
export async function runKernelSuite(device, { filter, rounds }, { signal, onReport }) {
  const wanted = filter.toLowerCase();
  const chosen = cases.filter(({ name }) => name.toLowerCase().includes(wanted));
  if (chosen.length === 0) return;
  const ceilings = await measureCeilings(device.info.name, { fma, copy });
  onReport({ kind: 'begun', ceilings, cases: chosen.length });
  for (const [i, one] of chosen.entries()) {
    if (signal.aborted) throw new PaellaError('aborted', `stopped after ${i} of ${chosen.length} cases`);
    try {
      const result = await runCase(one, device, [], { rounds, budgetMs: BUDGET });
      onReport({ kind: 'measured', result: withCeilings(result, ceilings) });
    } catch (error) {
      // A case that is too large for the adapter does no harm to others.
      if (!(error instanceof PaellaError) || error.code !== 'limits') throw error;
      onReport({ kind: 'left', name: one.name, why: error.message });
    }
  }
}
