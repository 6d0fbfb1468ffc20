import { expect } from 'vitest';
import type { Gradients } from './ranks-gradients.js';

/** What has to be true of the reports of two processes. */
export function checkGradients(all: readonly Gradients[]): void {
  for (const { scenarios, isMoved, afterSteps, afterFlip, twice } of all) {
    for (const [scenario, { error, isNaive, isRepeated }] of Object.entries(scenarios)) {
      // f16 has 11 bits, and is rounded twice.
      const isHalf = scenario === 'half precision';
      expect(error, scenario).toBeLessThan(isHalf ? 2 ** -10 : 1e-6);
      expect({ isNaive, isRepeated }, scenario).toEqual({ isNaive: !isHalf, isRepeated: true });
    }
    // The frozen one; one that all lack; one that none computes.
    expect(scenarios['one bucket'].lacking).toEqual([1]);
    expect(scenarios['gradients that some lack'].lacking).toEqual([1, 3]);
    expect(scenarios['accumulation'].lacking).toEqual([0, 1]);
    expect(scenarios['a bucket a parameter'].early).toBe(8);
    expect({ isMoved, afterSteps, afterFlip }).toEqual({
      isMoved: true,
      afterSteps: null,
      afterFlip: '4',
    });
    expect(twice.code).toBe('graph');
    expect(twice.ratio).toBeCloseTo(2, 5);
  }
}
