import type { ComponentChildren, JSX } from 'preact';
import { useId, useLayoutEffect, useRef } from 'preact/hooks';

interface FieldProps {
  label: string;
  /** What the field is for, under it. */
  hint?: string;
  /** What is wrong with its value. */
  problem?: string;
}

/** What a control needs to belong to its label, its hint and its problem. */
interface ControlProps {
  id: string;
  'aria-describedby': string | undefined;
  'aria-invalid': boolean | undefined;
}

/** A control with its label above, and its hint or what is wrong with its value below. */
function Field({
  label,
  hint,
  problem,
  children,
}: FieldProps & { children: (control: ControlProps) => ComponentChildren }): JSX.Element {
  const id = useId();
  const below = problem ?? hint;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({
        id,
        'aria-describedby': below ? `${id}-below` : undefined,
        'aria-invalid': problem ? true : undefined,
      })}
      {below && (
        <p id={`${id}-below`} class={problem ? 'problem' : 'note'}>
          {below}
        </p>
      )}
    </div>
  );
}

interface NumberFieldProps extends FieldProps {
  /** NaN where the field holds no number. */
  value: number;
  min: number;
  max: number;
  /** 1 by default. */
  step?: number;
  /** The end of a slider beside the field, which begins at `min`; no slider by default. */
  slideTo?: number;
  onChange: (value: number) => void;
}

/** A number, typed or slid to. The slider is a second way for pointers alone: keyboards have the arrows of the field. */
export function NumberField(props: NumberFieldProps): JSX.Element {
  const { value, min, max, step = 1, slideTo, onChange, ...field } = props;
  return (
    <Field {...field}>
      {(control) => (
        <div class="number">
          {slideTo !== undefined && (
            <input
              type="range"
              aria-hidden="true"
              tabIndex={-1}
              {...{ min, step, max: slideTo }}
              value={Number.isNaN(value) ? min : value}
              onInput={(event) => onChange(event.currentTarget.valueAsNumber)}
            />
          )}
          <NumberInput {...control} {...{ value, min, max, step, onChange }} />
        </div>
      )}
    </Field>
  );
}

/** Not overwritten while it holds the same number, or none: people type "1." on the way to "1.5". */
function NumberInput({
  value,
  onChange,
  ...rest
}: ControlProps & Pick<NumberFieldProps, 'value' | 'min' | 'max' | 'step' | 'onChange'>): JSX.Element {
  const input = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => {
    if (!Number.isNaN(value) && input.current!.valueAsNumber !== value) input.current!.value = String(value);
  }, [value]);
  return (
    <input
      {...rest}
      ref={input}
      type="number"
      inputMode="decimal"
      onInput={(event) => onChange(event.currentTarget.valueAsNumber)}
    />
  );
}

interface SelectFieldProps extends FieldProps {
  value: string;
  options: readonly { value: string; label: string }[];
  onChange: (value: string) => void;
}

/** One of a few. */
export function SelectField({ value, options, onChange, ...field }: SelectFieldProps): JSX.Element {
  return (
    <Field {...field}>
      {(control) => (
        <select {...control} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
          {options.map((option) => (
            <option key={option.value} value={option.value}>
              {option.label}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

interface TextFieldProps extends FieldProps {
  value: string;
  /** Lines of the field. */
  rows?: number;
  placeholder?: string;
  onChange: (value: string) => void;
}

/** Words; in a form, Enter submits it, and Shift+Enter begins a line. */
export function TextField({ value, rows = 1, placeholder, onChange, ...field }: TextFieldProps): JSX.Element {
  return (
    <Field {...field}>
      {(control) => (
        <textarea
          {...control}
          {...{ rows, placeholder, value }}
          autocomplete="off"
          onInput={(event) => onChange(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            event.currentTarget.form?.requestSubmit();
          }}
        />
      )}
    </Field>
  );
}
