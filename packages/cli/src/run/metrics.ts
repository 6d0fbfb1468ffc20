/** What a run measures: a line of JSON a step, and TensorBoard's events. */
import { PaellaError } from '@paella/tensor';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { RgbaImage } from 'paella';
import { writeResult } from '../files.js';
import { encodeImage } from '../image-file.js';
import type { RunFolder } from './folder.js';
import { fileHeader, imageEvent, restartEvent, scalarEvent } from './tensorboard.js';

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
    const goesOn = existsSync(this.#rows);
    if (goesOn) {
      const kept = readMetrics(this.#rows).filter(({ step }) => step <= from);
      writeResult(this.#rows, kept.map((row) => `${JSON.stringify(row)}\n`).join(''));
    }
    const now = seconds();
    // Readers take the files of a folder in the order of their names.
    const name = `events.out.tfevents.${Math.floor(now)}.${hostname()}.${process.pid}`;
    this.#events = run.file('tensorboard', name);
    appendFileSync(this.#events, fileHeader(now));
    if (goesOn) appendFileSync(this.#events, restartEvent(now, from + 1));
  }

  /** Adds a row. Values that are not finite are left out: JSON has no form for them. */
  write(step: number, metrics: Metrics): void {
    const time = seconds();
    const finite = Object.fromEntries(Object.entries(metrics).filter(([, value]) => Number.isFinite(value)));
    appendFileSync(this.#rows, `${JSON.stringify({ step, time, ...finite })}\n`);
    appendFileSync(this.#events, scalarEvent(time, step, finite));
  }

  /** Saves a picture of a step as `grids/<name>-<step>.png`. */
  picture(step: number, name: string, image: RgbaImage): string {
    const path = this.#run.file('grids', `${name}-${String(step).padStart(8, '0')}.png`);
    const png = encodeImage(path, image);
    writeResult(path, png);
    appendFileSync(this.#events, imageEvent(seconds(), step, name, { ...image, png }));
    return path;
  }
}

const seconds = (): number => Date.now() / 1000;

/**
 * Rows of a metrics file; a last line that a killed process left unfinished is dropped.
 *
 * @throws PaellaError `format` naming the line if another one is damaged
 */
export function readMetrics(path: string): MetricsRow[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  // A whole file ends with a line break, so that what follows the last one is unfinished.
  return lines.slice(0, -1).map((line, i) => {
    try {
      return JSON.parse(line) as MetricsRow;
    } catch (cause) {
      throw new PaellaError('format', `${path} is damaged in line ${i + 1}`, {
        fix: 'Delete that line.',
        cause,
      });
    }
  });
}
