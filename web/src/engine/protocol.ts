/** What crosses the border between the page and the worker that draws: plain data, and nothing of the engine's own. */
import type { CaseResult, Results, SuiteOptions, SuiteReport } from '@paella/bench/kernel-suite';
import type { DeviceInfo, KernelProfile, MemoryUse, Stats } from '@paella/tensor';
import type { Example, FineTuneStep, RgbaImage } from 'paella';

/** How pictures are drawn, whatever they show. */
export interface DrawSettings {
  seed: number;
  /** Width and height in pixels. */
  size: [number, number];
  /** What pictures should not show. */
  negative: string;
  steps: number;
  /** Steps after which tokens are renoised. */
  renoiseSteps: number;
  /** At the first and at the last step. */
  temperature: [number, number];
  /** Scale of the classifier-free guidance. */
  cfg: number;
}

/** What is drawn. */
export type Subject =
  | { kind: 'generate'; prompt: string; count: number }
  | {
      kind: 'inpaint';
      prompt: string;
      count: number;
      image: RgbaImage;
      /** Of the image's size, white where it is drawn anew. */
      mask: RgbaImage;
    }
  | {
      kind: 'outpaint';
      prompt: string;
      count: number;
      image: RgbaImage;
      /** Pixels that are added on each side. */
      sides: { left: number; right: number; top: number; bottom: number };
    }
  | { kind: 'vary'; prompt: string; count: number; images: RgbaImage[] }
  | {
      kind: 'morph';
      prompt: string;
      count: number;
      image: RgbaImage;
      /** Share of the tokens that are replaced before drawing, in (0,1]. */
      strength: number;
    }
  | { kind: 'interpolate'; from: string; to: string; frames: number };

export interface DrawRequest {
  subject: Subject;
  settings: DrawSettings;
  /** Take one picture after the other, which needs the least memory. */
  oneByOne?: boolean;
}

/** Where the model comes from. */
export interface ModelSource {
  /** By their paths: a whole model, or checkpoints that take the place of the site's own; null is the site's own. */
  files: ReadonlyMap<string, File> | null;
}

/** How far starting is: files are downloaded, then tensors go to the device, network by network. */
export type StartProgress =
  | { stage: 'download'; loadedBytes: number; totalBytes: number }
  | { stage: 'load'; part: string; done: number; total: number };

/** The pictures of a pass after a step. */
export interface StepReport {
  /** From 0. */
  step: number;
  steps: number;
  /** The number of the first picture: those that do not fit into one pass are drawn in several. */
  first: number;
  images: RgbaImage[];
  /** Of each picture, row by row. */
  tokens: Uint32Array[];
}

export interface DrawResult {
  images: RgbaImage[];
  tokens: Uint32Array[];
  /** Height and width in tokens. */
  grid: [number, number];
  seed: number;
  seconds: number;
}

/** What drawing took, and how sure the model was. */
export interface Inspection {
  /** Of each picture, after each step. */
  trails: {
    tokens: Uint32Array[];
    /** Of the distributions that the tokens were drawn from, in nats. */
    entropy: Float32Array[];
  }[];
  /** Time on the device, the most expensive kernel first; null where the adapter does not measure it. */
  kernels: KernelProfile[] | null;
  /** With everything that is measured, which makes it somewhat longer. */
  seconds: number;
  work: Pick<Stats, 'dispatches' | 'submits' | 'flops' | 'bytes' | 'pipelines'>;
  memory: MemoryUse;
}

/** What the U-Net is to learn, and how. */
export interface TrainRequest {
  examples: Example[];
  steps: number;
  learningRate: number;
  /** Pictures a step. */
  batchSize: number;
  seed: number;
  /** What is drawn before training, now and then, and at the end; with the form's settings. */
  sample: { prompt: string; every: number; settings: DrawSettings };
}

/** How training goes on. */
export type TrainReport =
  | ({ kind: 'step' } & FineTuneStep)
  /** `step`: how many were done. */
  | { kind: 'sample'; step: number; image: RgbaImage };

/** The model that draws, as much as the page has to know of it. */
export interface ModelInfo {
  name: string;
  /** Width and height of its pictures in pixels, and what others must be a multiple of. */
  imageSize: [number, number];
  sizeMultiple: number;
  /** Side of a token in pixels. */
  factor: number;
  numLabels: number;
  /** Whether it can take after pictures. */
  takesImages: boolean;
  /** Endings of captions that name a style. */
  styles: string[];
  defaults: Pick<DrawSettings, 'steps' | 'renoiseSteps' | 'temperature' | 'cfg'>;
}

export interface EngineInfo {
  adapter: DeviceInfo;
  model: ModelInfo;
}

export type {
  CaseResult,
  FineTuneStep,
  KernelProfile,
  MemoryUse,
  Results as BenchResults,
  SuiteOptions,
  SuiteReport,
};
