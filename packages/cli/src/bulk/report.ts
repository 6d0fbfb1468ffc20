import type { Context } from '../context.js';
import type { Summary } from './job.js';

/** Prints what a process did; `what` names the items. */
export function report({ out }: Context, summary: Summary, what: string): void {
  const { tars, items, skipped, failed, failures, elsewhere, manifest } = summary;
  if (failed > 0) out.note(`${failed} failed: ${failures.slice(0, 5).join('; ')}`);
  out.result(summary, [
    `${items} ${what} made, ${skipped} there before, in ${tars.length === 1 ? '1 tar' : `${tars.length} tars`} of ${summary.out}`,
    ...(elsewhere > 0 ? [`${elsewhere} tars are being made by other processes`] : []),
    manifest ?? 'manifest.json comes with the last tar of all shards',
  ]);
}
