/** Push projects that a configuration file declares. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { StartError } from '../../src/server/config/start-error.ts'
import { eventually } from '../support/eventually.ts'
import { apnsCertificate } from '../support/push/local-tls.ts'
import { type Fakes, startFakes, startPushWorld } from '../support/push/push-world.ts'

const NOTIFICATION = 4002

describe('push projects of the configuration file', () => {
  let home: string
  let fakes: Fakes
  const path = (name: string) => join(home, name)
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'belfry-declared-'))
    fakes = await startFakes()
    await writeFile(path('fcm.json'), JSON.stringify(fakes.fcm.credentials))
    await writeFile(path('key.p8'), fakes.apns.credentials.key)
    await writeFile(path('push.p12'), Buffer.from(apnsCertificate.certificate, 'base64'))
    await writeFile(path('password'), `${apnsCertificate.password}\n`)
    await writeFile(path('half.json'), '{"type":')
  })
  afterAll(async () => {
    await fakes[Symbol.asyncDispose]()
    await rm(home, { recursive: true })
  })

  const token = () => {
    const { topic, keyId, teamId } = fakes.apns.credentials
    return { topic, key: path('key.p8'), keyId, teamId }
  }
  const certificate = () => ({
    ...{ topic: fakes.apns.credentials.topic },
    ...{ certificate: path('push.p12'), passwordFile: path('password') },
  })

  it('reach their devices by all providers, and stay as they are at the next start', async () => {
    const declared = [
      { project: 'p1', open: false, fcm: path('fcm.json'), apns: token() },
      { project: 'p2', apns: certificate() },
    ]
    await using push = await startPushWorld({ config: { push: declared } }, fakes)
    const { world } = push
    const before = await world.stores.push.projects()
    expect(before).toMatchObject([
      { id: 'p1', isOpen: false, credentials: { fcm: {}, apns: { shown: { kind: 'token' } } } },
      { id: 'p2', isOpen: true, credentials: { apns: { shown: { kind: 'certificate' } } } },
    ])
    const client = push.wallet()
    const topic = randomBytes(32).toString('hex')
    await using relay = push.connect(client)
    await relay.subscribe([topic])
    await relay[Symbol.asyncDispose]()
    const apple = { target: { apns: { token: 'abcd' } } }
    expect(await push.device('p1', client, { target: { fcm: { token: 'phone' } } })).toMatchObject({
      status: 200,
    })
    expect(await push.device('p1', client, apple)).toMatchObject({ status: 200 })
    expect(await push.register('p1', push.wallet(), 'fcm', 'other')).toBe(401)
    await push.connect(push.wallet()).publish({ topic, message: 'AAEC', tag: NOTIFICATION, ttl: 300 })
    await eventually(() => {
      expect(fakes.fcm.pushes.map((one) => one.token)).toEqual(['phone'])
      expect(fakes.apns.pushes).toHaveLength(1)
    })
    await world.restart()
    expect(await world.stores.push.projects()).toEqual(before)
  })

  it.each<[string, () => object, () => string]>([
    ['a name that is none', () => ({ project: 'a b' }), () => 'letters, digits, - and _'],
    [
      'a file that is not there',
      () => ({ fcm: path('none.json') }),
      () => `${path('none.json')} cannot be read`,
    ],
    ['a file that is no JSON', () => ({ fcm: path('half.json') }), () => `${path('half.json')} is not JSON`],
    [
      'a password that is not there',
      () => ({ apns: { ...certificate(), passwordFile: path('none') } }),
      () => `${path('none')} cannot be read`,
    ],
  ])('with %s refuse the start in one sentence', async (_, credentials, why) => {
    const declared = [{ project: 'p1', ...credentials() }]
    const error: unknown = await startPushWorld({ config: { push: declared } }, fakes).catch((err) => err)
    if (!(error instanceof StartError)) throw error
    const [sentence, ...others] = error.sentences
    expect(sentence).toMatch(/^The push project .+ cannot be declared: .*[^.]\.$/)
    expect(sentence).toContain(why())
    expect(others).toEqual([])
  })
})
