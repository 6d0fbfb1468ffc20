/** How many `noGrad` calls are open; operations record themselves while there is none. */
let suspended = 0;

/** @internal Whether operations record how to differentiate them. */
export const isGradEnabled = (): boolean => suspended === 0;

/**
 * Runs `fn` without recording: its results do not require gradients, and nothing is kept for backward.
 *
 * `fn` may be async; then recording is off until its promise settles, for everything that runs meanwhile. So
 * await it before other work that wants gradients.
 */
export function noGrad<T>(fn: () => T): T {
  suspended++;
  let pending = false;
  try {
    const result = fn();
    if (result instanceof Promise) {
      pending = true;
      return result.finally(() => suspended--) as T;
    }
    return result;
  } finally {
    if (!pending) suspended--;
  }
}

/** @internal Records although a `noGrad` is open: backward passes run without recording, and some recompute. */
export function withGrad<T>(fn: () => T): T {
  const before = suspended;
  suspended = 0;
  try {
    return fn();
  } finally {
    suspended = before;
  }
}
