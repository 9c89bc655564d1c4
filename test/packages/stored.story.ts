import { expect, it } from 'vitest'
import { createDapp } from '../../src/sdk/dapp.ts'
import { eventually } from '../support/eventually.ts'
import { newOwner } from '../support/owner.ts'
import { startWorld } from '../support/world.ts'
import { openRealm } from './hermes/realm.ts'

const APP = 'app.example.com'

it('a realm like Hermes keeps a wallet in a sealed AsyncStorage, and has its events, its apps and its end', async () => {
  await using world = await startWorld()
  await world.addApp(APP, { types: [{ name: 'News' }] })
  const { id: projectId, secret } = world.project
  const dapp = createDapp({ url: world.url, projectId, secret, domain: APP })
  const { types } = await dapp.describe(APP, { name: 'The app', listed: true })
  const owner = newOwner()
  const items = new Map<string, string>()
  let signed = 0
  using realm = await openRealm()
  Object.assign(realm.context, {
    scene: { url: world.url, account: owner.account, app: APP },
    outside: {
      sign(text: string) {
        signed++
        return owner.sign(text)
      },
      get: (name: string) => items.get(name),
      set: (name: string, value: string) => void items.set(name, value),
    },
  })
  await realm.load(`export { openStored } from './test/packages/hermes/stored.ts'`)
  const open = (seed: number) =>
    realm.run(
      `page.openStored(scene.url, scene.account, ${seed}, outside).then((opened) => { session = opened; return opened.code })`,
    )

  expect(await open(1)).toBeUndefined()
  expect(await realm.run('session.apps()')).toBe('The app')
  expect(await realm.run('session.types(scene.app)')).toBe('News false')
  expect(await realm.run('session.subscribe(scene.app)')).toBe(1)
  expect(await realm.run('session.types(scene.app)')).toBe('News true')
  await dapp.notify({ type: types[0]?.id ?? '', title: 'Hello', body: 'there' }, [owner.account])
  await eventually(() => expect(realm.run('session.events()')).toBe('connected,unread 1 1'))
  expect(await realm.run('session.close(scene.app)')).toBe('closed')
  expect(realm.run('session.events()')).toBe('connected,unread 1 1,disconnected')
  expect([...items.values()].join()).toMatch(/^1\.key\./)

  expect(await open(2)).toBe('state_unreadable')
  expect(await open(1)).toBeUndefined()
  expect(realm.run('session.unread()')).toBe(1)
  expect(await realm.run('session.close(scene.app)')).toBe('closed')
  expect(signed).toBe(1)
  expect(realm.said).toEqual([])
})
