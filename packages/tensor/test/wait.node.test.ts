import { describe, expect, it } from 'vitest';
import { waitFor } from '../src/platform/wait.node.js';

const after = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Counts turns of the event loop, which never rests meanwhile: Dawn asks for news in each. */
async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let isOpen = true;
  const tick = (): void => {
    turns++;
    if (isOpen) setImmediate(tick);
  };
  setImmediate(tick);
  await work();
  isOpen = false;
  return turns;
}

describe('waitFor', () => {
  it('leaves the processor to others', async () => {
    expect(await turnsDuring(() => waitFor(after(200)))).toBeLessThan(500);
    expect(await turnsDuring(() => Promise.all([1, 2, 3].map(() => waitFor(after(200)))))).toBeLessThan(500);
  });

  it('takes no naps when nobody waits', async () => {
    await waitFor(after(10));
    expect(await turnsDuring(() => after(200))).toBeGreaterThan(1000);
  });

  it('passes values and errors on', async () => {
    expect(await waitFor(Promise.resolve(7))).toBe(7);
    await expect(waitFor(Promise.reject(new Error('no')))).rejects.toThrow('no');
  });
});
