/** What a run measures: a line of JSON a step, and TensorBoard's events. */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import type { RgbaImage } from 'paella';
import { writeResult } from '../files.js';
import { encodeImage } from '../image-file.js';
import type { RunFolder } from './folder.js';
import { fileHeader, imageEvent, scalarEvent } from './tensorboard.js';

/** Measurements by name. */
export type Metrics = Record<string, number>;

export interface MetricsRow {
  step: number;
  /** When, in seconds since 1970. */
  time: number;
  [name: string]: number;
}

export class MetricsLog {
  readonly #rows: string;
  readonly #events: string;
  readonly #run: RunFolder;

  /** @param from the step that the run goes on from: later rows, of a part that is done again, are dropped */
  constructor(run: RunFolder, from: number) {
    this.#run = run;
    this.#rows = run.file('metrics.jsonl');
    if (existsSync(this.#rows)) {
      const kept = readMetrics(this.#rows).filter(({ step }) => step <= from);
      writeResult(this.#rows, kept.map((row) => `${JSON.stringify(row)}\n`).join(''));
    }
    const now = seconds();
    this.#events = run.file('tensorboard', `events.out.tfevents.${Math.floor(now)}.${process.pid}`);
    appendFileSync(this.#events, fileHeader(now));
  }

  write(step: number, metrics: Metrics): void {
    const time = seconds();
    const finite = Object.fromEntries(Object.entries(metrics).filter(([, value]) => Number.isFinite(value)));
    appendFileSync(this.#rows, `${JSON.stringify({ step, time, ...finite })}\n`);
    appendFileSync(this.#events, scalarEvent(time, step, finite));
  }

  /** Saves a picture of a step as `grids/step-….png`. */
  picture(step: number, name: string, image: RgbaImage): string {
    const path = this.#run.file('grids', `${name}-${String(step).padStart(8, '0')}.png`);
    const png = encodeImage(path, image);
    writeResult(path, png);
    appendFileSync(this.#events, imageEvent(seconds(), step, name, { ...image, png }));
    return path;
  }
}

const seconds = (): number => Date.now() / 1000;

/** Rows of a metrics file; a last line that a killed process left unfinished is dropped. */
export function readMetrics(path: string): MetricsRow[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.flatMap((line, i) => {
    if (line.trim() === '') return [];
    try {
      return [JSON.parse(line) as MetricsRow];
    } catch (error) {
      if (i >= lines.length - 2) return [];
      throw error;
    }
  });
}
