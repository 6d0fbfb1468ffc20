/** What a results file holds. */
import { z } from 'zod';

const positive = z.number().positive();
const timing = z.object({
  /** Medians over the rounds, of one run; with what else is needed to judge the spread. */
  ms: positive,
  minMs: positive,
  q1Ms: positive,
  q3Ms: positive,
  /** The processor's, of all threads; in Node only. A software adapter's work is in it, a GPU's is not. */
  cpuMs: z.number().nonnegative().optional(),
  gflops: z.number().nonnegative(),
  gbps: z.number().nonnegative(),
  rounds: z.int().positive(),
  repeats: z.int().positive(),
});
const caseResult = z.object({
  suite: z.string(),
  /** What it is summed up with. */
  group: z.string(),
  name: z.string(),
  /** Of one run: arithmetic by definition, and the bytes that it must move at least. */
  flops: z.number().nonnegative(),
  bytes: z.number().nonnegative(),
  ours: timing.extend({ dispatches: z.number().nonnegative(), pipelines: z.number().nonnegative() }),
  peers: z.record(z.string(), timing),
  /** Peers that did not take part, and why. */
  left: z.record(z.string(), z.string()),
  /** The best peer's time by ours, above 1 where ours is faster; null where no peer took part. */
  ratio: positive.nullable(),
  cpuRatio: positive.nullable(),
  /** Which ceiling binds, and how much of it was reached; above 1 where caches help. */
  bound: z.enum(['compute', 'memory']),
  ceilingShare: z.number().nonnegative(),
});
/** What has no peers: numbers by name, with their units in the names. */
const fact = z.object({ suite: z.string(), name: z.string(), ours: z.record(z.string(), z.number()) });

export const resultsSchema = z.object({
  adapter: z.string(),
  platform: z.string(),
  date: z.iso.datetime(),
  versions: z.record(z.string(), z.string()),
  /** Multiply-adds; copying by the faster of a kernel and a copy command; and by a kernel alone. */
  ceilings: z.object({ gflops: positive, gbps: positive, kernelGbps: positive }),
  cases: z.array(z.union([caseResult, fact])),
  /** Peers that could not be opened at all, and why. */
  missing: z.record(z.string(), z.string()),
});

/** @typedef {z.infer<typeof timing>} Timing */
/** @typedef {z.infer<typeof caseResult>} CaseResult */
/** @typedef {z.infer<typeof fact>} Fact */
/** @typedef {z.infer<typeof resultsSchema>} Results */
