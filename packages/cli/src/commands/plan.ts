import { byt5Tokenize, openModel, planMemory } from 'paella';
import type { Context } from '../context.js';
import type { GenerateOptions } from './generate.js';

export interface PlanOptions extends Pick<
  GenerateOptions,
  'model' | 'dtype' | 'size' | 'count' | 'adapter' | 'json' | 'quiet'
> {
  dryRun?: boolean;
}

/** `paella generate --dry-run`: what drawing would take, from the headers of the model's files alone. */
export async function planDrawing(
  context: Context,
  prompt: string | undefined,
  { model: where, dtype, size, count }: PlanOptions,
): Promise<void> {
  const { info } = await context.openDevice();
  const model = await openModel(where);
  const promptTokens = prompt === undefined ? undefined : byt5Tokenize(prompt).length;
  const plan = await planMemory(model, { adapter: info, dtype, size, count, promptTokens });
  const { parts, stages, peak, hostBytes, diskBytes, allowedBuffer } = plan;
  const [width, height] = size ?? model.imageSize;
  const problems = [...new Set(stages.flatMap(({ problem }) => problem ?? []))];
  const partRows = parts.map(({ part, parameters, diskBytes: read, deviceBytes, largestBuffer }) => [
    part,
    parameters.toLocaleString('en'),
    readable(read),
    readable(deviceBytes),
    readable(largestBuffer),
  ]);
  const stageRows = stages.map(({ stage, resident, lowMemory, problem }) => [
    stage,
    problem ? 'does not fit' : readable(resident),
    problem ? 'does not fit' : readable(lowMemory),
  ]);
  context.out.result({ model: model.name, adapter: info.name, dtype, width, height, count, ...plan }, [
    `${count} × ${width}×${height} with ${model.name}, weights in ${dtype}, on ${info.name}`,
    '',
    ...table([['network', 'parameters', 'on disk', 'on the device', 'largest buffer'], ...partRows]),
    '',
    ...table([
      ['the most on the device', 'all networks', 'one at a time'],
      ...stageRows,
      ['in all', readable(peak.resident), readable(peak.lowMemory)],
    ]),
    '',
    `Reads ${readable(diskBytes)} and holds at most ${readable(hostBytes)} of it in host memory at a time.`,
    `The adapter allows buffers of ${readable(allowedBuffer)}.`,
    ...problems,
  ]);
}

/** Bytes as people say them. */
function readable(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.ceil(bytes / 1e3)} kB`;
}

/** The first column to the left, numbers to the right. */
function table(rows: readonly string[][]): string[] {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  '),
  );
}
