import { kernelsHash } from '@paella/kernels';
import { notice, readStored, writeStored } from '#platform';

/** The variants that were faster than the planner's guess, by key of the choice. */
export type Tuning = Map<string, string>;

const FORMAT = 'paella-tuning/1';

/** Where the tuning of an adapter is kept: a name that only its own driver has. */
export function tuningName(info: {
  vendor: string;
  architecture: string;
  name: string;
  driver: string;
}): string {
  const { vendor, architecture, name, driver } = info;
  const words =
    [vendor, architecture, name, driver]
      .join(' ')
      .toLowerCase()
      .match(/[a-z0-9.]+/g) ?? [];
  return `tuning-${words.join('-').slice(0, 180)}.json`;
}

/** What was kept of earlier measurements; nothing if the kernels have changed since, or the file is damaged. */
export async function loadTuning(name: string): Promise<Tuning> {
  const text = await readStored(name);
  if (text === null) return new Map();
  const choices = parse(text);
  if (!choices) {
    notice(`paella: ignoring the damaged ${name}; \`paella doctor --tune\` measures again`);
    return new Map();
  }
  return choices;
}

/** Keeps a tuning; where there is no place for it, it lasts as long as the device. */
export async function saveTuning(name: string, tuning: Tuning): Promise<void> {
  const kept = { format: FORMAT, kernels: kernelsHash(), choices: Object.fromEntries(tuning) };
  await writeStored(name, `${JSON.stringify(kept, null, 2)}\n`);
}

/** Null if the text is nothing that {@link saveTuning} wrote. */
function parse(text: string): Tuning | null {
  let kept: unknown;
  try {
    kept = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isRecord(kept) || !isRecord(kept['choices'])) return null;
  const choices = Object.entries(kept['choices']);
  if (!choices.every((entry): entry is [string, string] => typeof entry[1] === 'string')) return null;
  const isCurrent = kept['format'] === FORMAT && kept['kernels'] === kernelsHash();
  return new Map(isCurrent ? choices : []);
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
