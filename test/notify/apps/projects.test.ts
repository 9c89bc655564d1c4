import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { crypto } from '#crypto'
import { toHex, utf8 } from '../../../src/protocol/bytes.ts'
import { type HttpWorld, startHttpWorld } from '../../support/world/notify-http.ts'

const HOUR = 3_600_000
let world: HttpWorld
beforeEach(async () => {
  world = await startHttpWorld()
})
afterEach(() => world[Symbol.asyncDispose]())

const desk = () => world.apps.projects
const id = () => world.project.id
const isTaken = async (secret: string) => {
  const headers = { authorization: `Bearer ${secret}` }
  return (await world.call('GET', `/${id()}/subscribers`, undefined, headers)).status === 200
}
const secrets = async () => desk().secretsOf(await desk().project(id()))

describe("a project's secrets", () => {
  it('count side by side, each until it is revoked; only hashes are kept', async () => {
    const added = await desk().addSecret(id(), 'the other machine')
    expect(await isTaken(world.secret)).toBe(true)
    expect(await isTaken(added.secret)).toBe(true)
    expect((await secrets()).map(({ name }) => name)).toEqual(['first', 'the other machine'])
    const kept = JSON.stringify(await world.store.project(id()))
    expect(kept).not.toContain(added.secret)
    expect(kept).toContain(toHex(crypto.sha256(utf8(added.secret))))
    await desk().revokeSecret(id(), 'first')
    expect(await isTaken(world.secret)).toBe(false)
    expect(await isTaken(added.secret)).toBe(true)
    await desk().revokeSecret(id(), added.record.id)
    expect(await isTaken(added.secret)).toBe(false)
    await expect(desk().revokeSecret(id(), added.record.id)).rejects.toMatchObject({ code: 'not_found' })
  })

  it('rotate with an overlap, in which both count', async () => {
    const next = await desk().rotateSecret(id(), undefined, 24 * 3_600)
    expect([await isTaken(world.secret), await isTaken(next.secret)]).toEqual([true, true])
    await world.clock.advance(24 * HOUR - 1)
    expect(await isTaken(world.secret)).toBe(true)
    await world.clock.advance(1)
    expect([await isTaken(world.secret), await isTaken(next.secret)]).toEqual([false, true])
    expect((await secrets()).map(({ name }) => name)).toEqual(['first'])
  })

  it('rotate without an overlap at once, and ask which one where there are several', async () => {
    const other = await desk().addSecret(id(), 'other')
    await expect(desk().rotateSecret(id(), undefined, 0)).rejects.toMatchObject({ code: 'bad_params' })
    await expect(desk().rotateSecret(id(), 'none', 0)).rejects.toMatchObject({ code: 'not_found' })
    const next = await desk().rotateSecret(id(), other.record.id, 0)
    expect([await isTaken(other.secret), await isTaken(next.secret)]).toEqual([false, true])
    expect(await isTaken(world.secret)).toBe(true)
  })

  it('may count for a time only', async () => {
    const added = await desk().addSecret(id(), 'for the fair', 3_600)
    expect(await isTaken(added.secret)).toBe(true)
    await world.clock.advance(HOUR)
    expect(await isTaken(added.secret)).toBe(false)
  })

  it('note the hour in which they were last used, and a note never brings a revoked one back', async () => {
    const added = await desk().addSecret(id(), 'other')
    const start = Math.floor(world.clock.now() / HOUR) * HOUR
    await isTaken(added.secret)
    // The note is not waited for, but this goes through the same store behind it.
    await desk().set(id(), {})
    expect((await secrets()).map(({ lastUsedAt }) => lastUsedAt)).toEqual([undefined, start])
    await world.clock.advance(HOUR)
    await Promise.all([isTaken(added.secret), desk().revokeSecret(id(), added.record.id)])
    await desk().set(id(), {})
    expect((await secrets()).map(({ name }) => name)).toEqual(['first'])
  })

  it('of a record from the time of one secret count', async () => {
    const secretHash = toHex(crypto.sha256(utf8('an old secret')))
    await world.store.createProject({ id: 'old', name: 'Old', secretHash, createdAt: 5 })
    expect((await desk().authenticate('old', 'an old secret')).name).toBe('Old')
    const [only] = desk().secretsOf(await desk().project('old'))
    expect(only).toMatchObject({ id: 'first', createdAt: 5 })
    const next = await desk().rotateSecret('old', 'first', 0)
    await expect(desk().authenticate('old', 'an old secret')).rejects.toMatchObject({
      code: 'unauthenticated',
    })
    await expect(desk().authenticate('old', next.secret)).resolves.toBeTruthy()
  })

  it('are added by many at once without losing one', async () => {
    const added = await Promise.all(['a', 'b', 'c', 'd'].map((name) => desk().addSecret(id(), name)))
    for (const { secret } of added) expect(await isTaken(secret)).toBe(true)
  })
})

it('settings that another process writes count within seconds', async () => {
  expect(await desk().settings(id())).toEqual({})
  const old = await desk().project(id())
  await world.store.replaceProject(old, { ...old, settings: { retentionDays: 3 } })
  await world.clock.advance(5_000)
  expect(await desk().settings(id())).toEqual({ retentionDays: 3 })
  await expect(desk().set('none', {})).rejects.toMatchObject({ code: 'not_found' })
})
