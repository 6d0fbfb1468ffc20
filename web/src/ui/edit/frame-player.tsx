import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { shownPicture, shownStep } from '../../state/drawing.js';
import { frameMs } from '../../state/playback.js';

/** Plays the pictures of an interpolation, there and back, or goes to one of them. */
export function FramePlayer({ count }: { count: number }): JSX.Element {
  const isPlaying = useSignal(false);
  useEffect(() => {
    if (!isPlaying.value) return undefined;
    let by = 1;
    const go = (): void => {
      const next = shownPicture.value + by;
      if (next < 0 || next >= count) by = -by;
      show(shownPicture.value + by);
    };
    const timer = setInterval(go, frameMs());
    return () => clearInterval(timer);
  }, [isPlaying.value, count]);
  return (
    <div class="frame-player" role="group" aria-label="Frames">
      <button type="button" onClick={() => (isPlaying.value = !isPlaying.value)}>
        {isPlaying.value ? 'Pause frames' : 'Play frames'}
      </button>
      <input
        type="range"
        min="1"
        max={count}
        value={shownPicture.value + 1}
        aria-label="Frame"
        aria-valuetext={`${shownPicture.value + 1} of ${count}`}
        onInput={(event) => {
          isPlaying.value = false;
          show(event.currentTarget.valueAsNumber - 1);
        }}
      />
      <output>
        {shownPicture.value + 1}/{count}
      </output>
    </div>
  );
}

function show(frame: number): void {
  shownPicture.value = frame;
  shownStep.value = null;
}
