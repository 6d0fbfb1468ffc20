/**
 * How a kernel over `[outer, length, inner]` reads its numbers. `T` is what one load brings, `S` what is
 * left when the lanes of a `T` that belong to one result are joined.
 */
export const LANES = {
  /** One number at a time: any shape, and the twin that the others are tested against. */
  scalar: `
    alias T = f32;
    alias S = f32;
    fn lanes_sum(v: T) -> S { return v; }
    fn lanes_max(v: T) -> S { return v; }`,
  /** Four numbers of one row: inner is 1 and length divisible by 4. */
  rows: `
    alias T = vec4f;
    alias S = f32;
    fn lanes_sum(v: T) -> S { return (v.x + v.y) + (v.z + v.w); }
    fn lanes_max(v: T) -> S { return max(max(v.x, v.y), max(v.z, v.w)); }`,
  /** One number of each of four neighbouring columns: inner is divisible by 4. */
  columns: `
    alias T = vec4f;
    alias S = vec4f;
    fn lanes_sum(v: T) -> S { return v; }
    fn lanes_max(v: T) -> S { return v; }`,
};

export type Lanes = keyof typeof LANES;

/** The widest loads that a shape allows. */
export function lanesFor(length: number, inner: number): Lanes {
  if (inner === 1) return length % 4 === 0 ? 'rows' : 'scalar';
  return inner % 4 === 0 ? 'columns' : 'scalar';
}

/** `length` and `inner` counted in `T`s. */
export function inLanes(lanes: Lanes, length: number, inner: number): { length: number; inner: number } {
  return {
    length: lanes === 'rows' ? length / 4 : length,
    inner: lanes === 'columns' ? inner / 4 : inner,
  };
}
