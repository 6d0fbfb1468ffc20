import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { running } from '../engine/client.js';
import { phase } from '../state/engine.js';
import {
  type TrainOptions,
  type Training,
  backToOriginal,
  download,
  isTrained,
  isTraining,
  most,
  options,
  problems,
  stop,
  train,
  training,
} from '../state/train.js';
import { NumberField, TextField } from './field.js';
import { LineChart } from './line-chart.js';
import { short } from './numbers.js';
import { Picture } from './picture.js';
import { Lessons } from './train-lessons.js';
import { TroubleBox } from './trouble.js';

/** Teaches the model a handful of pictures, here in the browser. */
export function Train(): JSX.Element {
  return (
    <div class="train">
      <Lessons />
      <Settings />
      {training.value && <Progress of={training.value} />}
      {isTrained.value && !isTraining.value && <Learned />}
    </div>
  );
}

function Settings(): JSX.Element {
  const { steps, learningRate, batchSize, prompt, sampleEvery } = options.value;
  const change = (part: Partial<TrainOptions>): void => {
    options.value = { ...options.value, ...part };
  };
  const problem = (field: keyof TrainOptions): string | undefined => problems.value.get(field);
  const isReady = phase.value.kind === 'ready' && running.value === 0 && problems.value.size === 0;
  return (
    <section aria-labelledby="train-settings">
      <h2 id="train-settings">Training</h2>
      <form
        class="fields"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          if (isReady) void train();
        }}
      >
        <div class="row">
          <NumberField
            label="Steps"
            min={1}
            max={most.steps}
            value={steps}
            problem={problem('steps')}
            onChange={(value) => change({ steps: value })}
          />
          <NumberField
            label="Batch size"
            min={1}
            max={most.batchSize}
            value={batchSize}
            problem={problem('batchSize')}
            onChange={(value) => change({ batchSize: value })}
          />
          <NumberField
            label="Learning rate"
            min={0}
            max={0.1}
            step={0.00005}
            value={learningRate}
            problem={problem('learningRate')}
            onChange={(value) => change({ learningRate: value })}
          />
        </div>
        <p class="note">
          More steps or a higher rate teach the new pictures better, and let it forget more of the others.
        </p>
        <div class="row">
          <TextField
            label="Sample prompt"
            placeholder="The first caption"
            value={prompt}
            onChange={(value) => change({ prompt: value })}
          />
          <NumberField
            label="Steps per sample"
            min={1}
            max={most.steps}
            value={sampleEvery}
            problem={problem('sampleEvery')}
            onChange={(value) => change({ sampleEvery: value })}
          />
        </div>
        {isTraining.value ? (
          <button
            type="button"
            class="large"
            onClick={() => void stop()}
            disabled={training.value?.state === 'stopping'}
          >
            Stop
          </button>
        ) : (
          <button type="submit" class="primary large" disabled={!isReady}>
            {isTrained.value ? 'Train on' : 'Train'}
          </button>
        )}
        <p class="note">
          {problems.value.get('lessons') ??
            'Nothing else can be drawn while it trains; pictures stay on this device.'}
        </p>
      </form>
    </section>
  );
}

function Progress({ of: now }: { of: Training }): JSX.Element {
  const { steps, total, samples, prompt, trouble } = now;
  return (
    <section class="wide" aria-labelledby="train-progress">
      <h2 id="train-progress">Progress</h2>
      {isTraining.value && (
        <progress
          max={total}
          value={steps.length > 0 ? steps.length : undefined}
          aria-label="Training steps"
        />
      )}
      <p role="status">{statusOf(now)}</p>
      <p class="note">{factsOf(now)}</p>
      <div role="alert">{trouble && <TroubleBox trouble={trouble} onRemedy={() => void train()} />}</div>
      {samples.length > 0 && (
        <ol class="samples" aria-label={`Samples of “${prompt}”`}>
          {samples.map(({ step, image }) => (
            <li key={step}>
              <Picture image={image} label={`“${prompt}” after ${step} steps`} />
              <span aria-hidden="true">{step === 0 ? 'before' : step}</span>
            </li>
          ))}
        </ol>
      )}
      {steps.length > 1 && <Losses of={steps} />}
    </section>
  );
}

function statusOf({ steps, total, state, samples }: Training): string {
  if (state === 'stopping') return 'Stopping after this step …';
  if (state === 'done') return `Learned in ${total} steps.`;
  if (state === 'stopped') return `Stopped after ${steps.length} of ${total} steps.`;
  if (samples.length === 0) return 'Drawing a sample before it learns …';
  if (steps.length === 0)
    return 'Taking the first step, which prepares the graphics device: this takes longest …';
  // Every tenth is told to those who listen.
  return `Step ${Math.max(1, Math.floor(steps.length / 10) * 10)} of ${total} …`;
}

function factsOf({ steps, total, elapsed, stepsPerSecond }: Training): string {
  const last = steps.at(-1);
  const facts = [
    `${steps.length} / ${total} steps`,
    `${elapsed.toFixed(elapsed < 10 ? 1 : 0)} s`,
    ...(stepsPerSecond === null ? [] : [`${short(stepsPerSecond)} steps/s`]),
    ...(last ? [`loss ${short(last.loss)}`, `${Math.round(100 * last.accuracy)} % of the tokens right`] : []),
  ];
  return facts.join(' · ');
}

/** Noise differs from step to step, and the loss with it: the mean of so many shows where it goes. */
const WINDOW = 10;

function Losses({ of: steps }: { of: Training['steps'] }): JSX.Element {
  const { x, lines } = useMemo(() => {
    const losses = steps.map(({ loss }) => loss);
    const means = losses.map((_, i) => {
      const some = losses.slice(Math.max(0, i + 1 - WINDOW), i + 1);
      return some.reduce((sum, loss) => sum + loss, 0) / some.length;
    });
    return {
      x: steps.map(({ step }) => step + 1),
      lines: [
        { label: `Mean of ${WINDOW}`, values: means },
        { label: 'Each step', values: losses },
      ],
    };
  }, [steps]);
  return <LineChart label="Loss: lower is better" xLabel="Step" x={x} lines={lines} />;
}

function Learned(): JSX.Element {
  return (
    <section class="wide" aria-labelledby="train-learned">
      <h2 id="train-learned">What it learned</h2>
      <p class="note">
        The Create tab draws with it now, until you go back or leave the page. The weights are a safetensors
        file: drop it on this page to have them again.
      </p>
      <div class="row">
        <button type="button" disabled={running.value > 0} onClick={() => void download()}>
          Download the weights
        </button>
        <button type="button" disabled={running.value > 0} onClick={() => void backToOriginal()}>
          Back to the original
        </button>
      </div>
    </section>
  );
}
