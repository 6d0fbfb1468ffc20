/**
 * Between neighbours in proportion.
 *
 * @param {readonly number[]} values in any order, at least one
 * @param {number} part 0 for the smallest, 0.5 for the median, 1 for the largest
 */
export function quantile(values, part) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = part * (sorted.length - 1);
  const low = Math.floor(at);
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}
