import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { deliveredIdOf } from '../../../src/notify/ids.ts'
import { createSealedStore } from '../../../src/notify/sealed/store.ts'
import { createTextSeal } from '../../../src/notify/sealed/texts.ts'
import { createContentSeal } from '../../../src/platform/runtime/content-seal.ts'
import { addressOf, type HttpWorld, NEWS, startWithApp } from '../../support/world/notify-http.ts'

let world: HttpWorld
let id: string
beforeEach(async () => {
  world = await startWithApp()
  id = world.project.id
})
afterEach(() => world[Symbol.asyncDispose]())

const A = `eip155:1:${addressOf(0xa)}`
const plain = { type: NEWS, title: 'Hello', body: 'World' }
const extras = {
  priority: 'high',
  image: 'https://app.example/wide.png',
  actions: [
    { id: 'see', title: 'Look at it', url: '/offers/1' },
    { id: 'yes', title: 'Yes', answer: true },
  ],
  tags: ['tag', 'größe'],
  locales: { 'de-AT': { title: 'Grüß Gott', body: 'Welt' } },
  silent: true,
}
const notify = (more: object, terms: object = {}) =>
  world.call('POST', `/v1/${id}/notify`, [
    { notification: { ...plain, ...more }, accounts: [A], notification_id: 'n', ...terms },
  ])
const many = <T>(count: number, item: (at: number) => T) => Array.from({ length: count }, (_, at) => item(at))

describe('extras of a notification', () => {
  it('are kept with it, and shown; a plain one has none', async () => {
    const subscription = await world.subscribe(A)
    expect((await notify(extras)).body).toMatchObject({ sent: [A] })
    const copy = await world.store.delivered(subscription.id, deliveredIdOf(subscription.id, 'n'))
    expect(copy?.notification.extras).toEqual(extras)
    const shown = await world.call('GET', `/v1/${id}/notifications/n`)
    expect(shown.body).toMatchObject({ notification: { ...plain, icon: null, url: null, ...extras } })

    await notify({}, { notification_id: 'plain' })
    const other = await world.store.delivered(subscription.id, deliveredIdOf(subscription.id, 'plain'))
    expect(Object.keys(other?.notification ?? {})).not.toContain('extras')
  })

  it('that are empty or the default are none', async () => {
    const subscription = await world.subscribe(A)
    await notify({ actions: [], tags: [], locales: {}, silent: false })
    const copy = await world.store.delivered(subscription.id, deliveredIdOf(subscription.id, 'n'))
    expect(Object.keys(copy?.notification ?? {})).not.toContain('extras')
  })

  it('wait with a scheduled one, and with a broadcast', async () => {
    const deliver_at = world.clock.now() + 60_000
    expect((await notify(extras, { deliver_at })).body).toMatchObject({ scheduled: [A] })
    const shown = await world.call('GET', `/v1/${id}/notifications/n`)
    expect(shown.body).toMatchObject({ status: 'scheduled', notification: { ...plain, ...extras } })
    const broadcast = { notification: { ...plain, ...extras }, notification_id: 'all', deliver_at }
    expect((await world.call('POST', `/v1/${id}/broadcasts`, broadcast)).status).toBe(202)
    const all = await world.call('GET', `/v1/${id}/notifications/all`)
    expect(all.body).toMatchObject({ notification: { ...plain, ...extras } })
  })

  it('name a language once, as the registry writes it', async () => {
    const subscription = await world.subscribe(A)
    const texts = { title: 'Grüezi', body: 'Welt' }
    await notify({ locales: { 'DE-ch': texts } })
    const copy = await world.store.delivered(subscription.id, deliveredIdOf(subscription.id, 'n'))
    expect(copy?.notification.extras).toEqual({ locales: { 'de-CH': texts } })
    const twice = await notify({ locales: { 'DE-ch': texts, 'de-CH': texts } })
    expect(twice.body).toMatchObject({ error: expect.stringContaining('must name each language once') })
  })

  const text = { title: 'x', body: 'y' }
  it.each<[string, object, string]>([
    ['priority', { priority: 'loud' }, 'must be one of low, normal, high, urgent'],
    ['image', { image: 'http://app.example/i.png' }, 'must be an https URL'],
    ['image', { image: `https://app.example/${'i'.repeat(255)}` }, 'must be 1 to 255 characters'],
    ['actions', { actions: many(4, (at) => ({ id: `a${at}`, title: 'A', url: '/' })) }, 'must be at most 3'],
    ['actions[0]', { actions: [{ id: 'a', title: 'A' }] }, 'must have either a url or "answer": true'],
    ['actions[0]', { actions: [{ id: 'a', title: 'A', url: '/', answer: true }] }, 'must have either a url'],
    ['actions[0].id', { actions: [{ id: 'A b', title: 'A', url: '/' }] }, 'must be 1 to 32 of a-z 0-9 _ -'],
    ['actions[0].url', { actions: [{ id: 'a', title: 'A', url: 'javascript:1' }] }, 'must be an http(s) URL'],
    ['actions', { actions: many(2, () => ({ id: 'a', title: 'A', answer: true })) }, 'must have an id each'],
    ['tags', { tags: many(6, (at) => `t${at}`) }, 'must be at most 5'],
    ['tags[0]', { tags: ['two words'] }, 'must be a word of 1 to 32'],
    ['locales', { locales: Object.fromEntries(many(9, (at) => [`de-x-l${at}`, text])) }, 'must be at most 8'],
    ['locales.not a language', { locales: { 'not a language': text } }, 'must be named by a language tag'],
    ['locales.de.title', { locales: { de: { ...text, title: '' } } }, 'must be 1 to 64 characters'],
    ['silent', { silent: 'yes' }, 'expected boolean'],
  ])('are refused at %s: %j', async (field, more, sentence) => {
    const answer = await notify(more)
    expect(answer).toMatchObject({ status: 422, body: { code: 'bad_params' } })
    expect(answer.body).toMatchObject({
      field: `[0].notification.${field}`,
      error: expect.stringContaining(sentence),
    })
  })

  it('are refused together when they are larger than 8 KiB', async () => {
    const wide = { title: '𝕏'.repeat(64), body: '𝕏'.repeat(255) }
    const answer = await notify({ locales: Object.fromEntries(many(8, (at) => [`de-x-l${at}`, wide])) })
    expect(answer).toMatchObject({
      status: 422,
      body: { field: '[0].notification.locales', error: expect.stringContaining('8192 bytes') },
    })
  })

  it('are sealed at rest with the texts', async () => {
    const random = (length: number) => crypto.getRandomValues(new Uint8Array(length))
    const store = createSealedStore(world.store, createTextSeal(createContentSeal(random(32), random)))
    const now = world.clock.now()
    const given = {
      ...{ id: 's', projectId: id, domain: 'app.example', ...plain, icon: null, url: null },
      ...{ createdAt: now, deliverBy: now + 1000, expiresAt: now + 1000, extras: { tags: ['private'] } },
    }
    expect(await store.putNotification(given)).toEqual(given)
    expect(await store.notification(id, 'app.example', 's')).toEqual(given)
    const kept = await world.store.notification(id, 'app.example', 's')
    expect(kept?.body).toMatch(/^sealed:1:/)
    expect(JSON.stringify(kept)).not.toContain('private')
    expect(Object.keys(kept ?? {})).not.toContain('extras')
  })
})
