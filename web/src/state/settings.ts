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

const initial: Settings = {
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

export function change(part: Partial<Settings>): void {
  settings.value = { ...settings.value, ...part };
}

export function rollSeed(): number {
  return Math.floor(Math.random() * 2 ** 32);
}

/** The prompt with the ending that names the style. */
export function captionOf(prompt: string, style: string): string {
  return style === '' || prompt.trim() === '' ? prompt : `${prompt.trim()}, ${style}`;
}

/** Takes over what the model was made for, unless an earlier visit left settings. */
effect(() => {
  if (info.value && !stored()) {
    const { imageSize, defaults } = info.value.model;
    settings.value = { ...settings.peek(), ...defaults, size: imageSize };
  }
});

/** Begins to keep the settings for the next visit. */
export function keepSettings(): void {
  effect(() => {
    localStorage.setItem(STORED, JSON.stringify(settings.value));
  });
}

function stored(): Partial<Settings> | null {
  try {
    return JSON.parse(localStorage.getItem(STORED) ?? 'null') as Partial<Settings> | null;
  } catch {
    return null; // private windows may have no storage, and others may have written there
  }
}
