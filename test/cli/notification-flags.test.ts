import { expect, it } from 'vitest'
import { type Typed, UsageError } from '../../src/cli/command.ts'
import { notificationFrom } from '../../src/cli/notification-flags.ts'

const typed = (all: Record<string, string[]>, on: string[] = []): Typed => ({
  all,
  one: Object.fromEntries(Object.entries(all).map(([name, list]) => [name, list.at(-1)])),
  on: new Set(on),
  rest: ['app.example'],
})
const plain = { type: ['News'], title: ['Hello'], body: ['World'] }

it('a plain notification has no extras on the wire', () => {
  expect(JSON.parse(JSON.stringify(notificationFrom(typed(plain))))).toEqual({
    ...{ type: 'News', title: 'Hello', body: 'World' },
  })
})

it('actions, tags and locales are repeated flags; text behind the last = is taken as it is', () => {
  const flags = {
    ...plain,
    priority: ['high'],
    action: ['yes=Yes', 'see=See it=https://a.example/?q=1'],
    tag: ['one', 'two'],
    locale: ['de=Hallo=1+1=2'],
  }
  expect(notificationFrom(typed(flags, ['silent']))).toMatchObject({
    priority: 'high',
    actions: [
      { id: 'yes', title: 'Yes', answer: true },
      { id: 'see', title: 'See it', url: 'https://a.example/?q=1' },
    ],
    tags: ['one', 'two'],
    locales: { de: { title: 'Hallo', body: '1+1=2' } },
    silent: true,
  })
})

it.each([
  [{ type: ['News'], title: ['Hello'] }, '--body is missing'],
  [{ ...plain, action: ['yes'] }, '--action is ID=TITLE or ID=TITLE=URL, not yes'],
  [{ ...plain, locale: ['de=Hallo'] }, '--locale is LANG=TITLE=BODY, not de=Hallo'],
])('%j is a mistake', (flags, sentence) => {
  expect(() => notificationFrom(typed(flags))).toThrow(new UsageError(sentence))
})
