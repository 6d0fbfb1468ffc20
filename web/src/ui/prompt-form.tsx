import { computed } from '@preact/signals';
import type { JSX } from 'preact';
import { cancel, draw, isDrawing } from '../state/drawing.js';
import { phase } from '../state/engine.js';
import { change, settings } from '../state/settings.js';
import { chosenSubject, missing } from '../state/subject.js';
import { tool } from '../state/tool.js';
import { problems } from '../state/validation.js';
import { ToolSwitch } from './edit/tool-switch.js';
import { TextField } from './field.js';
import { later } from './later.js';
import { SettingsFields } from './settings-fields.js';

const ToolFields = later(async () => (await import('./edit/tool-fields.js')).ToolFields);

const EXAMPLES = ['a red apple', 'a smiling cat', 'a blue whale', 'a slice of pizza', 'a rocket', 'a cactus'];

const promptProblem = computed(() =>
  settings.value.prompt.trim() === '' && tool.value !== 'vary' ? 'Describe what to draw.' : undefined,
);

/** What keeps the form from drawing, for people; '' if nothing does. */
const obstacle = computed(() => {
  if (missing.value) return missing.value;
  if (promptProblem.value) return promptProblem.value;
  const [problem] = Object.values(problems.value);
  return problem ? 'Correct the marked setting first.' : '';
});

/** What is to be drawn, and how. */
export function PromptForm(): JSX.Element {
  const submit = (event: Event): void => {
    event.preventDefault();
    if (phase.value.kind === 'ready' && !obstacle.value) void draw(chosenSubject());
  };
  return (
    <form
      class="controls"
      aria-label="What to draw"
      noValidate
      onSubmit={submit}
      onKeyDown={(event) => {
        if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) submit(event);
      }}
    >
      <ToolSwitch />
      <TextField
        label="Prompt"
        rows={2}
        value={settings.value.prompt}
        problem={promptProblem.value}
        onChange={(prompt) => change({ prompt })}
      />
      {tool.value === 'draw' ? <Examples /> : <ToolFields />}
      <DrawButton />
      <SettingsFields />
    </form>
  );
}

function Examples(): JSX.Element {
  return (
    <ul class="chips" aria-label="Examples of prompts">
      {EXAMPLES.map((prompt) => (
        <li key={prompt}>
          <button type="button" class="chip" onClick={() => change({ prompt })}>
            {prompt}
          </button>
        </li>
      ))}
    </ul>
  );
}

/** One element for both, so that the focus stays where it is. */
function DrawButton(): JSX.Element {
  const isRunning = isDrawing.value;
  const isReady = phase.value.kind === 'ready';
  const stop = (event: MouseEvent): void => {
    event.preventDefault(); // it submits again before the click has ended
    if (event.detail < 2) void cancel(); // the second click of a double click still meant to begin
  };
  return (
    <>
      <button
        type={isRunning ? 'button' : 'submit'}
        class={isRunning ? 'large' : 'primary large'}
        disabled={!isRunning && (!isReady || obstacle.value !== '')}
        aria-describedby={obstacle.value ? 'obstacle' : undefined}
        aria-keyshortcuts={isRunning ? 'Escape' : 'Control+Enter Meta+Enter'}
        onClick={isRunning ? stop : undefined}
      >
        {isRunning ? 'Stop' : 'Generate'}
      </button>
      {obstacle.value && !promptProblem.value && (
        <p id="obstacle" class="note">
          {obstacle.value}
        </p>
      )}
    </>
  );
}
