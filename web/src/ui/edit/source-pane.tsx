import type { ComponentType, JSX } from 'preact';
import { editShown } from '../../state/edit-actions.js';
import { info } from '../../state/engine.js';
import {
  MOST_SOURCES,
  cropSource,
  cropsOf,
  editFiles,
  removeSource,
  source,
  sources,
} from '../../state/source.js';
import { type Tool, tool } from '../../state/tool.js';
import { SelectField } from '../field.js';
import { Picture } from '../picture.js';
import { ActionButton } from './action-button.js';
import { CanvasPreview } from './canvas-preview.js';
import { MaskEditor } from './mask-editor.js';

const editors: Partial<Record<Tool, ComponentType>> = {
  inpaint: MaskEditor,
  outpaint: CanvasPreview,
  vary: Originals,
};

/** The picture that a tool begins with, and what the tool does to it. There must be a model. */
export function SourcePane(): JSX.Element {
  const Editor = editors[tool.value] ?? Original;
  return (
    <section class="source" aria-label="Picture to begin with">
      {source.value ? <Editor /> : <NoPicture />}
      <div class="source-bar">
        <label class="button">
          {buttonText()}
          <input
            type="file"
            accept="image/*"
            multiple={tool.value === 'vary'}
            onChange={({ currentTarget }) => {
              void editFiles([...currentTarget.files!]);
              currentTarget.value = ''; // so that the same file can be chosen again
            }}
          />
        </label>
        {source.value?.file && tool.value !== 'vary' && <Crop file={source.value.file} />}
      </div>
    </section>
  );
}

function buttonText(): string {
  if (!source.value) return 'Choose a picture';
  return tool.value === 'vary' ? 'Add a picture' : 'Choose another picture';
}

function NoPicture(): JSX.Element {
  return (
    <div class="no-picture">
      <p>No picture yet. Drop one here, paste one, choose a file, or take one from the gallery.</p>
      {editShown.enabled.value && <ActionButton action={{ ...editShown, label: 'Take the drawn picture' }} />}
    </div>
  );
}

/** Sizes that the file's picture can be drawn in. */
function Crop({ file }: { file: NonNullable<NonNullable<typeof source.value>['file']> }): JSX.Element {
  const { image } = source.value!;
  const { imageSize } = info.value!.model;
  const crops = cropsOf(file.size);
  const nameOf = ([width, height]: readonly number[]): string => `${width} × ${height}`;
  const describe = (size: readonly number[]): string => {
    if (nameOf(size) === nameOf(file.size)) return `${nameOf(size)}, as it is`;
    if (nameOf(size) === nameOf(imageSize)) return `${nameOf(size)}, the model’s size`;
    return nameOf(size);
  };
  return (
    <SelectField
      label="Scaled and cropped to"
      value={nameOf([image.width, image.height])}
      options={crops.map((size) => ({ value: nameOf(size), label: describe(size) }))}
      onChange={(value) => void cropSource(crops.find((size) => nameOf(size) === value)!)}
    />
  );
}

function Original(): JSX.Element {
  return (
    <div class="original">
      <Picture image={source.value!.image} label="Picture to begin with" />
    </div>
  );
}

function Originals(): JSX.Element {
  return (
    <ul class="originals" aria-label={`Pictures to begin with, at most ${MOST_SOURCES}`}>
      {sources.value.map(({ image, name }, i) => (
        <li key={i}>
          <Picture image={image} label={`${name}, picture ${i + 1}`} />
          <button type="button" onClick={() => removeSource(i)} aria-label={`Remove picture ${i + 1}`}>
            Remove
          </button>
        </li>
      ))}
    </ul>
  );
}
