import type { JSX } from 'preact';
import { type Lesson, addPictures, describe, isTraining, lessons, removeLesson } from '../state/train.js';
import { TextField } from './field.js';
import { Picture } from './picture.js';

/** The pictures to learn, with their captions. */
export function Lessons(): JSX.Element {
  return (
    <section aria-labelledby="train-pictures">
      <h2 id="train-pictures">Pictures to learn</h2>
      <p class="note">
        Three to ten pictures of one thing do, best on white. Their captions are the words to draw them with;
        made-up words, “a zorp” say, are learned as names.
      </p>
      {lessons.value.length === 0 && (
        <p class="empty-lessons">Drop pictures here, paste them, or choose them.</p>
      )}
      <ul class="lessons">
        {lessons.value.map((lesson, i) => (
          <Row key={i} lesson={lesson} index={i} />
        ))}
      </ul>
      <label class="button">
        Add pictures …
        <input
          type="file"
          multiple
          accept="image/*"
          disabled={isTraining.value}
          onChange={({ currentTarget }) => {
            void addPictures([...currentTarget.files!]);
            currentTarget.value = ''; // so that the same file can be chosen again
          }}
        />
      </label>
    </section>
  );
}

function Row({ lesson: { image, caption }, index }: { lesson: Lesson; index: number }): JSX.Element {
  return (
    <li>
      <Picture image={image} label="" />
      <TextField
        label={`Caption of picture ${index + 1}`}
        value={caption}
        problem={caption.trim() === '' ? 'Say what it shows.' : undefined}
        onChange={(text) => describe(index, text)}
      />
      <button
        type="button"
        class="quiet"
        aria-label={`Remove picture ${index + 1}`}
        disabled={isTraining.value}
        onClick={() => removeLesson(index)}
      >
        ✕
      </button>
    </li>
  );
}
