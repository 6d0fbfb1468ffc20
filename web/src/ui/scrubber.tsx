import type { JSX } from 'preact';
import { shownPicture, shownStep } from '../state/drawing.js';
import { isPlaying, pause, play, showStep } from '../state/playback.js';
import { shown } from '../state/stage.js';
import { Player } from './player.js';

/** Goes through the steps of the picture on the stage, during a run too; at its end it follows what is drawn. */
export function Scrubber(): JSX.Element | null {
  const { trails, steps } = shown.value!;
  const there = trails[shownPicture.value].images.length;
  if (there < 2) return null;
  const step = (shownStep.value ?? there - 1) + 1;
  return (
    <Player
      class="scrubber"
      label="Steps of the picture"
      play={{ label: isPlaying.value ? 'Pause' : 'Play', onToggle: isPlaying.value ? pause : play }}
      range={{
        label: 'Shown step',
        value: step,
        max: there,
        text: `step ${step} of ${steps}`,
        onGo: (value) => {
          pause();
          showStep(value - 1);
        },
      }}
    >
      <span aria-hidden="true">
        {step} of {steps}
      </span>
    </Player>
  );
}
