/** What wrappers of a whole model put before every name. */
const PREFIXES = ['module.', '_orig_mod.'];

/**
 * Takes `module.` (DistributedDataParallel) and `_orig_mod.` (torch.compile) off the names where all of them
 * carry it.
 */
export function stripPrefixes(names: string[]): string[] {
  const prefix = PREFIXES.find((text) => names.length > 0 && names.every((name) => name.startsWith(text)));
  return prefix === undefined ? names : stripPrefixes(names.map((name) => name.slice(prefix.length)));
}
