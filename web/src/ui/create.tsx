import type { JSX } from 'preact';
import { Gallery } from './gallery.js';
import { PromptForm } from './prompt-form.js';
import { SourcePane } from './edit/source-pane.js';
import { Stage } from './stage.js';

/** Words in, pictures out. */
export function Create(): JSX.Element {
  return (
    <div class="create">
      <PromptForm />
      <div class="middle">
        <SourcePane />
        <Stage />
      </div>
      <Gallery />
    </div>
  );
}
