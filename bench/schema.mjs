/** What a results file holds. */
import * as v from 'valibot';

const finite = v.pipe(v.number(), v.finite());
const positive = v.pipe(finite, v.gtValue(0));
const atLeast0 = v.pipe(finite, v.minValue(0));
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const timing = v.object({
  /** Medians over the rounds, of one run; with what else is needed to judge the spread. */
  ms: positive,
  minMs: positive,
  q1Ms: positive,
  q3Ms: positive,
  /** The processor's, of all threads; in Node only. A software adapter's work is in it, a GPU's is not. */
  cpuMs: v.optional(atLeast0),
  gflops: atLeast0,
  gbps: atLeast0,
  rounds: count,
  repeats: count,
});
const caseResult = v.object({
  suite: v.string(),
  /** What it is summed up with. */
  group: v.string(),
  name: v.string(),
  /** Of one run: arithmetic by definition, and the bytes that it must move at least. */
  flops: atLeast0,
  bytes: atLeast0,
  ours: v.object({ ...timing.entries, dispatches: atLeast0, pipelines: atLeast0 }),
  peers: v.record(v.string(), timing),
  /** Peers that did not take part, and why. */
  left: v.record(v.string(), v.string()),
  /** The best peer's time by ours, above 1 where ours is faster; null where no peer took part. */
  ratio: v.nullable(positive),
  cpuRatio: v.nullable(positive),
  /** Which ceiling binds, and how much of it was reached; above 1 where caches help. */
  bound: v.picklist(['compute', 'memory']),
  ceilingShare: atLeast0,
});
/** What has no peers: numbers by name, with their units in the names. */
const fact = v.object({ suite: v.string(), name: v.string(), ours: v.record(v.string(), finite) });

const resultsSchema = v.object({
  adapter: v.string(),
  platform: v.string(),
  date: v.pipe(v.string(), v.isoTimestamp()),
  versions: v.record(v.string(), v.string()),
  /** Multiply-adds; copying by the faster of a kernel and a copy command; and by a kernel alone. */
  ceilings: v.object({ gflops: positive, gbps: positive, kernelGbps: positive }),
  cases: v.array(v.union([caseResult, fact])),
  /** Peers that could not be opened at all, and why. */
  missing: v.record(v.string(), v.string()),
});

/**
 * Checks what a results file holds.
 *
 * @param {unknown} results
 * @throws Error saying what is wrong, and where
 */
export function parseResults(results) {
  const parsed = v.safeParse(resultsSchema, results);
  if (parsed.success) return parsed.output;
  throw new Error(`these are no results of a benchmark:\n${v.summarize(parsed.issues)}`);
}

/** @typedef {v.InferOutput<typeof timing>} Timing */
/** @typedef {v.InferOutput<typeof caseResult>} CaseResult */
/** @typedef {v.InferOutput<typeof fact>} Fact */
/** @typedef {v.InferOutput<typeof resultsSchema>} Results */
