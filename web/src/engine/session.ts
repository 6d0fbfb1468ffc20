import { Device } from '@paella/tensor';
import {
  type DownloadProgress,
  type Model,
  type Range,
  Pipeline,
  folderOfFiles,
  openModel,
  replacePart,
  storedFolder,
} from 'paella';
import type { EngineInfo, ModelInfo, ModelSource, StartProgress } from './protocol.js';

/** A device and the model on it: what everything that the engine does needs. */
export interface Session {
  device: Device;
  pipeline: Pipeline;
}

/**
 * Loads a model.
 *
 * @param device the one to load it to; a new one by default
 * @throws PaellaError `unsupported` without WebGPU, `no-adapter` without an adapter, `not-found`, `format` or
 *   `state-dict` if the files are no complete model
 */
export async function openSession(
  source: ModelSource,
  { device, onProgress }: { device?: Device; onProgress: (progress: StartProgress) => void },
): Promise<Session> {
  const opened = device ?? (await Device.create());
  try {
    const pipeline = await Pipeline.load(await modelOf(source, onProgress), {
      device: opened,
      onProgress: (progress) => onProgress({ stage: 'load', ...progress }),
    });
    return { device: opened, pipeline };
  } catch (error) {
    if (!device) opened.destroy();
    throw error;
  }
}

async function modelOf(source: ModelSource, onProgress: (progress: StartProgress) => void): Promise<Model> {
  const { files } = source;
  if (files && ['model.json', 'paella_v3.pt'].some((name) => files.has(name))) {
    return openModel(folderOfFiles(files));
  }
  let model = await openModel(await storedFolder('default', { onProgress: inAll(onProgress) }));
  for (const file of files?.values() ?? []) model = await replacePart(model, file);
  return model;
}

/** Files are downloaded side by side: what all of them together have. */
function inAll(onProgress: (progress: StartProgress) => void): (progress: DownloadProgress) => void {
  const all = new Map<string, DownloadProgress>();
  return (progress) => {
    all.set(progress.file, progress);
    let [loadedBytes, totalBytes] = [0, 0];
    for (const one of all.values()) {
      loadedBytes += one.loadedBytes;
      totalBytes += one.totalBytes ?? one.loadedBytes;
    }
    onProgress({ stage: 'download', loadedBytes, totalBytes });
  };
}

/** What the page has to know of a session. */
export const describeSession = ({ device, pipeline }: Session): EngineInfo => ({
  adapter: device.info,
  model: describeModel(pipeline.model, pipeline),
});

function describeModel(model: Model, pipeline: Pipeline): ModelInfo {
  const { name, imageSize, factor, numLabels, captions, sampler } = model;
  const [first, last] = [sampler.temperature].flat().slice(0, 2) as [number, number?];
  return {
    name,
    imageSize: [...imageSize],
    sizeMultiple: pipeline.sizeMultiple,
    factor,
    numLabels,
    takesImages: pipeline.takesImages,
    styles: [...captions.styles],
    defaults: {
      steps: sampler.steps,
      renoiseSteps: sampler.renoiseSteps,
      temperature: [first, last ?? first],
      cfg: startOf(sampler.cfg),
    },
  };
}

const startOf = (range: Range): number => (typeof range === 'number' ? range : range[0]);
