import { computed, effect, signal } from '@preact/signals';
import type { DrawSettings } from '../engine/protocol.js';
import { info } from './engine.js';

/** What the form holds. */
export interface Settings extends DrawSettings {
  prompt: string;
  /** The ending of the caption that names a style; '' leaves the choice to the model. */
  style: string;
  count: number;
  /** Keep the seed for the next picture instead of rolling a new one. */
  seedLocked: boolean;
}

const STORED = 'paella-settings';

/** Those of a first visit, until the model is there. */
export const initial: Settings = {
  prompt: 'a red apple',
  negative: '',
  style: '',
  seed: rollSeed(),
  seedLocked: false,
  count: 1,
  size: [64, 64],
  steps: 12,
  renoiseSteps: 11,
  temperature: [0.7, 0.3],
  cfg: 8,
};

/** What the reader chose, at this visit or an earlier one. */
const chosen = signal<Partial<Settings>>(stored());

/** How the model was made to draw. */
const ofModel = computed((): Partial<Settings> => {
  if (!info.value) return {};
  const { imageSize, defaults } = info.value.model;
  return { ...defaults, size: imageSize };
});

/** What is chosen, over what the model was made for. */
export const settings = computed((): Settings => ({ ...initial, ...ofModel.value, ...chosen.value }));

export function change(part: Partial<Settings>): void {
  chosen.value = { ...chosen.peek(), ...part };
}

/** More or fewer steps; as many of them as before are left without renoising. */
export function changeSteps(steps: number): void {
  const before = settings.peek();
  const renoiseSteps = steps - (before.steps - before.renoiseSteps);
  change({
    steps,
    renoiseSteps: Number.isNaN(renoiseSteps) ? before.renoiseSteps : Math.max(0, renoiseSteps),
  });
}

export function rollSeed(): number {
  return Math.floor(Math.random() * 2 ** 32);
}

/** The prompt with the ending that names the style. */
export function captionOf(prompt: string, style: string): string {
  return style === '' || prompt.trim() === '' ? prompt : `${prompt.trim()}, ${style}`;
}

/** What is not a matter of the model. */
const lasting: readonly string[] = ['prompt', 'count', 'seed', 'seedLocked'] satisfies (keyof Settings)[];

/** Draws as the model was made to. */
export function useModelSettings(): void {
  const kept = Object.entries(chosen.peek()).filter(([key]) => lasting.includes(key));
  chosen.value = Object.fromEntries(kept);
}

/** Begins to keep the settings for the next visit. */
export function keepSettings(): void {
  effect(() => {
    try {
      localStorage.setItem(STORED, JSON.stringify(chosen.value));
    } catch {
      // private windows may have no storage: the next visit begins anew
    }
  });
}

function stored(): Partial<Settings> {
  try {
    const found = JSON.parse(localStorage.getItem(STORED) ?? '{}') as Partial<Settings>;
    // An empty number field became null.
    return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== null));
  } catch {
    return {}; // private windows may have no storage, and others may have written there
  }
}
