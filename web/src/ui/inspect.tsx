import type { JSX } from 'preact';
import { running } from '../engine/client.js';
import { isDrawing } from '../state/drawing.js';
import {
  drewAnother,
  isMeasuring,
  measure,
  measurement,
  snapshot,
  stopMeasuring,
} from '../state/inspection.js';
import { shown } from '../state/stage.js';
import { tab } from '../state/view.js';
import { ChosenPicture } from './inspect/chosen-picture.js';
import { Kernels, Work } from './inspect/costs.js';
import { DeviceFacts } from './inspect/device-facts.js';
import { Maps } from './inspect/maps.js';
import { StepChart } from './inspect/step-chart.js';
import { Scrubber } from './scrubber.js';
import { TroubleBox } from './trouble.js';

/** What is behind the picture on the stage: its tokens step by step, how sure the model was, and what it cost. */
export function Inspect(): JSX.Element {
  const { result } = measurement.value ?? {};
  return (
    <div class="inspect">
      <section class="wide" aria-label="Steps and tokens">
        {snapshot.value ? (
          <>
            <div class="bar">
              <ChosenPicture now={shown.value!} />
              <Scrubber />
              <MeasureButton />
            </div>
            <MeasureStatus />
            <Maps at={snapshot.value} />
          </>
        ) : (
          <Nothing />
        )}
      </section>
      {snapshot.value && <StepChart />}
      {result && <Work of={result} />}
      {result && <Kernels of={result} />}
      <DeviceFacts />
    </div>
  );
}

function Nothing(): JSX.Element {
  return (
    <div class="nothing">
      <p>
        <strong>
          {isDrawing.value ? 'The first step is on its way.' : 'There is no picture to look into yet.'}
        </strong>{' '}
        Draw one, or open one of your gallery, and its tokens show up here, step by step.
      </p>
      <button type="button" class="primary" onClick={() => (tab.value = 'create')}>
        Go to Create
      </button>
    </div>
  );
}

function MeasureButton(): JSX.Element {
  if (isMeasuring.value) {
    return (
      <button type="button" onClick={() => void stopMeasuring()}>
        Stop
      </button>
    );
  }
  return (
    <button type="button" class="primary" disabled={running.value > 0} onClick={() => void measure()}>
      {measurement.value?.result ? 'Measure again' : 'Draw again and measure'}
    </button>
  );
}

function MeasureStatus(): JSX.Element {
  const { progress = 0, result, trouble } = measurement.value ?? {};
  return (
    <>
      {isMeasuring.value && <progress max={1} value={progress} aria-label="Measuring" />}
      <p class="note" role="status">
        {isMeasuring.value && 'Drawing once more, and timing every kernel …'}
        {result && `Measured: drawn again in ${result.seconds.toFixed(1)} s.`}
        {drewAnother.value &&
          ' It became another picture, because another model or another adapter draws now; the entropy is that picture’s.'}
        {!measurement.value &&
          'Measuring draws the same picture once more: it adds the entropy of every token, and the time of every kernel.'}
      </p>
      <div role="alert">{trouble && <TroubleBox trouble={trouble} onRemedy={() => void measure()} />}</div>
    </>
  );
}
