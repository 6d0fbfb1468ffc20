import type { JSX } from 'preact';
import { info } from '../state/engine.js';
import { usesSource } from '../state/tool.js';
import { Gallery } from './gallery.js';
import { later } from './later.js';
import { PromptForm } from './prompt-form.js';
import { Stage } from './stage.js';

const SourcePane = later(() => import('./edit/source-pane.js').then((module) => module.SourcePane));

/** Words in, pictures out. */
export function Create(): JSX.Element {
  return (
    <div class="create">
      <PromptForm />
      <div class="middle">
        {usesSource.value && info.value && <SourcePane />}
        <Stage />
      </div>
      <Gallery />
    </div>
  );
}
