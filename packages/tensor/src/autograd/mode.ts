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

/** How many `autocast` calls are open. */
let casting = 0;

/** @internal Whether linear layers compute with f16 weights and keep f16 inputs. */
export const isAutocast = (): boolean => casting > 0;

/**
 * Mixed precision (arXiv 1710.03740): inside, linear layers whose sides divide by 4 read their weights rounded to f16,
 * and keep their inputs for backward as f16, which halves what those cost. Parameters, gradients, sums and everything
 * else stay f32. `fn` must be synchronous; use it around the forward pass, with a {@link GradScaler} around the loss.
 */
export function autocast<T>(fn: () => T): T {
  casting++;
  try {
    return fn();
  } finally {
    casting--;
  }
}
