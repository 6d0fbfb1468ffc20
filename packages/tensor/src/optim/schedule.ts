import { PaellaError } from '../errors.js';

/** The factor on the base learning rate at a step, counted from 0. */
export type Schedule = (step: number) => number;

/**
 * Linear warm-up, `(step + 1) / warmupSteps`, then 1.
 *
 * @param options.warmupSteps 0 for none
 */
export function constantSchedule({ warmupSteps = 0 }: { warmupSteps?: number } = {}): Schedule {
  checkSteps({ warmupSteps });
  return (step) => (step < warmupSteps ? (step + 1) / warmupSteps : 1);
}

/**
 * Linear warm-up, then half a cosine down to `minFactor` at `totalSteps` (arXiv 1608.03983, without restarts).
 */
export function cosineSchedule({
  warmupSteps = 0,
  totalSteps,
  minFactor = 0,
}: {
  warmupSteps?: number;
  totalSteps: number;
  minFactor?: number;
}): Schedule {
  checkSteps({ warmupSteps, totalSteps });
  return (step) => {
    if (step < warmupSteps) return (step + 1) / warmupSteps;
    const progress = Math.min(1, (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps));
    return minFactor + ((1 - minFactor) * (1 + Math.cos(Math.PI * progress))) / 2;
  };
}

function checkSteps(steps: Record<string, number>): void {
  for (const [name, value] of Object.entries(steps)) {
    if (Number.isInteger(value) && value >= 0) continue;
    throw new PaellaError('argument', `schedule: ${name} must be a whole number ≥ 0, got ${value}`);
  }
}
