import { inspectCheckpoint } from '@paella/tensor';
import { type IdentifiedModel, identifyModel } from 'paella';
import type { CommonOptions, Context } from '../context.js';

export interface InspectOptions extends CommonOptions {
  all?: boolean;
}

/** Rows of the table without `--all`. */
const shownTensors = 20;

/** Buffers of batch norm, which are no parameters. */
const statistics = /\.(running_mean|running_var|num_batches_tracked)$/;

const kinds: Record<IdentifiedModel['kind'], string> = {
  paella: 'Paella U-Net',
  vqgan: 'Paella VQGAN',
  byt5: 'ByT5 text encoder',
  clip: 'CLIP (open_clip)',
  prior: 'Paella prior (CLIP text to image vectors)',
  'image-encoder': 'Image encoder (in the place of CLIP)',
  unknown: 'not a model that Paella knows',
};

/** `paella inspect`: what a checkpoint is, from its header alone. */
export async function inspect({ out }: Context, file: string, options: InspectOptions): Promise<void> {
  const { container, wrapper, tensors, metadata } = await inspectCheckpoint(file);
  const { kind, config } = identifyModel(tensors);
  const trained = tensors.filter(({ name }) => !statistics.test(name));
  const parameters = trained.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);

  const shown = options.all ? tensors : tensors.slice(0, shownTensors);
  const rest = tensors.length - shown.length;
  const nameWidth = Math.max(...shown.map(({ name }) => name.length), 0);
  const dtypes = [...new Set(tensors.map(({ dtype }) => dtype))].join(', ');
  out.result({ format: container, wrapper: wrapper ?? null, kind, config, parameters, metadata, tensors }, [
    `Format      ${container}${wrapper ? `, wrapped in ${wrapper}` : ''}`,
    `Model       ${kinds[kind]}`,
    `Tensors     ${tensors.length} (${dtypes})`,
    `Parameters  ${parameters.toLocaleString('en')}`,
    ...Object.entries(metadata).map(([key, value]) => `${key.padEnd(11)} ${value}`),
    ...(config ? ['', 'Configuration (? where shapes do not tell)', ...configLines(config)] : []),
    '',
    ...shown.map(({ name, shape, dtype }) => `${name.padEnd(nameWidth)}  ${dtype}  [${shape.join(', ')}]`),
    ...(rest > 0 ? [`… and ${rest} more; --all lists them`] : []),
  ]);
}

function configLines(config: object, indent = '  '): string[] {
  return Object.entries(config as Record<string, unknown>).flatMap(([key, value]) => {
    const isNested = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isNested
      ? [`${indent}${key}`, ...configLines(value, `${indent}  `)]
      : [`${indent}${key}: ${JSON.stringify(value).replaceAll('null', '?').replaceAll('"', '')}`];
  });
}
