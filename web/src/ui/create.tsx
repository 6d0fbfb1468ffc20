import type { JSX } from 'preact';
import { phase } from '../state/engine.js';
import { cancel, draw, drawing, isDrawing, progress, shownPicture, shownStep } from '../state/drawing.js';
import { captionOf, change, settings } from '../state/settings.js';
import { Picture } from './picture.js';

export function Create(): JSX.Element {
  return (
    <div class="create">
      <Controls />
      <Stage />
    </div>
  );
}

function Controls(): JSX.Element {
  const { prompt, style, count, seed } = settings.value;
  const submit = (event: Event): void => {
    event.preventDefault();
    void draw({ kind: 'generate', prompt: captionOf(prompt, style), count });
  };
  return (
    <form class="controls" onSubmit={submit}>
      <label for="prompt">Prompt</label>
      <input
        id="prompt"
        value={prompt}
        autocomplete="off"
        required
        onInput={(event) => change({ prompt: event.currentTarget.value })}
      />
      <label for="seed">Seed</label>
      <input
        id="seed"
        type="number"
        min="0"
        max={2 ** 32 - 1}
        required
        value={seed}
        onInput={(event) => change({ seed: event.currentTarget.valueAsNumber })}
      />
      {isDrawing.value ? (
        <button type="button" onClick={() => void cancel()}>
          Stop
        </button>
      ) : (
        <button type="submit" class="primary" disabled={phase.value.kind !== 'ready'}>
          Generate
        </button>
      )}
    </form>
  );
}

function Stage(): JSX.Element {
  const now = drawing.value;
  const trail = now?.trails[shownPicture.value];
  const image = shownStep.value === null ? now?.result?.images[shownPicture.value] : undefined;
  return (
    <section class="stage" aria-label="Picture">
      <Picture image={image ?? trail?.images.at(shownStep.value ?? -1)} label="The drawn picture" />
      <progress max={1} value={progress.value} aria-label="Steps done" />
      <p role="status">
        {isDrawing.value && `Step ${trail?.images.length ?? 0} of ${now!.steps}`}
        {now?.trouble?.message}
        {now?.result && `Done in ${now.result.seconds.toFixed(1)} s`}
      </p>
    </section>
  );
}
