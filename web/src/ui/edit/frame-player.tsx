import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { shownPicture, shownStep } from '../../state/drawing.js';
import { frameMs } from '../../state/playback.js';
import { Player } from '../player.js';

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
  const frame = shownPicture.value + 1;
  return (
    <Player
      class="frame-player"
      label="Frames"
      play={{
        label: isPlaying.value ? 'Pause frames' : 'Play frames',
        onToggle: () => (isPlaying.value = !isPlaying.value),
      }}
      range={{
        label: 'Frame',
        value: frame,
        max: count,
        text: `${frame} of ${count}`,
        onGo: (value) => {
          isPlaying.value = false;
          show(value - 1);
        },
      }}
    >
      <output>
        {frame}/{count}
      </output>
    </Player>
  );
}

function show(frame: number): void {
  shownPicture.value = frame;
  shownStep.value = null;
}
