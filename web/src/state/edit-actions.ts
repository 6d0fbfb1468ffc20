import { computed } from '@preact/signals';
import { isDrawing } from './drawing.js';
import { info } from './engine.js';
import { brush, canRedo, canUndo, maskTokens, paint, redo, resizeBrush, undo } from './mask.js';
import { type Action, addShortcuts } from './shortcuts.js';
import { editPicture } from './source.js';
import { shownImage } from './stage.js';
import { type Tool, tool, tools } from './tool.js';
import { tab } from './view.js';

const labels: Record<Tool, string> = {
  draw: 'Draw',
  inpaint: 'Inpaint',
  outpaint: 'Outpaint',
  vary: 'Vary',
  morph: 'Morph',
  interpolate: 'Interpolate',
};

const onCreate = computed(() => tab.value === 'create');
const canPaint = computed(() => onCreate.value && tool.value === 'inpaint' && maskTokens.value !== null);

export const toolActions: readonly Action[] = tools.map((name, i) => ({
  label: labels[name],
  keys: String(i + 1),
  enabled: onCreate,
  run: () => (tool.value = name),
}));

/** What can be done about the mask. */
export const maskActions = {
  brush: {
    label: 'Brush',
    keys: 'B',
    enabled: canPaint,
    run: () => (brush.value = { ...brush.value, erase: false }),
  },
  eraser: {
    label: 'Eraser',
    keys: 'E',
    enabled: canPaint,
    run: () => (brush.value = { ...brush.value, erase: true }),
  },
  smaller: { label: 'Smaller brush', keys: '[', enabled: canPaint, run: () => resizeBrush(-1) },
  larger: { label: 'Larger brush', keys: ']', enabled: canPaint, run: () => resizeBrush(1) },
  undo: {
    label: 'Undo',
    keys: 'Control+Z Meta+Z Z',
    enabled: computed(() => canPaint.value && canUndo.value),
    run: undo,
  },
  redo: {
    label: 'Redo',
    keys: 'Control+Shift+Z Meta+Shift+Z Shift+Z',
    enabled: computed(() => canPaint.value && canRedo.value),
    run: redo,
  },
  invert: {
    label: 'Invert',
    keys: 'I',
    enabled: canPaint,
    run: () => paint({ kind: 'invert', factor: info.value!.model.factor }),
  },
  fill: { label: 'Fill', keys: 'F', enabled: canPaint, run: () => paint({ kind: 'fill' }) },
  clear: { label: 'Clear', keys: 'X', enabled: canPaint, run: () => paint({ kind: 'clear' }) },
} satisfies Record<string, Action>;

/** The picture on the stage becomes what editing begins with. */
export const editShown: Action = {
  label: 'Edit this',
  keys: 'U',
  enabled: computed(() => onCreate.value && !isDrawing.value && shownImage.value !== undefined),
  run: () => editPicture(shownImage.value!),
};

addShortcuts([...toolActions, ...Object.values(maskActions), editShown]);
