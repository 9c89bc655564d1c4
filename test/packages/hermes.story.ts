import { describe, expect, it } from 'vitest'
import { createDapp } from '../../src/sdk/dapp.ts'
import { eventually } from '../support/eventually.ts'
import { newOwner } from '../support/owner.ts'
import { startWorld } from '../support/world.ts'
import { openRealm } from './hermes/realm.ts'

const APP = 'app.example.com'

describe('a realm like Hermes in React Native', () => {
  it('has no more than that', async () => {
    using realm = await openRealm()
    const missing = `[
      ['MessageChannel', 'structuredClone', 'Buffer', 'process', 'navigator', 'indexedDB', 'WebAssembly', 'Intl', 'Atomics']
        .filter((name) => name in globalThis),
      ['asyncDispose', 'dispose', 'asyncIterator'].filter((name) => name in Symbol),
      ['at', 'toSorted', 'with'].filter((name) => name in Array.prototype || name in Uint8Array.prototype),
      ['groupBy'].filter((name) => name in Object),
      ['any', 'allSettled', 'withResolvers'].filter((name) => name in Promise),
      ['any', 'timeout', 'abort'].filter((name) => name in AbortSignal),
      ['subtle', 'randomUUID'].filter((name) => name in crypto),
    ].flat().join()`
    expect(realm.run(missing)).toBe('')
    expect(() => realm.run(`new TextDecoder('utf-8', { fatal: true })`)).toThrow('fatal')
    expect(() => realm.run(`new URL('https://a.example').hostname`)).toThrow('not implemented')
  })

  it('has a wallet that subscribes, receives, closes, opens again with its state, and receives again', async () => {
    await using world = await startWorld()
    const { types } = await world.addApp(APP, { types: [{ name: 'News' }] })
    const dapp = createDapp({
      ...{ url: world.url, projectId: world.project.id },
      ...{ secret: world.project.secret, domain: APP },
    })
    const owner = newOwner()
    const type = types[0]?.id ?? ''
    const received: string[] = []
    const signed: string[] = []
    let state = ''
    using realm = await openRealm()
    Object.assign(realm.context, {
      scene: { url: world.url, account: owner.account, app: APP },
      outside: {
        sign(text: string) {
          signed.push(text)
          return owner.sign(text)
        },
        save: (text: string) => {
          state = text
        },
        received: (text: string) => received.push(text),
      },
    })
    await realm.load(`export { openSession } from './test/packages/hermes/session.ts'`)
    const send = async (title: string) => {
      await dapp.notify({ type, title, body: `${title}, grüße 🗼` }, [owner.account])
      await eventually(() => expect(received.join()).toContain(title))
    }

    realm.run('session = page.openSession(scene.url, scene.account, undefined, outside)')
    expect(await realm.run('session.enter(scene.app)')).toBe(1)
    await send('First')
    await realm.run('session.close()')

    Object.assign(realm.context, { state })
    realm.run('session = page.openSession(scene.url, scene.account, state, outside)')
    expect(await realm.run('session.watch()')).toBe(APP)
    await send('Second')
    Object.assign(realm.context, { id: JSON.parse(received.at(-1) ?? '{}').id })
    expect(await realm.run('session.read(scene.app, id)')).toBe('Second true,First false')
    await realm.run('session.close()')
    expect(received.map((text) => JSON.parse(text).title)).toEqual(['First', 'Second'])
    // The identity key was in the state.
    expect(signed).toHaveLength(1)
    expect(realm.said).toEqual([])
  })
})
