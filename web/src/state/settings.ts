import { effect, signal } from '@preact/signals';
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

/** Those of a first visit. */
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

/** The settings of the last visit over those of the model, which come when it is there. */
export const settings = signal<Settings>({ ...initial, ...stored() });

let isChosen = stored() !== null;

export function change(part: Partial<Settings>): void {
  isChosen = true;
  settings.value = { ...settings.peek(), ...part };
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

/** How the model was made to draw, with everything that is not words. */
export function useModelSettings(): void {
  const { imageSize, defaults } = info.peek()!.model;
  change({ ...defaults, size: imageSize, style: '', negative: '' });
}

/** Takes over what the model was made for, unless an earlier visit or a link left settings. */
effect(() => {
  if (info.value && !isChosen) {
    const { imageSize, defaults } = info.value.model;
    settings.value = { ...settings.peek(), ...defaults, size: imageSize };
  }
});

/** Begins to keep the settings for the next visit. */
export function keepSettings(): void {
  effect(() => {
    try {
      localStorage.setItem(STORED, JSON.stringify(settings.value));
    } catch {
      // private windows may have no storage: the next visit begins anew
    }
  });
}

function stored(): Partial<Settings> | null {
  try {
    const found = JSON.parse(localStorage.getItem(STORED) ?? 'null') as Partial<Settings> | null;
    // An empty number field became null.
    return found && Object.fromEntries(Object.entries(found).filter(([, value]) => value !== null));
  } catch {
    return null; // private windows may have no storage, and others may have written there
  }
}
