import { Device, PaellaError } from '@paella/tensor';
import { Pipeline, type RgbaImage } from 'paella';

const element = (id: string): HTMLElement => document.getElementById(id)!;
const form = element('form') as HTMLFormElement;
const button = element('generate') as HTMLButtonElement;
const canvas = element('picture') as HTMLCanvasElement;
const progress = element('progress') as HTMLProgressElement;
const status = element('status');
const promptField = element('prompt') as HTMLInputElement;
const seedField = element('seed') as HTMLInputElement;

function show(image: RgbaImage): void {
  canvas.width = image.width;
  canvas.height = image.height;
  const pixels = new ImageData(new Uint8ClampedArray(image.data), image.width, image.height);
  canvas.getContext('2d')!.putImageData(pixels, 0, 0);
}

function report(error: unknown): void {
  status.textContent =
    error instanceof PaellaError ? error.message : `Something went wrong: ${String(error)}`;
}

async function generate(pipeline: Pipeline, prompt: string, seed: number): Promise<void> {
  button.disabled = true;
  const start = performance.now();
  const { images } = await pipeline.generate(prompt, {
    seed,
    onStep: async ({ step, steps, preview }) => {
      status.textContent = `Step ${step + 1} of ${steps}`;
      progress.value = (step + 1) / steps;
      show((await preview())[0]);
    },
  });
  show(images[0]);
  status.textContent = `Done in ${((performance.now() - start) / 1000).toFixed(1)} s`;
}

try {
  const device = await Device.create();
  const { name, isSoftware } = device.info;
  status.textContent = `Loading the model on ${name}${isSoftware ? ' (software)' : ''} …`;
  const pipeline = await Pipeline.load('default', {
    device,
    onProgress: ({ part, done, total }) => {
      if (part === 'unet') progress.value = done / total;
    },
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    generate(pipeline, promptField.value, seedField.valueAsNumber)
      .catch(report)
      .finally(() => {
        button.disabled = false;
      });
  });
  button.disabled = false;
  status.textContent = `Ready on ${name}${isSoftware ? ' (software)' : ''}`;
} catch (error) {
  report(error);
}
