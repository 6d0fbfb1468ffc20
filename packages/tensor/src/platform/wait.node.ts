/** Longest nap in milliseconds, and the share of the time waited so far that it may take. */
const LONGEST = 1;
const SHARE = 1 / 8;

const never = new Int32Array(new SharedArrayBuffer(4));
let waiting = 0;
let since = 0;
let isNapping = false;

/**
 * Waits for a promise of Dawn's while a software adapter computes on the same processor.
 *
 * As long as a promise is open, Dawn asks for news in every turn of Node's event loop, which keeps a core busy: on two
 * cores, everything takes twice as long. So this thread naps in every turn: shortly at first, and never so long that
 * the result, or other work of this thread, would be late.
 */
export async function waitFor<T>(promise: Promise<T>): Promise<T> {
  if (waiting++ === 0) since = performance.now();
  if (!isNapping) setImmediate(nap);
  isNapping = true;
  try {
    return await promise;
  } finally {
    waiting--;
  }
}

function nap(): void {
  isNapping = waiting > 0;
  if (!isNapping) return;
  Atomics.wait(never, 0, 0, Math.min(LONGEST, (performance.now() - since) * SHARE));
  setImmediate(nap);
}
