import type { Kernel, Launch } from '@paella/kernels';
import { PaellaError } from '../errors.js';
import { ByPipeline, type Stats } from './executor.js';

export interface Pipeline {
  readonly launch: Launch;
  readonly layout: GPUBindGroupLayout;
  /** Rejects if the shader does not compile. */
  readonly ready: Promise<void>;
  /** Set once `ready` has resolved. */
  compiled?: GPUComputePipeline;
}

/**
 * Compiles each kernel once per set of constants, asynchronously and all in parallel: the compilation
 * starts when an operation is first recorded, long before its turn on the queue.
 */
export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #stats: Stats;
  readonly #pipelines = new ByPipeline<Pipeline>();
  readonly #modules = new Map<Kernel, GPUShaderModule>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  readonly uniformLayout: GPUBindGroupLayout;

  constructor(device: GPUDevice, stats: Stats) {
    this.#device = device;
    this.#stats = stats;
    this.uniformLayout = device.createBindGroupLayout({
      label: 'params',
      entries: [{ binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: 'uniform' } }],
    });
  }

  get(launch: Launch): Pipeline {
    return this.#pipelines.get(launch, this.#compile);
  }

  readonly #compile = (launch: Launch): Pipeline => {
    this.#stats.pipelines++;
    const { kernel, constants } = launch;
    const layout = this.#layout(kernel);
    const module = this.#module(kernel);
    const compiled = this.#device.createComputePipelineAsync({
      label: kernel.name,
      layout: this.#device.createPipelineLayout({
        bindGroupLayouts: kernel.paramWords ? [layout, this.uniformLayout] : [layout],
      }),
      compute: { module, entryPoint: 'main', constants },
    });
    const ready = compiled.then(
      (done) => {
        pipeline.compiled = done;
      },
      async (cause: Error) => {
        // A lost device has no compilation info either; then the cause is all there is to say.
        const info = await module.getCompilationInfo().catch(() => null);
        const lines = info?.messages.map((m) => `${m.lineNum}:${m.linePos} ${m.type}: ${m.message}`);
        const reason = lines?.length ? lines.join('\n') : cause.message;
        const values = Object.entries(constants).map(([name, value]) => `${name}=${value}`);
        const variant = `${kernel.name}(${values.join(',')})`;
        throw new PaellaError('validation', `kernel ${variant} does not compile: ${reason}`, { cause });
      },
    );
    // The rejection is reported by whoever waits for the pipeline; nobody waiting is not a crash.
    ready.catch(() => {});
    const pipeline: Pipeline = { launch, layout, ready };
    return pipeline;
  };

  #module(kernel: Kernel): GPUShaderModule {
    let module = this.#modules.get(kernel);
    if (!module) {
      module = this.#device.createShaderModule({ label: kernel.name, code: kernel.source });
      this.#modules.set(kernel, module);
    }
    return module;
  }

  #layout(kernel: Kernel): GPUBindGroupLayout {
    const signature = kernel.bindings.map(({ access }) => access).join();
    let layout = this.#layouts.get(signature);
    if (!layout) {
      layout = this.#device.createBindGroupLayout({
        label: signature,
        entries: kernel.bindings.map(({ access }, binding) => ({
          binding,
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type: access === 'read' ? 'read-only-storage' : 'storage' },
        })),
      });
      this.#layouts.set(signature, layout);
    }
    return layout;
  }
}
