import { computed } from '@preact/signals';
import type { ModelInfo } from '../engine/protocol.js';
import { info } from './engine.js';
import { type Settings, settings } from './settings.js';

/** What the form accepts: beyond what is useful, before what no browser can hold. */
export const limits = {
  seed: [0, 2 ** 32 - 1],
  count: [1, 16],
  steps: [1, 100],
  renoiseSteps: [0, 99],
  cfg: [0, 30],
  temperature: [0.01, 5],
  side: [8, 1024],
} as const satisfies Record<string, readonly [number, number]>;

export type Problems = Partial<Record<keyof Settings, string>>;

/** What is wrong with the settings of the form, by field, in words. */
export const problems = computed<Problems>(() => problemsOf(settings.value, info.value?.model ?? null));

/** @param model null while none is loaded: then a size may still turn out not to fit */
function problemsOf(form: Settings, model: Pick<ModelInfo, 'sizeMultiple'> | null): Problems {
  const found: Problems = {};
  for (const key of ['seed', 'count', 'steps', 'renoiseSteps'] as const) {
    if (!isWithin(form[key], limits[key]) || !Number.isInteger(form[key])) {
      found[key] = `A whole number from ${limits[key].join(' to ')}.`;
    }
  }
  if (!isWithin(form.cfg, limits.cfg)) found.cfg = `A number from ${limits.cfg.join(' to ')}.`;
  if (!form.temperature.every((value) => isWithin(value, limits.temperature))) {
    found.temperature = `Two numbers from ${limits.temperature.join(' to ')}.`;
  }
  const multiple = model?.sizeMultiple ?? 1;
  const [, largest] = limits.side;
  if (!form.size.every((side) => isWithin(side, [multiple, largest]) && side % multiple === 0)) {
    found.size = `Multiples of ${multiple} from ${multiple} to ${largest}.`;
  }
  return found;
}

function isWithin(value: number, [least, most]: readonly [number, number]): boolean {
  return value >= least && value <= most;
}
