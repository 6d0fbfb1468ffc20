import type { JSX } from 'preact';
import { shownPicture, shownStep } from '../state/drawing.js';
import { isPlaying, pause, play, showStep } from '../state/playback.js';
import { shown } from '../state/stage.js';

/** Goes through the steps of the picture on the stage, during a run too; at its end it follows what is drawn. */
export function Scrubber(): JSX.Element | null {
  const { trails, steps } = shown.value!;
  const there = trails[shownPicture.value].images.length;
  if (there < 2) return null;
  const step = (shownStep.value ?? there - 1) + 1;
  return (
    <div class="scrubber" role="group" aria-label="Steps of the picture">
      <button type="button" onClick={isPlaying.value ? pause : play}>
        {isPlaying.value ? 'Pause' : 'Play'}
      </button>
      <input
        type="range"
        min="1"
        max={there}
        value={step}
        aria-label="Shown step"
        aria-valuetext={`step ${step} of ${steps}`}
        onInput={(event) => {
          pause();
          showStep(event.currentTarget.valueAsNumber - 1);
        }}
      />
      <span aria-hidden="true">
        {step} of {steps}
      </span>
    </div>
  );
}
