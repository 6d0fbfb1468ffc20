import type { Range } from './sample.js';

/** How pictures are drawn unless the caller says otherwise. */
export interface SamplerSettings {
  steps: number;
  /** Steps after which tokens are renoised. */
  renoiseSteps: number;
  temperature: Range;
  cfg: Range;
  /** What pictures should not show, unless the caller names something. */
  negative?: string;
  /** How an image vector is drawn for a prompt by a model with a prior. */
  prior?: { timesteps: number; cfg: number; sampler: 'ddpm' | 'ddim' };
  /**
   * Factors on the attention to the condition: `image` on the tokens of the last CLIP image, `text` on those before.
   * As many tokens as the text encoder's sequence has get one, counted from the end; those before stay as they are.
   */
  reweight?: { text: number; image: number };
}

/** Settings that were published with the released model. */
export const PRESETS = {
  /** The released notebook's: slower, with prior, negative prompt and attention re-weighting. */
  notebook: {
    steps: 32,
    renoiseSteps: 26,
    temperature: [1.2, 0.2],
    cfg: 8,
    negative: 'low quality, low resolution, bad image, blurry, blur',
    prior: { timesteps: 60, cfg: 3, sampler: 'ddpm' },
    reweight: { text: 1.2, image: 0.4 },
  },
  /** The 12 steps of the announcement in LAION's blog. */
  blog: {
    steps: 12,
    renoiseSteps: 11,
    temperature: [0.7, 0.3],
    cfg: 8,
    prior: { timesteps: 60, cfg: 3, sampler: 'ddpm' },
  },
} as const satisfies Record<string, SamplerSettings>;

export type Preset = keyof typeof PRESETS;

/** What the caller may choose of the settings. */
export interface SettingsOptions {
  preset?: Preset;
  steps?: number;
  renoiseSteps?: number;
  temperature?: Range;
}

/**
 * The settings that options leave open, from their preset or the model's own; `renoiseSteps` fits the steps.
 *
 * @param own of the model
 */
export function chooseSettings(own: SamplerSettings, options: SettingsOptions): SamplerSettings {
  const base: SamplerSettings = options.preset ? PRESETS[options.preset] : own;
  const steps = options.steps ?? base.steps;
  return {
    ...base,
    steps,
    renoiseSteps: options.renoiseSteps ?? Math.min(base.renoiseSteps, steps - 1),
    temperature: options.temperature ?? base.temperature,
  };
}
