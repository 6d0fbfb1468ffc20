import type { JSX } from 'preact';
import { toolActions } from '../../state/edit-actions.js';
import { type Tool, tool, tools } from '../../state/tool.js';

const purposes: Record<Tool, string> = {
  draw: 'Draws a picture for the prompt.',
  inpaint: 'Draws a part of a picture anew: paint over it, and say what it should show.',
  outpaint: 'Draws what lies around a picture.',
  vary: 'Draws pictures that show what yours show, in other ways.',
  morph: 'Draws the prompt over the structure of a picture.',
  interpolate: 'Draws the way from one prompt to another.',
};

/** What the form draws: one of the tools. */
export function ToolSwitch(): JSX.Element {
  return (
    <fieldset class="tools">
      <legend>Tool</legend>
      <div class="segments">
        {tools.map((name, i) => {
          const { label, keys } = toolActions[i];
          return (
            <label key={name} class="segment" title={`${label} (${keys})`}>
              <input
                type="radio"
                name="tool"
                value={name}
                checked={tool.value === name}
                aria-keyshortcuts={keys}
                aria-describedby="tool-purpose"
                onChange={() => (tool.value = name)}
              />
              <span>{label}</span>
            </label>
          );
        })}
      </div>
      <p id="tool-purpose" class="note">
        {purposes[tool.value]}
      </p>
    </fieldset>
  );
}
