import { expect, it } from 'vitest';
import { localGroups } from '../../../test/local-group.js';
import { checkGradients } from './check-gradients.js';
import { gradients } from './ranks-gradients.js';

it('gradients add up over processes as one adds them, without a launcher too', async () => {
  const all = await Promise.all(localGroups(2).map((group) => gradients(group)));
  expect(all).toHaveLength(2);
  checkGradients(all);
});
