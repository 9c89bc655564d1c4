import { describe, expect, it } from 'vitest'
import { extrasOf } from '../../../src/protocol/notify/extras.ts'
import { inLanguage } from '../../../src/protocol/notify/in-language.ts'

const plain = { id: 'one', title: 'Hello', body: 'World', icon: '', url: '' }

describe('extrasOf', () => {
  it('takes nothing out of a plain notification', () => {
    expect(Object.keys(extrasOf(plain))).toEqual([])
  })

  it('takes what is as it should be, and leaves out the rest', () => {
    const actions = [
      { id: 'see', title: 'See', url: 'https://a.example' },
      { id: 'yes', title: 'Yes', answer: true },
    ]
    const item = {
      ...plain,
      priority: 'high',
      image: 7,
      actions,
      tags: ['one', 2],
      locales: null,
      silent: true,
    }
    expect(extrasOf(item)).toEqual({ priority: 'high', actions, silent: true })
    expect(extrasOf({ ...plain, priority: 'loud', actions: [{ id: 'neither', title: 'Neither' }] })).toEqual(
      {},
    )
  })
})

describe('inLanguage', () => {
  const notification = {
    ...plain,
    locales: {
      de: { title: 'Hallo', body: 'Welt' },
      'pt-BR': { title: 'Olá', body: 'Mundo' },
    },
  }
  it.each([
    ['de', 'Hallo'],
    ['de-AT-1996', 'Hallo'],
    ['PT-br', 'Olá'],
    ['pt', 'Hello'],
    ['fr', 'Hello'],
  ])('finds for %s the title %s', (language, title) => {
    expect(inLanguage(notification, language).title).toBe(title)
  })

  it('takes the first language of a list that there is, and keeps everything else', () => {
    expect(inLanguage(notification, ['fr', 'de-CH', 'pt-BR'])).toEqual({
      ...notification,
      ...{ title: 'Hallo', body: 'Welt' },
    })
    expect(inLanguage(plain, ['de'])).toBe(plain)
  })
})
